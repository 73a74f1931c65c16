"""Time limit of a wait, which looks at what has arrived before it passes.

A program may hold up the loop for longer than the limit, or be suspended. The answer is in the socket then: it came in
time, and only the loop was late.
"""

from __future__ import annotations

import asyncio
from types import TracebackType
from typing import Final, Self

TIMEOUT_S: Final = 30.0
"""Time without progress before ``RequestTimeout``, unless the caller gives another."""
STALL_S: Final = 0.05
"""A loop that calls a timer later than this was held up; its time does not count."""
READ_TURNS: Final = 32
"""Number of turns in which the loop reads what came before the limit passes; a turn reads up to 256 KiB of a socket."""


class TimeLimit:
    """Context that cancels the wait in it when its time is over, and then raises ``TimeoutError``.

    Like ``asyncio.timeout``, but the loop reads from its sockets once more before the limit passes, and time in which
    the loop was held up does not count.

    Args:
        timeout_s: see below.

    Attributes:
        timeout_s: time until the wait is cancelled; None: no limit.
    """

    __slots__ = ("_cancels", "_due_s", "_handle", "_loop", "_passed", "_task", "timeout_s")

    def __init__(self, timeout_s: float | None) -> None:
        self.timeout_s = timeout_s
        self._loop = asyncio.get_running_loop()
        self._task: asyncio.Task[object] | None = None
        self._cancels = 0
        self._due_s = 0.0
        self._handle: asyncio.Handle | None = None
        self._passed = False

    def __enter__(self) -> Self:
        self._task = asyncio.current_task()
        assert self._task is not None, "a time limit is that of a task"
        self._cancels = self._task.cancelling()
        self.restart()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._handle is not None:
            self._handle.cancel()
            self._handle = None
        task, self._task = self._task, None
        if self._passed and task is not None and task.uncancel() <= self._cancels and kind is asyncio.CancelledError:
            raise TimeoutError from error

    def restart(self) -> None:
        """Begin the time anew, unless the limit has passed."""
        if self.timeout_s is not None and not self._passed:
            if self._handle is not None:
                self._handle.cancel()
            self._wait(self.timeout_s)

    def _wait(self, delay_s: float) -> None:
        self._due_s = self._loop.time() + delay_s
        self._handle = self._loop.call_at(self._due_s, self._time_is_over)

    def _time_is_over(self) -> None:
        held_up_s = self._loop.time() - self._due_s
        if held_up_s > STALL_S and self.timeout_s:
            self._wait(min(held_up_s, self.timeout_s))
        else:
            self._read(READ_TURNS)

    def _read(self, turns: int) -> None:
        if turns:
            self._handle = self._loop.call_soon(self._read, turns - 1)
        elif self._task is not None:
            self._handle, self._passed = None, True
            self._task.cancel()
