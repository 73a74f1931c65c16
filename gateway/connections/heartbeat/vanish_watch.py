"""Vanish watch: finds awaited clients whose machine or network is gone, sooner than silence shows it (spec section 9).

The system of a client acknowledges a ping, also for a program that computes and answers none. So a client that others
wait for, and that owes the answer to a ping, is gone once its system has acknowledged nothing for a while, be it of the
ping or of what was sent behind it.
"""

from __future__ import annotations

from typing import NamedTuple

from gateway.connections.sessions.session import Session
from gateway.ids import PeerId


class _Asked(NamedTuple):
    """One client, when it was asked, or when its system was seen to acknowledge something last."""

    tick: int
    acknowledged_bytes: int
    """Bytes that its system had acknowledged."""


class VanishWatch:
    """Awaited clients with an unanswered ping: few of all.

    Args:
        patience: ticks in which the system of a client acknowledges something.
    """

    def __init__(self, patience: int) -> None:
        self._patience = patience
        self._asked: dict[PeerId, _Asked] = {}

    def __len__(self) -> int:
        return len(self._asked)

    def forget(self, peer: PeerId) -> None:
        """Forget a client that was heard, or is gone."""
        if self._asked:
            self._asked.pop(peer, None)

    def asked(self, session: Session, tick: int) -> None:
        """Note that an awaited client is sent a ping."""
        tcp = session.connection.transport.socket_counts().tcp
        if tcp is not None:
            self._asked[session.peer.id] = _Asked(tick, tcp.acknowledged_bytes)

    def ticks_left(self, session: Session, tick: int) -> int | None:
        """Return the ticks after which a client that has not answered is gone; ``None``: its system lives.

        A system that has acknowledged everything lives until something is sent to it again.
        """
        peer = session.peer.id
        tcp = session.connection.transport.socket_counts().tcp
        if tcp is None or not tcp.unacknowledged_bytes:
            self._asked.pop(peer, None)
            return None
        asked = self._asked.get(peer)
        if asked is None or tcp.acknowledged_bytes != asked.acknowledged_bytes:
            asked = self._asked[peer] = _Asked(tick, tcp.acknowledged_bytes)
        return max(0, asked.tick + self._patience - tick)
