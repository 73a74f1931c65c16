"""Tells about errors that nobody waits for: to the application's callback, or to the log, which it does not flood."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from typing import Final, ParamSpec

from gateway.client.options import Report

P = ParamSpec("P")

logger: Final = logging.getLogger("gateway.client")

LOG_EVERY_S: Final = 1.0
"""The log gets at most one such error in so long, with the number of those left out."""


def call_back(callback: Callable[P, object], *args: P.args, **kwargs: P.kwargs) -> None:
    """Call the application from within the client. What it raises is logged and goes no further."""
    try:
        callback(*args, **kwargs)
    except Exception:
        logger.exception("a callback of the application failed")


class Reporter:
    """Called with each error."""

    def __init__(self, on_error: Report | None, monotonic_s: Callable[[], float] = time.monotonic) -> None:
        self._on_error = on_error
        self._monotonic_s = monotonic_s
        self._quiet_until_s = float("-inf")
        self._left_out = 0

    def __call__(self, error: Exception) -> None:
        """Tell of one error."""
        if self._on_error is not None:
            call_back(self._on_error, error)
            return
        now_s = self._monotonic_s()
        if now_s < self._quiet_until_s:
            self._left_out += 1
            return
        more = f" (and {self._left_out} errors before it)" if self._left_out else ""
        logger.warning("%s: %s%s", type(error).__name__, error, more)
        self._left_out = 0
        self._quiet_until_s = now_s + LOG_EVERY_S
