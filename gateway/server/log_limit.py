"""Limit on the lines that one place in the code logs: a peer that does the same wrong thing again fills no disk."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Final

LINES: Final = 100
"""Lines of one place in :data:`INTERVAL_S`."""

INTERVAL_S: Final = 60.0


class LogLimit(logging.Filter):
    """Filter of a handler that lets so many lines of each place pass; the next line tells how many were left out.

    Args:
        now_s: seconds from some fixed moment.
    """

    def __init__(self, now_s: Callable[[], float]) -> None:
        super().__init__()
        self._now_s = now_s
        self._counts: dict[tuple[str, int], tuple[float, int]] = {}
        """Begin of the interval and lines in it, by file and line: as many as there are places that log."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Return whether a line is to be logged."""
        place, now_s = (record.pathname, record.lineno), self._now_s()
        begun_s, lines = self._counts.get(place, (now_s, 0))
        if now_s >= begun_s + INTERVAL_S:
            if lines > LINES:
                record.msg = f"{record.getMessage()} ({lines - LINES} lines like this were left out before)"
                record.args = None
            begun_s, lines = now_s, 0
        self._counts[place] = begun_s, lines + 1
        return lines < LINES
