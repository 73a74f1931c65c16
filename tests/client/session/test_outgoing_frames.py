"""Outgoing frames keep their order, and leave together only where nobody waits for that."""

from __future__ import annotations

import asyncio

import pytest

from gateway.client.session import outgoing_frames
from gateway.client.session.outgoing_frames import COLLECTED_BELOW, OutgoingFrames


class Case:
    """Outgoing frames, and the WebSocket messages that were written."""

    def __init__(self) -> None:
        self.written: list[bytes] = []
        self.frames = OutgoingFrames(asyncio.get_running_loop(), self._write)
        self.frames.max_bytes = 4 * COLLECTED_BELOW

    def _write(self, buffers: object, size: int) -> None:
        assert isinstance(buffers, list | tuple)
        message = b"".join(buffers)
        assert len(message) == size
        self.written.append(message)


async def test_what_is_sent_by_itself_leaves_at_once() -> None:
    case = Case()
    for frame in (b"a", b"b"):
        assert case.frames.send((frame,), may_wait=True) == 1
    assert case.written == [b"a", b"b"]


async def test_what_follows_upon_answers_leaves_together_behind_those_who_got_them() -> None:
    case = Case()
    answered = [asyncio.get_running_loop().create_future() for _ in range(3)]

    async def next_of(number: int) -> None:
        await answered[number]
        case.frames.send((b"%d" % number, b"-"), may_wait=True)

    tasks = [asyncio.create_task(next_of(number)) for number in range(3)]
    await asyncio.sleep(0)
    for future in answered:
        future.set_result(None)
    case.frames.collect()
    await asyncio.gather(*tasks)
    await asyncio.sleep(0)
    assert case.written == [b"0-1-2-"]
    assert case.frames.waiting_bytes == 0
    case.frames.send((b"later",), may_wait=True)
    assert case.written[1:] == [b"later"]


async def test_frames_keep_their_order_whatever_is_collected_corked_and_large() -> None:
    case = Case()
    large = b"l" * COLLECTED_BELOW
    case.frames.collect()
    case.frames.send((b"1",), may_wait=True)
    case.frames.send((b"2",))
    case.frames.send((b"3",), may_wait=True)
    assert case.frames.waiting_bytes == 1
    case.frames.send((large,), may_wait=True)
    case.frames.send((b"4",), may_wait=True)
    case.frames.cork()
    case.frames.send((b"5",), may_wait=True)
    case.frames.send((b"6",))
    case.frames.uncork()
    case.frames.send((b"7",), may_wait=True)
    case.frames.flush()
    assert case.written == [b"1", b"2", b"3", large, b"4", b"56", b"7"]


async def test_they_are_bounded() -> None:
    case = Case()
    case.frames.collect()
    frame = bytes(COLLECTED_BELOW - 8)
    for _ in range(9):
        case.frames.send((frame,), may_wait=True)
    case.frames.flush()
    assert [len(message) // len(frame) for message in case.written] == [4, 4, 1]


async def test_who_computes_before_he_sends_does_not_wait_for_others(monkeypatch: pytest.MonkeyPatch) -> None:
    case = Case()
    case.frames.collect()
    case.frames.send((b"quick",), may_wait=True)
    monkeypatch.setattr(asyncio.get_running_loop(), "time", lambda: 2**40, raising=False)
    case.frames.send((b"slow",), may_wait=True)
    assert case.written == [b"quick", b"slow"]


async def test_several_answers_of_a_turn_end_collecting_with_the_last() -> None:
    case = Case()
    loop = asyncio.get_running_loop()
    case.frames.collect()
    loop.call_soon(lambda: case.frames.send((b"1",), may_wait=True))
    case.frames.collect()
    loop.call_soon(lambda: case.frames.send((b"2",), may_wait=True))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert b"".join(case.written) == b"12"
    assert outgoing_frames.COLLECT_S > 0
