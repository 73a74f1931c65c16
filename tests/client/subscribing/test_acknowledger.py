"""Tests how what is done is told to the gateway."""

import asyncio
from collections.abc import Iterable

from gateway.client.subscribing.acknowledger import Acknowledger, AckPosition
from gateway.protocol.frames import frame_at
from gateway.protocol.signals import Done, InProgress, Signal
from gateway.protocol.wire import Buffer, Opcode

TASKS, OTHER = AckPosition("wf/tasks", 5), AckPosition("wf/other", 5)


class Line:
    """Stands for a session: notes what is sent."""

    def __init__(self) -> None:
        self.open = True
        self.sent: list[list[Signal]] = []

    def send_each(self, frames: Iterable[Buffer]) -> None:
        self.sent.append([_read(frame) for frame in frames])


def _read(data: Buffer) -> Signal:
    frame = frame_at(data, 0)
    signal: type[Signal] = Done if frame.opcode == Opcode.DONE else InProgress
    return signal.parse(data, frame)


def acknowledger(line: Line | None) -> Acknowledger:
    """One that knows the stream ``wf/tasks`` as number 7."""
    return Acknowledger(lambda: line, {TASKS: 7}.get)


async def turn() -> None:
    await asyncio.sleep(0)


async def test_what_is_done_in_a_turn_goes_out_in_few_frames() -> None:
    line = Line()
    done = acknowledger(line)
    for offset in (4, 3, 5, 9):
        done.add(TASKS, 0, offset, offset)
    done.add(TASKS, 99, 6, 6)
    assert line.sent == []
    await turn()
    assert line.sent == [[Done(7, 0, 3, 5), Done(7, 0, 9, 9), Done(7, 99, 6, 6)]]
    done.add(TASKS, 0, 10, 12)
    await turn()
    assert line.sent[1:] == [[Done(7, 0, 10, 12)]]


async def test_it_can_be_told_at_once_and_is_told_once() -> None:
    line = Line()
    done = acknowledger(line)
    done.add(TASKS, 0, 1, 1)
    done.flush()
    await turn()
    assert line.sent == [[Done(7, 0, 1, 1)]]


async def test_a_stream_that_is_not_known_on_this_session_is_left_out() -> None:
    line = Line()
    done = acknowledger(line)
    done.add(OTHER, 0, 1, 1)
    done.add(TASKS, 0, 2, 2)
    await turn()
    assert line.sent == [[Done(7, 0, 2, 2)]]


async def test_without_a_session_nothing_is_said() -> None:
    line = Line()
    line.open = False
    for session in (line, None):
        done = acknowledger(session)
        done.add(TASKS, 0, 1, 1)
        await turn()
    assert line.sent == []


async def test_work_in_progress_is_reported_at_once_behind_what_is_done() -> None:
    line = Line()
    done = acknowledger(line)
    done.add(TASKS, 0, 1, 1)
    done.report(TASKS, [(2, 4), (7, 7)])
    assert line.sent == [[Done(7, 0, 1, 1)], [InProgress(7, 2, 4), InProgress(7, 7, 7)]]
    done.report(TASKS, [])
    done.report(OTHER, [(1, 1)])
    line.open = False
    done.report(TASKS, [(2, 4)])
    acknowledger(None).report(TASKS, [(2, 4)])
    await turn()
    assert len(line.sent) == 2
