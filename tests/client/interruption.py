"""A call that comes between any two lines of the SDK, as that of a signal handler or a finalizer does."""

import sys
from collections.abc import Callable
from types import FrameType
from typing import Any


class Interruption:
    """Context that is interrupted once, on entering a line of some modules.

    Args:
        line: number of the entered line at which it comes, counted from 0.
        act: the call that interrupts.
        within: beginning of the modules' file names.

    Attributes:
        came: whether there were so many lines.
    """

    def __init__(self, line: int, act: Callable[[], None], within: str) -> None:
        self.came = False
        self._left = line
        self._act = act
        self._within = within

    def __enter__(self) -> None:
        self._tracing = sys.gettrace()
        sys.settrace(self._trace)

    def __exit__(self, *_: object) -> None:
        sys.settrace(self._tracing)

    def _trace(self, frame: FrameType, event: str, argument: object) -> Callable[[FrameType, str, object], Any] | None:
        if not frame.f_code.co_filename.startswith(self._within):
            return None
        if event == "line" and not self.came:
            self._left -= 1
            if self._left < 0:
                self.came = True
                self._act()
        return self._trace
