"""Idle sessions: connections that stand and do nothing are closed after a while, if the settings say so."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Final

from gateway.connections.ports import Clock
from gateway.connections.sessions.pool import Pool
from gateway.connections.sessions.session import Session
from gateway.connections.sweeps import Sweep
from gateway.errors import Code
from gateway.protocol.state import State

SWEEPS_PER_TIMEOUT: Final = 4
LOOKED_AT_TOGETHER: Final = 512
"""Connections that are looked at between two chances for the loop."""
CLOSED_COST: Final = 64
"""Looks that take as long as closing a connection."""
_NO_SWEEP_S: Final = 60.0
"""Pause where there is nothing to do."""


class IdleSessions:
    """Sweep that closes connections which have had nothing to do for a time.

    A connection has something to do while its client receives streams, takes requests, is present anywhere, or waits
    for a reply; when it has published since the last look; and while the gateway does not read what it sends. Signs of
    life do not count.

    Args:
        pool: all connections.
        timeout_s: the time; 0: nothing is looked at.
        clock: measures it.
        attends: returns whether the client of a session is present anywhere, or watches who is.

    Attributes:
        closed: connections that were closed.
    """

    def __init__(self, pool: Pool, timeout_s: float, clock: Clock, attends: Callable[[Session], bool]) -> None:
        self._pool = pool
        self._timeout_s = timeout_s
        self._clock = clock
        self._attends = attends
        self.closed = 0
        self.sweep = Sweep(lambda: timeout_s / SWEEPS_PER_TIMEOUT or _NO_SWEEP_S, self._sweep)

    def _sweep(self) -> Iterator[None]:
        if not self._timeout_s:
            return
        now_s = self._clock.monotonic_s()
        looked_at = 0
        for session in self._pool:
            looked_at += self._look(session, now_s)
            if looked_at >= LOOKED_AT_TOGETHER:
                looked_at = 0
                yield

    def _look(self, session: Session, now_s: float) -> int:
        """Look at a connection, close it if it is time, and return the cost."""
        if self._is_busy(session):
            session.idle_since_s = None
            return 1
        sequences = sum([binding.next_sequence for binding in session.bindings.values()]) if session.bindings else 0
        if session.idle_since_s is None or sequences != session.idle_sequences:
            session.idle_since_s, session.idle_sequences = now_s, sequences
        if now_s - session.idle_since_s < self._timeout_s:
            return 1
        self._close(session)
        return CLOSED_COST

    def _is_busy(self, session: Session) -> bool:
        requests = session.requests
        return bool(
            session.state is State.GREETING
            or session.connection.closed
            or session.connection.reading.held
            or session.buries
            or session.subscriptions
            or session.views
            or session.transfers
            or requests.asked
            or requests.owed
            or requests.mailboxes
            or self._attends(session)
            or (session.bindings and any(binding.exchange is not None for binding in session.bindings.values()))
        )

    def _close(self, session: Session) -> None:
        self.closed += 1
        problem = f"the client has done nothing for admission.idle_timeout_s={self._timeout_s:g}"
        session.connection.close(Code.NORMAL, problem)
