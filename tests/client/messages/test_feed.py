"""Tests the iterator over a backlog."""

import asyncio
from dataclasses import dataclass

import pytest

from gateway.client.messages.feed import Feed
from gateway.client.messages.read_flow_control import ReadFlowControl
from gateway.errors import ConnectionClosed, InvalidArgument, UsageError
from gateway.protocol.messages import Kind


@dataclass(frozen=True)
class Item:
    """Something that is fed."""

    offset: int
    stream: str = "wf/x"
    kind: Kind | None = Kind.EVENT
    nbytes: int = 8
    count: int = 1


def feed(bound: int = 1 << 20) -> Feed[Item]:
    return Feed(bound, ReadFlowControl(lambda reading: None))


async def test_what_is_there_comes_without_waiting() -> None:
    fed = feed()
    fed.put(Item(1))
    fed.put(Item(2))
    assert (await fed.next()).offset == 1
    assert (await fed.next()).offset == 2


async def test_who_waits_is_woken() -> None:
    fed = feed()
    waiting = asyncio.ensure_future(fed.next())
    await asyncio.sleep(0)
    fed.put(Item(1))
    fed.put(Item(2))
    assert (await waiting).offset == 1
    assert (await fed.next()).offset == 2


async def test_it_ends_after_what_is_there() -> None:
    fed = feed()
    fed.put(Item(1))
    fed.end()
    assert fed.over
    assert not fed.put(Item(2))
    assert (await fed.next()).offset == 1
    with pytest.raises(StopAsyncIteration):
        await fed.next()


async def test_it_ends_with_an_error_for_who_waits_and_who_comes_later() -> None:
    fed = feed()
    waiting = asyncio.ensure_future(fed.next())
    await asyncio.sleep(0)
    fed.end(ConnectionClosed(4200, "over"))
    fed.end(None)
    for _ in range(2):
        with pytest.raises(ConnectionClosed, match="over"):
            await (waiting if not waiting.done() else fed.next())


async def test_several_takes_what_is_there_up_to_a_limit() -> None:
    fed = feed()
    for offset in range(5):
        fed.put(Item(offset))
    assert [item.offset for item in await fed.several(3)] == [0, 1, 2]
    assert [item.offset for item in await fed.several(3)] == [3, 4]
    fed.end()
    assert await fed.several(3) == []


async def test_several_counts_messages_not_items() -> None:
    fed = feed()
    for offset in range(0, 50, 10):
        fed.put(Item(offset, count=10))
    assert [item.offset for item in await fed.several(11)] == [0, 10]
    assert [item.offset for item in fed.rest(10)] == [20]
    assert [item.offset for item in await fed.several(1)] == [30]


async def test_what_is_left_can_be_taken_without_a_loop() -> None:
    fed = feed()
    for offset in range(3):
        fed.put(Item(offset))
    fed.end(ConnectionClosed(4200, "over"))
    assert [item.offset for item in fed.rest(2)] == [0, 1]
    assert [item.offset for item in fed.rest(2)] == [2]
    with pytest.raises(ConnectionClosed, match="over"):
        fed.rest(2)


async def test_one_task_at_a_time() -> None:
    fed = feed()
    waiting = asyncio.ensure_future(fed.next())
    await asyncio.sleep(0)
    with pytest.raises(UsageError, match="another task"):
        await fed.next()
    fed.put(Item(1))
    await waiting


async def test_giving_up_a_wait_loses_nothing() -> None:
    fed = feed()
    waiting = asyncio.ensure_future(fed.next())
    await asyncio.sleep(0)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    fed.put(Item(1))
    assert (await fed.next()).offset == 1


def test_a_bound_below_one_is_refused() -> None:
    with pytest.raises(InvalidArgument, match="buffer_bytes=0"):
        feed(0)
