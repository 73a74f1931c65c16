"""Interruptions of code between any two steps of the interpreter, as by signal handlers and finalizers."""

import sys
from collections.abc import Callable
from types import FrameType, ModuleType
from typing import Any, Self

Trace = Callable[[FrameType, str, object], Any]


class Storm:
    """Calls that interrupt the code of some modules; they are not interrupted themselves.

    The context interrupts the thread that enters it; other threads by :func:`threading.settrace` of :meth:`trace`.

    Args:
        interrupt: called with the number of the interruption, from 0.
        modules: modules whose code is interrupted, with those inside of packages.
        first: step before which the first interruption comes.
        stride: steps from one to the next.
        left: see below.

    Attributes:
        count: interruptions so far.
        left: interruptions that may still come.
    """

    def __init__(
        self, interrupt: Callable[[int], object], *modules: ModuleType, first: int = 0, stride: int = 1, left: int = 0
    ) -> None:
        self.count = 0
        self.left = left
        self._interrupt = interrupt
        self._names = tuple(module.__name__ for module in modules)
        self._steps = first
        self._stride = stride
        self._interrupting = False

    def __enter__(self) -> Self:
        """Interrupt this thread from now on."""
        self._before = sys.gettrace()  # of coverage.py
        sys.settrace(self.trace)
        return self

    def __exit__(self, *error: object) -> None:
        sys.settrace(self._before)

    def trace(self, frame: FrameType, event: str, argument: object) -> Trace | None:
        """Trace function of a thread that is interrupted."""
        if self._interrupting or not frame.f_globals.get("__name__", "").startswith(self._names):
            return None
        frame.f_trace_opcodes = True
        return self._step

    def _step(self, frame: FrameType, event: str, argument: object) -> Trace:
        if event == "opcode" and not self._interrupting:
            self._steps -= 1
            if self._steps < 0 and self.left:
                self._steps = self._stride - 1
                self.left -= 1
                self._interrupting = True
                try:
                    self._interrupt(self.count)
                finally:
                    self._interrupting = False
                self.count += 1
        return self._step
