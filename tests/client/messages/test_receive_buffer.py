"""Tests what each kind's contract means when the application falls behind, and how a task waits for what arrives."""

import asyncio
from dataclasses import dataclass, replace
from typing import Self

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.client.messages.read_flow_control import ReadFlowControl
from gateway.client.messages.receive_buffer import FEW_OF, ITEM_OVERHEAD_BYTES, MAX_VERSIONS, ReceiveBuffer
from gateway.errors import ConnectionClosed, InvalidArgument, UsageError
from gateway.protocol.messages import Kind


@dataclass(frozen=True)
class Item:
    """Something with a place in a stream."""

    stream: str
    kind: Kind | None
    offset: int
    nbytes: int = 1000
    count: int = 1
    patch: bool = False
    ack_handle: object | None = None
    epoch: int = 5

    @property
    def received_ns(self) -> int:
        return 1000 + self.offset

    def newest(self, *, complete: bool) -> Self:
        return replace(self, offset=self.offset + self.count - 1, count=1, patch=self.patch and not complete)


SIZE = 1000 + ITEM_OVERHEAD_BYTES


def flow() -> ReadFlowControl:
    return ReadFlowControl(lambda reading: None)


def unbounded(*, conflate: bool = True) -> ReceiveBuffer[Item]:
    return ReceiveBuffer(1 << 20, flow(), conflate=conflate)


def taken(buffer: ReceiveBuffer[Item]) -> list[int]:
    """The offsets of everything that is there."""
    offsets = []
    while (item := buffer.take()) is not None:
        offsets.append(item.offset)
    return offsets


@pytest.mark.parametrize("kind", [Kind.EVENT, Kind.COLLABORATION, None])
def test_the_program_is_behind_since_the_next_item_came(kind: Kind | None) -> None:
    buffer = unbounded()
    since = [buffer.oldest_ns]
    for offset in range(3):
        buffer.put(Item("s", kind, offset))
    for _ in range(4):
        since.append(buffer.oldest_ns)
        buffer.take()
    assert since == [None, 1000, 1001, 1002, None]


def test_of_a_state_the_program_is_behind_since_the_first_version_that_it_has_not_taken() -> None:
    buffer = unbounded()
    for offset in range(5):
        buffer.put(Item("s", Kind.STATE, offset))
        buffer.put(Item("t", Kind.STATE, 100 + offset))
    since = [buffer.oldest_ns]
    for offset in (7, 8):
        buffer.take()
        buffer.put(Item("s", Kind.STATE, offset))
        since.append(buffer.oldest_ns)
    assert since == [1000, 1100, 1007]


@pytest.mark.parametrize("conflate", [True, False])
def test_the_first_message_of_each_stream_that_waits(*, conflate: bool) -> None:
    buffer = unbounded(conflate=conflate)
    assert buffer.waiting(10) == ({}, True)
    for offset in range(3):
        buffer.put(Item("states", Kind.STATE, offset, epoch=offset))
        buffer.put(Item("events", Kind.EVENT, 10 + offset))
        buffer.put(Item("jobs", Kind.COLLABORATION, 20 + offset, ack_handle="owed"))
        buffer.put(Item("seen", Kind.COLLABORATION, 30 + offset))
    newest = 2 if conflate else 0
    assert buffer.waiting(100) == ({"states": (newest, 0), "events": (5, 10), "seen": (5, 30)}, True)
    buffer.take()
    buffer.put(Item("states", Kind.STATE, 7))
    first = (5, 7) if conflate else (1, 1)
    assert buffer.waiting(100) == ({"events": (5, 10), "seen": (5, 30), "states": first}, True)
    assert buffer.waiting(1) == ({"events": (5, 10)}, False)


def test_below_the_bound_everything_is_kept_in_order() -> None:
    buffer: ReceiveBuffer[Item] = ReceiveBuffer(10 * SIZE, flow())
    for offset, kind in enumerate([Kind.STATE, Kind.EVENT, Kind.CONTROL, Kind.COLLABORATION, None]):
        assert buffer.put(Item("s", kind, offset))
    assert buffer.bytes == 5 * SIZE
    assert taken(buffer) == [0, 1, 2, 3, 4]
    assert buffer.bytes == 0


def test_of_a_state_stream_the_newest_version_waits() -> None:
    buffer = unbounded()
    for offset in range(10):
        assert buffer.put(Item("s", Kind.STATE, offset))
    assert buffer.bytes == SIZE
    assert (buffer.conflated, buffer.unreported) == (9, {"s": 9})
    assert taken(buffer) == [9]
    assert buffer.bytes == 0


def test_a_version_that_was_taken_is_not_conflated() -> None:
    buffer = unbounded()
    for offset in range(3):
        buffer.put(Item("s", Kind.STATE, offset))
        assert taken(buffer) == [offset]
    assert (buffer.conflated, buffer.unreported) == (0, {})


def test_a_stream_keeps_the_place_of_its_oldest_version() -> None:
    buffer = unbounded()
    for stream in ("busy", "calm", "busy", "event", "busy"):
        buffer.put(Item(stream, Kind.EVENT if stream == "event" else Kind.STATE, 0))
    streams = []
    while (item := buffer.take()) is not None:
        streams.append(item.stream)
        if len(streams) == 1:
            buffer.put(Item("busy", Kind.STATE, 9))
    assert streams == ["busy", "calm", "event", "busy"]


def test_who_wants_every_version_gets_them_up_to_the_bound_and_then_the_newest() -> None:
    gate = flow()
    buffer: ReceiveBuffer[Item] = ReceiveBuffer(2 * SIZE, gate, conflate=False)
    for offset in range(10):
        assert buffer.put(Item("s", Kind.STATE, offset))
    assert gate.reading
    assert (buffer.conflated, buffer.unreported) == (7, {"s": 7})
    assert taken(buffer) == [0, 1, 9]
    assert buffer.bytes == 0
    assert buffer.put(Item("s", Kind.STATE, 10))
    assert buffer.put(Item("s", Kind.STATE, 11))
    assert taken(buffer) == [10, 11]


def test_streams_are_conflated_each_for_itself_at_the_bound() -> None:
    buffer: ReceiveBuffer[Item] = ReceiveBuffer(SIZE, flow(), conflate=False)
    for offset in range(3):
        for stream in "ab":
            buffer.put(Item(stream, Kind.STATE, offset))
    assert taken(buffer) == [0, 2, 2]
    assert (buffer.conflated, buffer.unreported) == (3, {"a": 1, "b": 2})


def test_of_a_batch_the_last_record_is_the_newest_version() -> None:
    buffer = unbounded()
    for offset in (0, 5, 10):
        buffer.put(Item("s", Kind.STATE, offset, count=5))
    assert buffer.conflated == 14
    assert taken(buffer) == [14]


def test_who_wants_every_version_gets_whole_batches() -> None:
    buffer = unbounded(conflate=False)
    buffer.put(Item("s", Kind.STATE, 0, count=5))
    item = buffer.take()
    assert item is not None
    assert (item.count, buffer.conflated) == (5, 0)


def test_a_patch_of_a_version_that_was_conflated_is_none_for_the_reader() -> None:
    buffer = unbounded()
    buffer.put(Item("s", Kind.STATE, 0))
    assert taken(buffer) == [0]
    buffer.put(Item("s", Kind.STATE, 1, patch=True))
    read = buffer.take()
    assert read is not None
    assert read.patch
    buffer.put(Item("s", Kind.STATE, 2, patch=True))
    buffer.put(Item("s", Kind.STATE, 3, patch=True))
    read = buffer.take()
    assert read is not None
    assert (read.offset, read.patch) == (3, False)


def test_a_message_larger_than_the_bound_is_kept() -> None:
    buffer: ReceiveBuffer[Item] = ReceiveBuffer(1, flow(), conflate=False)
    assert buffer.put(Item("s", Kind.STATE, 0, nbytes=1 << 20))
    assert buffer.put(Item("s", Kind.STATE, 1, nbytes=1 << 20))
    assert taken(buffer) == [0, 1]


async def test_behind_the_first_no_version_leaves_the_buffer_that_may_still_be_replaced() -> None:
    buffer = unbounded()
    for offset, stream in enumerate(("event", "state", "event", "other")):
        buffer.put(Item(stream, Kind.EVENT if stream == "event" else Kind.STATE, offset))
    assert [item.offset for item in await buffer.several(10)] == [0]
    assert [item.offset for item in await buffer.several(10)] == [1, 2]
    buffer.put(Item("other", Kind.STATE, 9))
    assert [item.offset for item in await buffer.several(10)] == [9]


async def test_every_version_is_taken_with_others_by_who_wants_them() -> None:
    buffer = unbounded(conflate=False)
    for offset in range(4):
        buffer.put(Item("s", Kind.STATE, offset))
    assert [item.offset for item in await buffer.several(3)] == [0, 1, 2]


def test_the_rest_has_the_versions_as_well() -> None:
    buffer = unbounded()
    for stream in "ab":
        buffer.put(Item(stream, Kind.STATE, 7))
    buffer.end()
    assert [[item.stream for item in buffer.rest(10)] for _ in range(3)] == [["a"], ["b"], []]


def test_what_must_not_be_lost_stops_the_socket_until_half_is_taken() -> None:
    calls: list[bool] = []
    buffer: ReceiveBuffer[Item] = ReceiveBuffer(4 * SIZE, ReadFlowControl(calls.append))
    for offset in range(4):
        assert calls == []
        buffer.put(Item("s", Kind.EVENT, offset))
    assert calls == [False]
    buffer.take()
    assert calls == [False]
    buffer.take()
    assert calls == [False, True]


def test_while_an_answer_is_awaited_events_go_on_to_twice_the_bound_and_then_are_a_gap() -> None:
    gate = flow()
    gate.expect_answer()
    buffer: ReceiveBuffer[Item] = ReceiveBuffer(2 * SIZE, gate)
    kept = [buffer.put(Item("s", Kind.EVENT, offset)) for offset in range(6)]
    assert kept == [True] * 4 + [False] * 2
    assert gate.reading
    assert taken(buffer) == [0, 1, 2, 3]


def test_collaboration_and_control_stop_the_socket_then_and_are_never_dropped() -> None:
    for kind in (Kind.COLLABORATION, Kind.CONTROL, None):
        calls: list[bool] = []
        gate = ReadFlowControl(calls.append)
        gate.expect_answer()
        buffer: ReceiveBuffer[Item] = ReceiveBuffer(2 * SIZE, gate)
        assert all(buffer.put(Item("s", kind, offset, ack_handle="owed")) for offset in range(6))
        assert calls == [False]
        assert taken(buffer) == list(range(6))
        assert calls == [False, True]


def test_there_is_room_for_what_does_not_reach_the_bound() -> None:
    buffer: ReceiveBuffer[Item] = ReceiveBuffer(3 * SIZE, flow())
    buffer.put(Item("s", Kind.EVENT, 0))
    assert buffer.has_room(Item("s", Kind.EVENT, 1))
    assert not buffer.has_room(Item("s", Kind.EVENT, 1, nbytes=1000 + SIZE))


def test_ending_lets_the_socket_be_read() -> None:
    calls: list[bool] = []
    buffer: ReceiveBuffer[Item] = ReceiveBuffer(1, ReadFlowControl(calls.append))
    buffer.put(Item("s", Kind.EVENT, 0))
    buffer.end()
    assert calls == [False, True]


@given(st.lists(st.one_of(st.none(), st.sampled_from("ab")), max_size=60), st.booleans())
def test_a_state_stream_never_goes_back_and_ends_with_the_newest(steps: list[str | None], conflate: bool) -> None:
    buffer: ReceiveBuffer[Item] = ReceiveBuffer(3 * SIZE, flow(), conflate=conflate)
    sent = {"a": 0, "b": 0}
    got: dict[str, list[int]] = {"a": [], "b": []}

    def take() -> bool:
        item = buffer.take()
        if item is not None:
            got[item.stream].append(item.offset)
        return item is not None

    for step in steps:
        if step is None:
            take()
        else:
            sent[step] += 1
            buffer.put(Item(step, Kind.STATE, sent[step]))
    while take():
        pass
    for stream, offsets in got.items():
        assert offsets == sorted(set(offsets))
        assert not sent[stream] or offsets[-1] == sent[stream]
    assert buffer.conflated == sum(sent.values()) - sum(len(offsets) for offsets in got.values())
    assert buffer.conflated == sum(buffer.unreported.values())
    assert buffer.bytes == 0


async def test_what_is_there_comes_without_waiting() -> None:
    buffer = unbounded()
    buffer.put(Item("s", Kind.EVENT, 1))
    buffer.put(Item("s", Kind.EVENT, 2))
    assert (await buffer.next()).offset == 1
    assert (await buffer.next()).offset == 2


async def test_who_waits_is_woken() -> None:
    buffer = unbounded()
    waiting = asyncio.ensure_future(buffer.next())
    await asyncio.sleep(0)
    buffer.put(Item("s", Kind.EVENT, 1))
    buffer.put(Item("s", Kind.EVENT, 2))
    assert (await waiting).offset == 1
    assert (await buffer.next()).offset == 2


async def test_it_ends_after_what_is_there() -> None:
    buffer = unbounded()
    buffer.put(Item("s", Kind.EVENT, 1))
    buffer.end()
    assert buffer.over
    assert not buffer.put(Item("s", Kind.EVENT, 2))
    assert (await buffer.next()).offset == 1
    with pytest.raises(StopAsyncIteration):
        await buffer.next()


async def test_it_ends_with_an_error_for_who_waits_and_who_comes_later() -> None:
    buffer = unbounded()
    waiting = asyncio.ensure_future(buffer.next())
    await asyncio.sleep(0)
    buffer.end(ConnectionClosed(4200, "over"))
    buffer.end(None)
    for _ in range(2):
        with pytest.raises(ConnectionClosed, match="over"):
            await (waiting if not waiting.done() else buffer.next())


async def test_several_takes_what_is_there_up_to_a_limit() -> None:
    buffer = unbounded()
    for offset in range(5):
        buffer.put(Item("s", Kind.EVENT, offset))
    assert [item.offset for item in await buffer.several(3)] == [0, 1, 2]
    assert [item.offset for item in await buffer.several(3)] == [3, 4]
    buffer.end()
    assert await buffer.several(3) == []


async def test_several_takes_a_few_versions_of_very_many() -> None:
    buffer = unbounded()
    streams = 40 * FEW_OF
    for number in range(streams):
        buffer.put(Item(f"wf/{number}", Kind.STATE, number))
    sizes = []
    taken: list[int] = []
    while len(taken) < streams:
        several = await buffer.several(100)
        sizes.append(len(several))
        taken += [each.offset for each in several]
    assert taken == list(range(streams))
    assert sizes[0] == 1 + MAX_VERSIONS
    assert sizes[-FEW_OF:] == [1] * FEW_OF


async def test_several_counts_messages_not_items() -> None:
    buffer = unbounded()
    for offset in range(0, 50, 10):
        buffer.put(Item("s", Kind.EVENT, offset, count=10))
    assert [item.offset for item in await buffer.several(11)] == [0, 10]
    assert [item.offset for item in buffer.rest(10)] == [20]
    assert [item.offset for item in await buffer.several(1)] == [30]


async def test_what_is_left_can_be_taken_without_a_loop() -> None:
    buffer = unbounded()
    for offset in range(3):
        buffer.put(Item("s", Kind.EVENT, offset))
    buffer.end(ConnectionClosed(4200, "over"))
    assert [item.offset for item in buffer.rest(2)] == [0, 1]
    assert [item.offset for item in buffer.rest(2)] == [2]
    with pytest.raises(ConnectionClosed, match="over"):
        buffer.rest(2)


async def test_one_task_at_a_time() -> None:
    buffer = unbounded()
    waiting = asyncio.ensure_future(buffer.next())
    await asyncio.sleep(0)
    with pytest.raises(UsageError, match="another task"):
        await buffer.next()
    buffer.put(Item("s", Kind.EVENT, 1))
    await waiting


async def test_giving_up_a_wait_loses_nothing() -> None:
    buffer = unbounded()
    waiting = asyncio.ensure_future(buffer.next())
    await asyncio.sleep(0)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    buffer.put(Item("s", Kind.EVENT, 1))
    assert (await buffer.next()).offset == 1


def test_a_bound_below_one_is_refused() -> None:
    with pytest.raises(InvalidArgument, match="buffer_bytes=0"):
        ReceiveBuffer[Item](0, flow())
