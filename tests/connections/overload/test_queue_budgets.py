"""Invariant: bounds of outboxes keep to the budget as far as 256 KiB for each receiver allow, and nothing is lost."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.connections.admission.settings import AdmissionSettings, ClientBudget
from gateway.connections.outbound.frame_writer import DeliverySettings
from gateway.connections.overload import queue_budgets
from gateway.connections.overload.measures import MIN_OUTBOX_BYTES
from gateway.connections.overload.queue_budgets import GroupQueues
from gateway.protocol.messages import Kind
from tests.connections.memory import Peer, World

MIB = 1024 * 1024
LIMIT_BYTES = 16 * MIB
MESSAGE_BYTES = 64 * 1024
MESSAGES = 64

sizes = st.lists(st.integers(0, 2 * LIMIT_BYTES), max_size=30)


def settled(group: GroupQueues, waiting: list[int]) -> int:
    """Bound of outboxes after a round in which so much waits."""
    group.begin()
    for nbytes in waiting:
        group.add(nbytes)
    group.settle()
    return group.outbox_limit_bytes


@given(sizes, st.integers(1, 64 * MIB))
def test_a_bound_keeps_to_the_budget_and_is_no_smaller_than_it_must(waiting: list[int], max_bytes: int) -> None:
    bound = settled(GroupQueues(max_bytes, LIMIT_BYTES), waiting)

    def left(bound: int) -> int:
        return sum(min(nbytes, bound) for nbytes in waiting)

    if sum(waiting) <= max_bytes:
        assert bound == LIMIT_BYTES
    else:
        assert bound == MIN_OUTBOX_BYTES or left(bound) <= max_bytes
        assert bound == LIMIT_BYTES or left(2 * bound) > max_bytes


@given(sizes, sizes, st.integers(1, 64 * MIB))
def test_a_bound_is_kept_until_less_than_half_of_the_budget_waits(
    before: list[int], after: list[int], max_bytes: int
) -> None:
    group = GroupQueues(max_bytes, LIMIT_BYTES)
    bound = settled(group, before)
    later = settled(group, after)
    if 2 * sum(after) >= max_bytes:
        assert later <= bound
    else:
        assert later == min(2 * bound, LIMIT_BYTES)


def test_a_bound_that_nobody_needs_is_gone_after_some_rounds() -> None:
    group = GroupQueues(MIB, LIMIT_BYTES)
    assert settled(group, [LIMIT_BYTES] * 8) == MIN_OUTBOX_BYTES
    bounds = [settled(group, []) for _ in range(7)]
    assert bounds == [MIN_OUTBOX_BYTES * 2**doublings for doublings in range(1, 7)] + [LIMIT_BYTES]
    assert not group.bounded


class Receivers:
    """A core in memory, and receivers that lag."""

    def __init__(self, admission: AdmissionSettings) -> None:
        self.world = World(
            admission=admission,
            delivery=DeliverySettings(outbox_limit_bytes=LIMIT_BYTES, max_event_hold_s=0),
        )

    def lagging(self, pattern: str) -> Peer:
        """A receiver that reads nothing."""
        peer = self.world.subscriber(pattern)
        peer.session.connection.pause_writing()
        return peer

    def publish(self, stream: str, messages: int = MESSAGES) -> None:
        """Publish events."""
        author = self.world.publisher(stream, kind=Kind.EVENT)
        for _ in range(messages):
            author.publish(0, bytes(MESSAGE_BYTES))
        self.world.settle()

    def sweep(self) -> None:
        """Measure, and have what must leave the outboxes leave them."""
        for _ in self.world.core.overload.sweep():
            pass
        self.world.settle()

    def waiting(self, peer: Peer) -> int:
        """Bytes in the outbox of a receiver."""
        outbox = peer.session.connection.outbox
        assert outbox is not None
        return outbox.waiting_bytes

    def offsets_after_reading(self, peer: Peer) -> list[int]:
        """Offsets of all that a receiver gets when it reads."""
        peer.session.connection.resume_writing()
        self.world.settle()
        return [arrival.offset for arrival in peer.read().arrivals]


def test_the_receivers_of_a_type_for_which_most_waits_read_the_rest_from_history() -> None:
    receivers = Receivers(AdmissionSettings(agent=ClientBudget(queued_bytes=2 * MIB)))
    most, little = receivers.lagging("wf/much"), receivers.lagging("wf/few")
    receivers.publish("wf/much")
    receivers.publish("wf/few", 4)
    before = receivers.waiting(little)
    for _ in range(2):
        receivers.sweep()
    assert receivers.waiting(most) + receivers.waiting(little) <= 2 * MIB + MESSAGE_BYTES * 2
    assert receivers.waiting(little) == before
    stats = receivers.world.core.overload.budgets.stats()
    assert stats.bounded_outboxes == 2
    assert stats.types["agent"].outbox_limit_bytes == MIB
    assert receivers.offsets_after_reading(most) == list(range(MESSAGES))
    assert receivers.offsets_after_reading(little) == list(range(4))


def test_a_workflow_has_a_budget_of_its_own_and_is_forgotten_when_nobody_lags(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    receivers = Receivers(AdmissionSettings(each_workflow=ClientBudget(queued_bytes=MIB)))
    monkeypatch.setattr(queue_budgets, "MAX_LISTED", 1)
    groups = receivers.lagging("one/**"), receivers.lagging("two/**"), receivers.lagging("three/**")
    watcher = receivers.lagging("*/**")
    for stream, messages in (("one/a", MESSAGES), ("two/a", MESSAGES), ("three/a", 4)):
        receivers.publish(stream, messages)
    for _ in range(2):
        receivers.sweep()
    assert all(receivers.waiting(peer) <= MIB + 2 * MESSAGE_BYTES for peer in groups)
    assert receivers.waiting(watcher) > (2 * MESSAGES) * MESSAGE_BYTES
    stats = receivers.world.core.overload.budgets.stats()
    assert (len(stats.workflows), stats.bounded_outboxes) == (1, 2)
    for peer in groups:
        assert receivers.offsets_after_reading(peer) == list(range(4 if peer is groups[2] else MESSAGES))
    for _ in range(8):
        receivers.sweep()
    stats = receivers.world.core.overload.budgets.stats()
    assert (dict(stats.workflows), stats.bounded_outboxes) == ({}, 0)
    assert len(receivers.world.core.overload.budgets) == 0


def test_nothing_is_counted_without_a_budget() -> None:
    receivers = Receivers(AdmissionSettings())
    peer = receivers.lagging("wf/a")
    receivers.publish("wf/a")
    receivers.sweep()
    assert receivers.waiting(peer) > MESSAGES * MESSAGE_BYTES
    stats = receivers.world.core.overload.budgets.stats()
    assert (stats.bounded_outboxes, dict(stats.types), dict(stats.workflows)) == (0, {}, {})
