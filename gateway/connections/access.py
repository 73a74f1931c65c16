"""Access: who comes in, with which permissions, and for how long.

A connection whose token expires is closed then, unless it has got another one meanwhile; one whose token is withdrawn
is closed at the next look.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Final, Protocol, runtime_checkable

from gateway.connections.ports import Authorizer, Clock, Grant
from gateway.connections.sessions.session import Session
from gateway.connections.sweeps import Sweep
from gateway.errors import Code, ProtocolViolation

SWEEP_S: Final = 1.0
"""Pause between two looks: so much later than its token a connection may end."""
LOOKED_AT_TOGETHER: Final = 512
"""Connections that are looked at between two chances for the loop."""
CLOSED_TOGETHER: Final = 64
"""Connections that are closed between two chances for the loop."""


@runtime_checkable
class Withdrawals(Protocol):
    """Authorizer whose grants may be withdrawn before they expire."""

    def look(self, now_s: float) -> bool:
        """Return whether any grant may have been withdrawn since the last look."""

    def withdrawn(self, grant: Grant) -> bool:
        """Return whether a grant was withdrawn."""


class Access:
    """Authorizer of the clients, which keeps connections by the second in which their grants expire.

    Grants that do not expire cost nothing here.

    Args:
        authorizer: authenticates clients.
        clock: monotonic time.
        withdrawals: tells what was withdrawn; ``None``: nothing is, before it expires.

    Attributes:
        expired: connections that were closed because their tokens have expired.
        revoked: connections that were closed because their tokens were withdrawn.
        sweep: closes them.
        authenticate: see :class:`~gateway.connections.ports.Authorizer`.
    """

    def __init__(self, authorizer: Authorizer, clock: Clock, withdrawals: Withdrawals | None = None) -> None:
        self.authenticate = authorizer.authenticate
        self._clock = clock
        self._withdrawals = withdrawals
        self._due: dict[int, set[int]] = {}
        """Numbers of the connections, by the second."""
        self._sessions: dict[int, tuple[int, Session]] = {}
        """Second and connection, by its number."""
        self._swept_s = math.floor(clock.monotonic_s())
        self.expired = self.revoked = 0
        self.sweep = Sweep(lambda: SWEEP_S, self._sweep)

    def __len__(self) -> int:
        return len(self._sessions)

    def give(self, session: Session, grant: Grant) -> None:
        """Give a session its grant, in place of the one before."""
        session.grant = grant
        self.forget(session)
        if grant.expires_at_s is not None:
            second = max(math.floor(grant.expires_at_s), self._swept_s) + 1
            self._due.setdefault(second, set()).add(session.peer.id)
            self._sessions[session.peer.id] = second, session

    def forget(self, session: Session) -> None:
        """List a connection no more: it is gone. One that is not listed is ignored."""
        listed = self._sessions.pop(session.peer.id, None)
        if listed is not None:
            due = self._due[listed[0]]
            due.discard(session.peer.id)
            if not due:
                del self._due[listed[0]]

    def _sweep(self) -> Iterator[None]:
        if self._withdrawals is not None and self._withdrawals.look(self._clock.monotonic_s()):
            yield from self._close_withdrawn(self._withdrawals)
        yield from self._close_expired()

    def _close_withdrawn(self, withdrawals: Withdrawals) -> Iterator[None]:
        for looked_at, (_, session) in enumerate(list(self._sessions.values()), 1):
            if not session.connection.closed and withdrawals.withdrawn(session.grant):
                self.revoked += 1
                problem = "the token was revoked, or its key removed: get another one and connect again"
                session.fail(ProtocolViolation(Code.TOKEN_REVOKED, problem))
            if looked_at % LOOKED_AT_TOGETHER == 0:
                yield

    def _close_expired(self) -> Iterator[None]:
        if not self._sessions:
            self._swept_s = math.floor(self._clock.monotonic_s())
            return
        now_s = math.floor(self._clock.monotonic_s())
        # The seconds since the last look, or those that are listed, if the process has slept for long.
        seconds = range(self._swept_s + 1, now_s + 1)
        late = list(seconds) if len(seconds) <= len(self._due) else sorted(each for each in self._due if each <= now_s)
        self._swept_s = now_s
        for second in late:
            for closed, peer in enumerate(list(self._due.get(second, ())), 1):
                self._close(peer, second)
                if closed % CLOSED_TOGETHER == 0:
                    yield

    def _close(self, peer: int, second: int) -> None:
        listed = self._sessions.get(peer)
        if listed is None or listed[0] != second:
            return  # it has got another token, or is gone, since the sweep began
        session = listed[1]
        self.forget(session)
        if not session.connection.closed:
            self.expired += 1
            problem = "the token has expired: get another one and connect again, or send AUTHENTICATE before"
            session.fail(ProtocolViolation(Code.TOKEN_EXPIRED, problem))
