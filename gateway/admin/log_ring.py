"""Log ring: the last lines that the gateway has logged, for an operator who looks at its page and not at its stderr."""

from __future__ import annotations

import logging
from collections import deque
from contextlib import suppress
from itertools import islice
from typing import Final, NamedTuple

LINES: Final = 2000
"""Lines that are kept."""

MAX_CHARS: Final = 2000
"""Longest text of a line; of a longer one, as tracebacks may be, the beginning and the end are kept."""

MAX_NAME_CHARS: Final = 100
"""Longest name of a logger, of which the end tells most."""

LOGGERS: Final = ("gateway", "asyncio", "uvicorn")
"""Loggers whose lines are kept, with those below them; a program that runs a gateway may have others."""

_CUT: Final = " […] "


class LogLine(NamedTuple):
    """One line of the log."""

    seq: int
    """Number of the line: 1 is the first since the start."""
    time_s: float
    """Unix time."""
    level: int
    """Level by its number in ``logging``."""
    logger: str
    text: str


class LogRing(logging.Handler):
    """Handler that keeps the last lines. Lines come from any thread."""

    def __init__(self) -> None:
        super().__init__()
        self._lines: deque[LogLine] = deque(maxlen=LINES)
        self._format = logging.Formatter("%(message)s")
        self._last = 0
        self._level_before: int | None = None

    @property
    def last(self) -> int:
        """Number of the newest line; 0: there is none."""
        return self._last

    @property
    def log_level(self) -> int:
        """Lowest level that the gateway logs; whoever sets it changes what goes to stderr as well."""
        return logging.getLogger(LOGGERS[0]).getEffectiveLevel()

    @log_level.setter
    def log_level(self, level: int) -> None:
        own = logging.getLogger(LOGGERS[0])
        if self._level_before is None:
            self._level_before = own.level
        own.setLevel(level)

    def attach(self) -> None:
        """Keep lines from now on."""
        for name in LOGGERS:
            logging.getLogger(name).addHandler(self)

    def detach(self) -> None:
        """Keep no further lines, and take back the level if it was changed."""
        for name in LOGGERS:
            logging.getLogger(name).removeHandler(self)
        if self._level_before is not None:
            logging.getLogger(LOGGERS[0]).setLevel(self._level_before)
            self._level_before = None

    def emit(self, record: logging.LogRecord) -> None:
        """Keep a line; called by ``logging`` with the lock held."""
        text = str(record.msg)
        with suppress(Exception):  # a line whose arguments do not fit it is kept as it was written
            text = self._format.format(record)
        self._last += 1
        name = record.name[-MAX_NAME_CHARS:]
        self._lines.append(LogLine(self._last, record.created, record.levelno, name, _shortened(text)))
        resort = logging.lastResort
        if resort is not None and record.levelno >= resort.level and self._is_alone(record.name):
            # Without this handler, logging would have written the line to stderr.
            resort.handle(record)

    def since(self, after: int) -> list[LogLine]:
        """Return the kept lines behind one, the oldest first; ``[]`` if there is none."""
        self.acquire()
        try:
            missing = min(len(self._lines), max(0, self._last - after))
            return list(islice(self._lines, len(self._lines) - missing, None))
        finally:
            self.release()

    def _is_alone(self, name: str) -> bool:
        """Return whether no other handler gets the lines of a logger, but for further rings behind this one."""
        logger: logging.Logger | None = logging.getLogger(name)
        handlers: list[logging.Handler] = []
        while logger is not None:
            handlers += logger.handlers
            logger = logger.parent if logger.propagate else None
        return handlers[0] is self and all(isinstance(handler, LogRing) for handler in handlers)


def _shortened(text: str) -> str:
    if len(text) <= MAX_CHARS:
        return text
    part = (MAX_CHARS - len(_CUT)) // 2
    return text[:part] + _CUT + text[-part:]
