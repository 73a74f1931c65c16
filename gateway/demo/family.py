"""Family of processes of the demo: starts them, reads their reports, and ends them all."""

from __future__ import annotations

import json
import subprocess
import sys
from contextlib import ExitStack
from types import TracebackType
from typing import Any, Final, Self

from gateway.errors import FrysError

END_TIMEOUT_S: Final = 5.0
"""Time after which a released process that has not ended is killed."""


class ChildFailed(FrysError):
    """Failure of a process of the demo.

    Attributes:
        details: further values of its report.
    """

    def __init__(self, role: str, reason: str, details: dict[str, Any]) -> None:
        super().__init__(f"{role}: {reason}")
        self.details = details


class Child:
    """Child process, which plays one role.

    Args:
        role: one of :data:`gateway.demo.child.ROLES`.
        settings: keyword arguments of the role.
    """

    def __init__(self, role: str, settings: dict[str, Any]) -> None:
        self.role = role
        # In a session of its own, so that Ctrl-C does not reach the process while it still imports.
        self._process = subprocess.Popen(
            [sys.executable, "-m", "gateway.demo.child", role, json.dumps(settings)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._hold = self._process.stdin
        self._reports = self._process.stdout

    def fileno(self) -> int:
        """Return a descriptor that is readable when there is a report, or the process has ended."""
        return self._reports.fileno()

    def hear(self) -> dict[str, Any]:
        """Wait until the process is ready, and return the values of its report.

        Raises:
            ChildFailed: the process reports a failure, or has ended.
        """
        report: dict[str, Any] = json.loads(self._reports.readline() or "{}")
        if "ready" in report:
            ready: dict[str, Any] = report["ready"]
            return ready
        raise ChildFailed(self.role, report.pop("failed", "the process has ended unexpectedly"), report)

    def let_go(self) -> None:
        """Release the process, which then ends."""
        self._hold.close()

    def wait(self) -> None:
        """Wait until the process has ended; kill it after :data:`END_TIMEOUT_S`."""
        try:
            self._process.wait(END_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._reports.close()


class Family:
    """All processes of a demo. None is left at the end of ``with``; the last one started ends first."""

    def __init__(self) -> None:
        self._children: list[Child] = []

    def start(self, role: str, **settings: Any) -> Child:
        """Start a process that plays ``role``."""
        child = Child(role, settings)
        self._children.append(child)
        return child

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with ExitStack() as endings:
            for child in self._children:
                endings.callback(child.wait)
                endings.callback(child.let_go)
