"""Tests that the program gets each message once, whatever the gateway delivers again."""

import asyncio
from collections.abc import Iterable

import pytest

from gateway.client.messages.ack_handle import AckHandle, AckScope, AckUnitRange
from gateway.client.messages.frame_sender import FrameSender
from gateway.client.subscribing import duplicate_filter
from gateway.client.subscribing.acknowledger import Acknowledger, AckPosition
from gateway.client.subscribing.duplicate_filter import DuplicateFilter, DuplicateFilters, FilterResult
from gateway.protocol.extensions import Identity
from gateway.protocol.wire import Buffer


class Session:
    """Stands for a session, on which nothing is sent."""

    open = True

    def send_each(self, frames: Iterable[Buffer]) -> None:
        raise AssertionError("no credit is granted")


FIRST, SECOND = Session(), Session()
ALL = AckScope(None)


class Noted(Acknowledger):
    """Notes what is said instead of sending it."""

    def __init__(self) -> None:
        self.said: list[tuple[int, int, int, int]] = []
        self.reported: list[tuple[int, int, int]] = []

    def add(self, position: AckPosition, code: int, first: int, last: int) -> None:
        assert position.stream == "wf/tasks"
        self.said.append((position.epoch, code, first, last))

    def report(self, position: AckPosition, ranges: Iterable[tuple[int, int]]) -> None:
        self.reported += [(position.epoch, first, last) for first, last in ranges]


class Filtered:
    """A duplicate filter and its acknowledgements."""

    def __init__(self) -> None:
        self.noted = Noted()
        self.filter = DuplicateFilter("wf/tasks", self.noted)

    def receive(
        self,
        first: int,
        *,
        epoch: int = 1,
        count: int = 1,
        session: FrameSender = FIRST,
        identity: Identity | None = None,
    ) -> FilterResult:
        return self.filter.receive(AckUnitRange(epoch, first, count, 8, identity, session))

    def take(self, first: int, *, epoch: int = 1, count: int = 1, identity: Identity | None = None) -> AckHandle:
        pending = self.receive(first, epoch=epoch, count=count, identity=identity).pending
        assert pending is not None
        return AckHandle(pending, ALL)


def test_what_is_processed_is_said_and_said_again_if_it_comes_again() -> None:
    filtered = Filtered()
    filtered.take(0).done()
    assert filtered.receive(0) == FilterResult(None, None, True)
    assert filtered.noted.said == [(1, 0, 0, 0), (1, 0, 0, 0)]


def test_what_is_in_hand_is_not_given_twice() -> None:
    filtered = Filtered()
    handle = filtered.take(0)
    # On the same session its credit is free at once; on a later one it stands for what is in hand.
    assert filtered.receive(0).credit_free
    assert not filtered.receive(0, session=SECOND).credit_free
    assert filtered.noted.said == []
    handle.done()
    assert filtered.noted.said == [(1, 0, 0, 0)]


def test_what_is_refused_is_given_again() -> None:
    filtered = Filtered()
    filtered.take(0).refuse(7)
    assert filtered.noted.said == [(1, 7, 0, 0)]
    filtered.take(0).done()
    assert filtered.noted.said[1:] == [(1, 0, 0, 0)]


def test_what_one_subscription_has_processed_is_given_again_to_the_other_only() -> None:
    filtered = Filtered()
    one, two = AckScope(None), AckScope(None)
    pending = filtered.receive(0).pending
    assert pending is not None
    AckHandle(pending, one).done()
    # Several handles are made before any is answered.
    pending = filtered.receive(1).pending
    assert pending is not None
    first, second = AckHandle(pending, one), AckHandle(pending, two)
    first.done()
    second.refuse(7)
    assert filtered.noted.said == [(1, 0, 0, 0), (1, 7, 1, 1)]
    again = filtered.receive(1)
    assert again.scopes == (two,)
    assert again.pending is not None
    AckHandle(again.pending, two).done()
    assert filtered.noted.said[2:] == [(1, 0, 1, 1)]
    assert filtered.receive(1).pending is None


def test_after_a_restart_of_the_gateway_messages_are_known_by_who_published_them() -> None:
    filtered = Filtered()
    filtered.take(5, identity=Identity(9, 30)).done()
    in_hand = filtered.take(6, identity=Identity(9, 31))
    assert filtered.receive(0, epoch=2, identity=Identity(9, 30)).pending is None
    assert filtered.receive(1, epoch=2, session=SECOND, identity=Identity(9, 31)).pending is None
    assert filtered.noted.said == [(1, 0, 5, 5), (2, 0, 0, 0)]
    in_hand.done()
    assert filtered.noted.said[2:] == [(2, 0, 1, 1)]
    assert filtered.receive(2, epoch=2, identity=Identity(9, 32)).pending is not None


def test_without_that_another_epoch_begins_anew() -> None:
    filtered = Filtered()
    filtered.take(0).done()
    assert filtered.receive(0, epoch=2).pending is not None


def test_what_will_not_come_is_processed() -> None:
    filtered = Filtered()
    filtered.filter.skip(1, 0, 3)
    assert filtered.receive(2).pending is None
    assert filtered.receive(4).pending is not None


def test_what_cannot_be_read_is_not_processed() -> None:
    filtered = Filtered()
    filtered.filter.refuse(1, 0, 2, 99)
    assert filtered.noted.said == [(1, 99, 0, 2)]


def test_what_nobody_answers_for_is_not_processed() -> None:
    filtered = Filtered()
    filtered.take(0).withdraw()
    assert filtered.noted.said == []
    assert filtered.receive(0).pending is not None


def test_what_is_in_hand_is_reported_in_progress() -> None:
    filtered = Filtered()
    filtered.filter.report_held()
    handles = [filtered.take(offset) for offset in (0, 1, 2, 5)]
    filtered.take(6)  # and let go of
    handles[3].in_progress()
    assert filtered.noted.reported == [(1, 5, 5)]
    handles[1].done()
    filtered.filter.report_held()
    assert filtered.noted.reported[1:] == [(1, 0, 0), (1, 2, 2), (1, 5, 5)]


def test_of_messages_that_were_let_go_of_the_newest_are_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(duplicate_filter, "MAX_LET_GO", 3)
    filtered, scope = Filtered(), AckScope(None)
    handles = []
    for offset in range(10):
        pending = filtered.receive(offset).pending
        assert pending is not None
        handle = AckHandle(pending, scope)
        if offset == 4:
            handles.append(handle)
        del handle
    filtered.filter.report_held()
    assert [pending.unit.first for pending in scope.handles] == [4, 7, 8, 9]
    assert filtered.noted.reported == [(1, 4, 4)]
    assert filtered.noted.said == []
    assert filtered.receive(0).pending is not None


def test_a_message_that_the_program_let_go_of_is_given_to_it_again() -> None:
    filtered = Filtered()
    filtered.take(0)
    again = filtered.take(0)
    assert filtered.receive(0).pending is None
    again.done()
    assert filtered.noted.said == [(1, 0, 0, 0)]


def test_a_message_that_one_of_two_subscriptions_let_go_of_is_given_to_that_one_again() -> None:
    filtered = Filtered()
    one, two = AckScope(None), AckScope(None)
    pending = filtered.receive(0).pending
    assert pending is not None
    first, second = AckHandle(pending, one), AckHandle(pending, two)
    first.done()
    del second
    again = filtered.receive(0)
    assert again.scopes == (two,)
    assert again.pending is not None
    AckHandle(again.pending, two).done()
    assert filtered.receive(0).pending is None


def test_so_many_publishers_are_remembered() -> None:
    filtered = Filtered()
    for producer in range(300):
        filtered.take(producer, identity=Identity(producer, 1)).done()
    assert filtered.receive(0, epoch=2, identity=Identity(299, 1)).pending is None
    assert filtered.receive(1, epoch=2, identity=Identity(0, 1)).pending is not None


async def test_a_batch_is_one_unit() -> None:
    filtered = Filtered()
    filtered.take(0, count=3, identity=Identity(9, 1)).done()
    assert filtered.noted.said == [(1, 0, 0, 2)]
    assert filtered.receive(0, epoch=2, count=3, identity=Identity(9, 1)).pending is None
    await asyncio.sleep(0)


def test_a_filter_is_forgotten_with_its_stream_unless_the_next_one_is_there() -> None:
    filters = DuplicateFilters(Acknowledger(lambda: None, lambda position: None))
    first = filters.of("wf/a", 1)
    assert filters.of("wf/a", 2) is first
    filters.end("wf/a", 1)
    assert filters.of("wf/a", 2) is first
    filters.end("wf/a", 2)
    filters.end("wf/none", 2)
    assert filters.of("wf/a", 3) is not first
