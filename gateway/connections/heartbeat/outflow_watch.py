"""Outflow watch: finds silent clients that still take bytes which stand before an unanswered ping (spec section 9).

On a slow link a ping, and so its answer, waits behind a large message for longer than a silent client is waited for.
Bytes behind the ping say nothing: the system of a client takes them, although its program may hang.
"""

from __future__ import annotations

from typing import NamedTuple

from gateway.connections.ports import Transport
from gateway.connections.sessions.session import Session
from gateway.ids import PeerId


class _Outflow(NamedTuple):
    """Bytes to one client, as they stood at a look."""

    taken_bytes: int
    """Bytes that the client has taken; without a system that counts, a number that grows with them."""
    asked_bytes: int
    """The same, once the ping is taken."""


class OutflowWatch:
    """Silent clients with an unanswered ping: few of all."""

    def __init__(self) -> None:
        self._watched: dict[PeerId, _Outflow] = {}

    def __len__(self) -> int:
        return len(self._watched)

    def forget(self, peer: PeerId) -> None:
        """Forget a client that has answered, or is gone."""
        if self._watched:
            self._watched.pop(peer, None)

    def moves(self, session: Session) -> bool:
        """Look at a client that has not answered; return whether it has taken some of these bytes since the last look.

        Bytes that were written between the ping and the first look count as well.
        """
        peer = session.peer.id
        now = _outflow(session.connection.transport)
        before = self._watched.get(peer, now)
        self._watched[peer] = now._replace(asked_bytes=before.asked_bytes)
        return before.taken_bytes < now.taken_bytes <= before.asked_bytes


def _outflow(transport: Transport) -> _Outflow:
    waiting_bytes, tcp = transport.waiting_bytes(), transport.socket_counts().tcp
    if tcp is None:
        return _Outflow(-waiting_bytes, 0)
    taken_bytes = tcp.acknowledged_bytes
    return _Outflow(taken_bytes, taken_bytes + tcp.unacknowledged_bytes + tcp.unsent_bytes + waiting_bytes)
