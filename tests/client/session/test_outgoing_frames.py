"""Outgoing frames keep their order, and leave together only where nobody waits for that."""

from __future__ import annotations

import asyncio
import time

import pytest

from gateway.client.session.outgoing_frames import COLLECT_S, COLLECTED_BELOW, QUICK_TURNS, OutgoingFrames


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

    async def be_quick(self, turns: int = QUICK_TURNS) -> None:
        """Have so many turns in which senders only send."""
        for _ in range(turns):
            self.frames.collect()
            await asyncio.sleep(0)


async def test_what_is_sent_by_itself_leaves_at_once() -> None:
    case = Case()
    for frame in (b"a", b"b"):
        assert case.frames.send((frame,), may_wait=True) == 1
    assert case.written == [b"a", b"b"]


async def test_what_follows_upon_answers_leaves_together_behind_those_who_got_them() -> None:
    case = Case()
    await case.be_quick()
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
    await case.be_quick()
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
    await case.be_quick()
    case.frames.collect()
    frame = bytes(COLLECTED_BELOW - 8)
    for _ in range(9):
        case.frames.send((frame,), may_wait=True)
    case.frames.flush()
    assert [len(message) // len(frame) for message in case.written] == [4, 4, 1]


class Clock:
    """Clock that stands still unless it is moved."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now_s = 0.0
        monkeypatch.setattr(time, "perf_counter", lambda: self.now_s)


async def test_a_program_is_known_first(monkeypatch: pytest.MonkeyPatch) -> None:
    Clock(monkeypatch)
    case = Case()
    await case.be_quick(QUICK_TURNS - 1)
    case.frames.collect()
    case.frames.send((b"at once",), may_wait=True)
    assert case.written == [b"at once"]
    await asyncio.sleep(0)
    case.frames.collect()
    case.frames.send((b"collected",), may_wait=True)
    assert case.written == [b"at once"]
    case.frames.flush()
    assert case.written == [b"at once", b"collected"]


@pytest.mark.parametrize("sends", [True, False])
async def test_nobody_waits_for_a_sender_that_has_computed(monkeypatch: pytest.MonkeyPatch, *, sends: bool) -> None:
    clock, case = Clock(monkeypatch), Case()
    await case.be_quick()
    case.frames.collect()
    case.frames.send((b"1",), may_wait=True)
    clock.now_s += COLLECT_S
    if sends:
        case.frames.send((b"2",), may_wait=True)
        assert case.written == [b"1", b"2"]
    await asyncio.sleep(0)
    known = case.written[:]
    for turn in range(QUICK_TURNS):
        case.frames.collect()
        case.frames.send((b"at once",), may_wait=True)
        assert len(case.written) == len(known) + turn + 1
        await asyncio.sleep(0)
    case.frames.collect()
    case.frames.send((b"collected",), may_wait=True)
    assert case.written == known + [b"at once"] * QUICK_TURNS
    case.frames.flush()


async def test_many_quick_senders_do_not_make_the_first_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    clock, case = Clock(monkeypatch), Case()
    await case.be_quick()
    case.frames.collect()
    for _ in range(10):
        case.frames.send((b"x",), may_wait=True)
        clock.now_s += COLLECT_S / 4
    assert case.written == [b"xx", b"x"] * 3
    case.frames.flush()
    assert case.written == [b"xx", b"x"] * 3 + [b"x"]


async def test_several_answers_of_a_turn_end_collecting_with_the_last() -> None:
    case = Case()
    await case.be_quick()
    loop = asyncio.get_running_loop()
    case.frames.collect()
    loop.call_soon(lambda: case.frames.send((b"1",), may_wait=True))
    case.frames.collect()
    loop.call_soon(lambda: case.frames.send((b"2",), may_wait=True))
    case.frames.collect()
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert case.written == [b"12"]
