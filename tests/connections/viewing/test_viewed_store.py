"""The past of views: what SUBSCRIBE asks for by `since`, and what a slow receiver of events missed."""

from __future__ import annotations

import numpy as np
import pytest

from gateway.connections.outbound.backfill import STEP_BYTES
from gateway.connections.outbound.frame_writer import DeliverySettings
from gateway.errors import Code
from gateway.protocol.limits import Limits
from gateway.protocol.messages import Error, Kind, Since, StreamInfo
from gateway.protocol.signals import Gap
from gateway.protocol.views import View
from tests.connections.memory import Peer, World
from tests.connections.text_messages import news, person

LAST = View(-1)


def viewer(world: World, view: View, since: Since) -> tuple[Peer, StreamInfo]:
    peer = world.peer("viewer")
    peer.subscribe("wf/events", since=since, view=view)
    world.settle()
    (info,) = [entry for entry in peer.read().log if isinstance(entry, StreamInfo)]
    return peer, info


def last_of(peer: Peer) -> list[tuple[int, object]]:
    return [(arrival.offset, arrival.array.tolist()) for arrival in peer.read().arrivals]


@pytest.mark.parametrize(("since", "first"), [("beginning", 0), (3, 3)])
def test_the_past_of_a_view_comes_before_what_is_published_from_then_on(since: Since, first: int) -> None:
    world = World()
    publisher = world.publisher("wf/events", kind=Kind.EVENT)
    for step in range(5):
        publisher.publish_array(0, np.array([0, step]))
    peer, info = viewer(world, LAST, since)
    assert (info.since, info.recovered, info.offset) == (first, True, 5)
    publisher.publish_array(0, np.array([0, 5]))
    world.settle()
    assert last_of(peer) == [(step, step) for step in range(first, 6)]
    (replay,) = peer.reader.replays
    assert (replay.stream, replay.first, replay.last) == (info.id, first, 4)


def test_what_does_not_fit_is_announced_in_the_past_too() -> None:
    world = World()
    publisher = world.publisher("wf/events", kind=Kind.EVENT)
    for array in (np.array([7]), np.array(8), np.array([9]), np.array(10)):
        publisher.publish_array(0, array)
    peer, info = viewer(world, LAST, "beginning")
    assert last_of(peer) == [(0, 7), (2, 9)]
    told = [entry for entry in peer.reader.log if isinstance(entry, Error | Gap)]
    assert [type(entry) for entry in told] == [Error, Gap, Gap]
    assert [(entry.first, entry.last, entry.code) for entry in told if isinstance(entry, Gap)] == [
        (1, 1, Code.INVALID_VIEW),
        (3, 3, Code.INVALID_VIEW),
    ]
    (error,) = peer.reader.errors
    assert (error.code, error.subscription, error.stream) == (Code.INVALID_VIEW, info.subscription, "wf/events")
    assert "view [-1] does not fit the tensor of dtype int64 and shape []" in error.message


def test_what_fits_behind_very_much_that_does_not_is_replayed() -> None:
    world = World()
    publisher = world.publisher("wf/events", kind=Kind.EVENT)
    for _ in range(3 * STEP_BYTES // 100_000):
        publisher.publish_array(0, np.zeros(100_000, np.int8))
    publisher.publish_array(0, np.array([[1, 2]]))
    text = person(world)
    text.send(
        '{"id":1,"message_type":"subscribe","payload":'
        '{"pattern":"wf/events","since":"beginning","view":{"slice":[0,-1]}}}'
    )
    peer, _ = viewer(world, View((0, -1)), "beginning")
    assert last_of(peer) == [(7, 2)]
    gaps = peer.reader.gaps
    assert [offset for gap in gaps for offset in range(gap.first, gap.last + 1)] == list(range(7))
    assert {gap.code for gap in gaps} == {Code.INVALID_VIEW}
    assert peer.reader.codes == [Code.INVALID_VIEW]
    told = [each for each in news(text, world) if each["message_type"] in ("error", "gap", "message")]
    assert [each["message_type"] for each in told] == ["error", *["gap"] * len(gaps), "message"]
    assert {each["payload"]["code"] for each in told[:-1]} == {Code.INVALID_VIEW}


def test_each_subscription_to_a_view_is_told_what_does_not_fit_in_its_past() -> None:
    world = World()
    publisher = world.publisher("wf/events", kind=Kind.EVENT)
    publisher.publish_array(0, np.array(8))
    peer = world.peer("viewer")
    for subscription in (1, 2):
        peer.subscribe("wf/events", subscription, since="beginning", view=LAST)
    world.settle()
    assert {entry.subscription for entry in peer.read().log if isinstance(entry, Error)} == {1, 2}


def test_large_results_of_the_past_come_in_chunks() -> None:
    world = World(limits=Limits(chunk_bytes=4096))
    publisher = world.publisher("wf/events", kind=Kind.EVENT)
    numbers = np.arange(3000, dtype=np.float32)
    publisher.publish_array(0, numbers)
    peer, _ = viewer(world, View(dtype="float64"), "beginning")
    (arrival,) = peer.read().arrivals
    assert arrival.large
    assert arrival.array.tolist() == numbers.tolist()


def test_what_a_slow_receiver_missed_is_computed_again() -> None:
    world = World(delivery=DeliverySettings(outbox_limit_bytes=200))
    publisher = world.publisher("wf/events", kind=Kind.EVENT)
    peer = world.peer("slow")
    peer.subscribe("wf/events", view=LAST)
    peer.forget()
    peer.transport.fill_up()
    for step in range(20):
        publisher.publish_array(0, np.array([0, step]))
        world.settle()
    peer.transport.read_on()
    world.settle()
    assert last_of(peer) == [(step, step) for step in range(20)]
    assert [replay.code for replay in peer.reader.replays] == [Code.QUEUE_FULL]
