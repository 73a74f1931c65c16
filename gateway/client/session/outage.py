"""Outage: time without a connection, and its cause, for the errors of calls that have waited for the next one."""

from __future__ import annotations

import time
from collections.abc import Callable


class Outage:
    """Time since a connection was lost, and the newest reason for which there is no other.

    Args:
        now_s: clock that is never set, in seconds.
    """

    __slots__ = ("_now_s", "_problem", "_since_s")

    def __init__(self, now_s: Callable[[], float] = time.monotonic) -> None:
        self._now_s = now_s
        self._since_s = now_s()
        self._problem = ""

    def begin(self, reason: str) -> None:
        """Note that the connection was lost."""
        self._since_s = self._now_s()
        self._problem = reason

    def attempt_failed(self, error: BaseException) -> None:
        """Note that the client could not connect again."""
        self._problem = str(error) or repr(error)

    def __str__(self) -> str:
        return f"there has been no connection for {self._now_s() - self._since_s:.1f} s: {self._problem}"
