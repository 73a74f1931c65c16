"""Deaf watch: finds clients whose transport reads and whose program does not answer PINGs (spec section 9).

A WebSocket ping is answered once everything before it has been read. So a client that has answered one which was sent
behind a PING has read the PING as well; a client that is slow, or does not read, has not answered either.
"""

from __future__ import annotations

from gateway.connections.sessions.session import Session
from gateway.ids import PeerId


class _Unanswered:
    """PINGs of one client that are not answered."""

    __slots__ = ("answered_ns", "asked_ns", "is_confirmed", "since_tick")

    def __init__(self, answered_ns: int) -> None:
        self.answered_ns = answered_ns
        """Departure of the newest PING that is answered."""
        self.is_confirmed = False
        """Whether a second look found no further answer."""
        self.asked_ns = 0
        """Departure of a WebSocket ping behind them; 0: none was sent yet."""
        self.since_tick: int | None = None
        """Tick in which its answer was found."""


class DeafWatch:
    """Clients that have not answered PINGs since the last look at them: few of all.

    Args:
        patience: ticks in which a client answers the PINGs that it has read.
    """

    def __init__(self, patience: int) -> None:
        self._patience = patience
        self._watched: dict[PeerId, _Unanswered] = {}

    def __len__(self) -> int:
        return len(self._watched)

    def forget(self, peer: PeerId) -> None:
        """Forget a connection that is gone."""
        if self._watched:
            self._watched.pop(peer, None)

    def is_deaf(self, session: Session, tick: int) -> bool:
        """Look at a client, and return whether it is to be given up."""
        connection, peer = session.connection, session.peer.id
        if not connection.unanswered:
            self.forget(peer)
            return False
        watched = self._watched.get(peer)
        if watched is None or watched.answered_ns != connection.answered_ns:
            self._watched[peer] = _Unanswered(connection.answered_ns)
        elif watched.since_tick is not None:
            return tick - watched.since_tick >= self._patience
        elif watched.asked_ns and watched.asked_ns != session.asked_ns:
            watched.since_tick = tick
        else:
            watched.is_confirmed = True
        return False

    def wants_ping(self, session: Session) -> bool:
        """Return whether a WebSocket ping is to be sent behind the PINGs of a client."""
        watched = self._watched.get(session.peer.id)
        return watched is not None and watched.is_confirmed and not watched.asked_ns

    def asked(self, session: Session) -> None:
        """Note that a WebSocket ping was sent to a client."""
        if self.wants_ping(session):
            self._watched[session.peer.id].asked_ns = session.asked_ns
