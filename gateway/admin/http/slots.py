"""Places for the connections of the admin port: the ones that hold theirs for nothing make room for new ones."""

from __future__ import annotations

import enum
from collections.abc import Callable, Iterator, Mapping
from typing import Final, Generic, TypeVar

C = TypeVar("C")


class Phase(enum.Enum):
    """Phases of a connection, the least useful first. In all but the last a new connection may take its place."""

    IDLE = enum.auto()
    """All requests are answered, and nothing of a further one has come."""
    UNFINISHED = enum.auto()
    """The head of a request is not complete, or the rest of a body comes whose request is answered already."""
    UNREAD = enum.auto()
    """The client does not read an answer, or the end of the last one."""
    ANSWERING = enum.auto()
    """A request is being answered, or its body comes."""


TIMEOUTS_S: Final = {Phase.IDLE: 5.0, Phase.UNFINISHED: 10.0, Phase.UNREAD: 60.0}
"""Longest time in a phase. ``ANSWERING`` has none: the handlers of long requests watch what their clients send."""


class ConnectionSlots(Generic[C]):
    """Connections by phase, each for as long as the phase allows.

    Args:
        max_connections: connections at once.
        now: a monotonic clock in seconds.
        timeouts_s: longest time in a phase.
    """

    def __init__(
        self, max_connections: int, now: Callable[[], float], timeouts_s: Mapping[Phase, float] = TIMEOUTS_S
    ) -> None:
        self._max_connections = max_connections
        self._now = now
        self._timeouts_s = timeouts_s
        self._phase_of: dict[C, Phase] = {}
        self._entered_s: dict[Phase, dict[C, float]] = {phase: {} for phase in Phase}
        """Connections by phase, with the time at which the phase began; the longest in it comes first."""

    def __len__(self) -> int:
        return len(self._phase_of)

    @property
    def full(self) -> bool:
        """Whether a further connection needs the place of another one."""
        return len(self._phase_of) >= self._max_connections

    def enter(self, connection: C, phase: Phase) -> None:
        """Note the phase of a connection. Its time starts only if it was in another one."""
        before = self._phase_of.get(connection)
        if before is phase:
            return
        if before is not None:
            del self._entered_s[before][connection]
        self._phase_of[connection] = phase
        self._entered_s[phase][connection] = self._now()

    def leave(self, connection: C) -> None:
        """Forget a connection that is gone."""
        phase = self._phase_of.pop(connection, None)
        if phase is not None:
            del self._entered_s[phase][connection]

    def dispensable(self) -> C | None:
        """Return the connection whose place a new one may take: the one longest in the least useful phase.

        ``None`` if requests are answered on all of them, and read.
        """
        for phase in (Phase.IDLE, Phase.UNFINISHED, Phase.UNREAD):
            for connection in self._entered_s[phase]:
                return connection
        return None

    def overdue(self) -> Iterator[tuple[C, Phase]]:
        """Yield the connections that were too long in their phase; they may leave meanwhile."""
        now = self._now()
        for phase, timeout_s in self._timeouts_s.items():
            for connection, entered_s in list(self._entered_s[phase].items()):
                if now - entered_s < timeout_s:
                    break
                yield connection, phase
