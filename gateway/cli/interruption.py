"""Interruption of a command: every signal that asks a program to end does what Ctrl-C does.

So a summary is printed, files are complete, and temporary ones removed, whoever ends the command.
"""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any, Final

ENDING: Final = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
"""Signals of a user, of a program that started the command, and of a terminal that is closed."""


@contextmanager
def interrupted_by_signals() -> Iterator[None]:
    """Let SIGTERM and SIGHUP interrupt what is done in this context as Ctrl-C does; to be used by the main thread."""
    with _handled(_interrupt, signal.SIGTERM, signal.SIGHUP):
        yield


@contextmanager
def ended_at_once_by_signals() -> Iterator[None]:
    """Let each signal end the process at once, until another handler is set: Python would wait for a C function."""
    with _handled(signal.SIG_DFL, *ENDING):
        yield


@contextmanager
def _handled(handler: Callable[[int, FrameType | None], Any] | signal.Handlers, *numbers: int) -> Iterator[None]:
    """Set the handler of signals, except of those that the parent process has ignored (``nohup``, ``&``)."""
    before = {number: signal.getsignal(number) for number in numbers}
    for number, old in before.items():
        if old is not signal.SIG_IGN:
            signal.signal(number, handler)
    try:
        yield
    finally:
        for number, old in before.items():
            signal.signal(number, old)


def _interrupt(number: int, frame: FrameType | None) -> None:
    """Cancel the tasks of the loop that runs, as asyncio does for Ctrl-C unless it is ignored (``&``).

    An exception would end the callback that is running, and not the command.

    Raises:
        KeyboardInterrupt: no loop runs.
    """
    try:
        loop = asyncio.get_running_loop()
    except RuntimeError:
        raise KeyboardInterrupt from None
    for task in asyncio.all_tasks(loop):
        loop.call_soon_threadsafe(task.cancel)
