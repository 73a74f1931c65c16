"""Tests what each kind's contract means when the application falls behind, and how a task waits for what arrives."""

import asyncio
from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.client.messages.read_flow_control import ReadFlowControl
from gateway.client.messages.receive_buffer import ITEM_OVERHEAD_BYTES, ReceiveBuffer
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


SIZE = 1000 + ITEM_OVERHEAD_BYTES


def flow() -> ReadFlowControl:
    return ReadFlowControl(lambda reading: None)


def unbounded() -> ReceiveBuffer[Item]:
    return ReceiveBuffer(1 << 20, flow())


def taken(buffer: ReceiveBuffer[Item]) -> list[int]:
    """The offsets of everything that is there."""
    offsets = []
    while (item := buffer.take()) is not None:
        offsets.append(item.offset)
    return offsets


def test_below_the_bound_everything_is_kept_in_order() -> None:
    buffer: ReceiveBuffer[Item] = ReceiveBuffer(10 * SIZE, flow())
    for offset, kind in enumerate([Kind.STATE, Kind.EVENT, Kind.CONTROL, Kind.COLLABORATION, None]):
        assert buffer.put(Item("s", kind, offset))
    assert buffer.bytes == 5 * SIZE
    assert taken(buffer) == [0, 1, 2, 3, 4]
    assert buffer.bytes == 0


def test_at_the_bound_only_the_newest_of_a_state_stream_is_kept() -> None:
    gate = flow()
    buffer: ReceiveBuffer[Item] = ReceiveBuffer(2 * SIZE, gate)
    for offset in range(10):
        assert buffer.put(Item("s", Kind.STATE, offset))
    assert gate.reading
    assert buffer.conflated == 7
    assert taken(buffer) == [0, 1, 9]
    assert buffer.bytes == 0


def test_streams_are_conflated_each_for_itself() -> None:
    buffer: ReceiveBuffer[Item] = ReceiveBuffer(SIZE, flow())
    for offset in range(3):
        for stream in "ab":
            buffer.put(Item(stream, Kind.STATE, offset))
    assert taken(buffer) == [0, 2, 2]
    assert buffer.conflated == 3


def test_a_conflated_batch_counts_its_records() -> None:
    buffer: ReceiveBuffer[Item] = ReceiveBuffer(1, flow())
    for offset in (0, 5, 10):
        buffer.put(Item("s", Kind.STATE, offset, count=5))
    assert buffer.conflated == 5


def test_a_message_larger_than_the_bound_is_kept() -> None:
    buffer: ReceiveBuffer[Item] = ReceiveBuffer(1, flow())
    assert buffer.put(Item("s", Kind.STATE, 0, nbytes=1 << 20))
    assert buffer.put(Item("s", Kind.STATE, 1, nbytes=1 << 20))
    assert taken(buffer) == [0, 1]


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
        assert all(buffer.put(Item("s", kind, offset)) for offset in range(6))
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


@given(st.lists(st.one_of(st.none(), st.sampled_from("ab")), max_size=60))
def test_a_state_stream_never_goes_back_and_ends_with_the_newest(steps: list[str | None]) -> None:
    buffer: ReceiveBuffer[Item] = ReceiveBuffer(3 * SIZE, flow())
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
