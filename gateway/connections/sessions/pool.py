"""All connections of the gateway, by peer number and by client."""

from __future__ import annotations

from collections.abc import Iterator

from gateway.connections.sessions.session import Session
from gateway.ids import ClientId, PeerId


class Pool:
    """Who is there."""

    def __init__(self) -> None:
        self._sessions: dict[PeerId, Session] = {}
        self._inboxes: dict[ClientId, dict[PeerId, None]] = {}
        self._by_client: dict[ClientId, dict[PeerId, None]] = {}
        self._last_peer = 0

    def __len__(self) -> int:
        return len(self._sessions)

    def __iter__(self) -> Iterator[Session]:
        return iter(list(self._sessions.values()))

    def next_peer(self) -> PeerId:
        """A number for a new connection, not used before by another (2**32 connections later it wraps)."""
        while True:
            self._last_peer = self._last_peer % 0xFFFF_FFFF + 1
            if self._last_peer not in self._sessions:
                return PeerId(self._last_peer)

    def add(self, session: Session) -> None:
        """Take in a connection."""
        self._sessions[session.connection.peer] = session

    def remove(self, session: Session) -> None:
        """Forget a connection."""
        peer, client_id = session.connection.peer, session.connection.client_id
        self._sessions.pop(peer, None)
        self.close_inbox(session)
        peers = self._by_client.get(client_id)
        if peers is not None:
            peers.pop(peer, None)
            if not peers:
                del self._by_client[client_id]

    def get(self, peer: int) -> Session | None:
        """The connection with that number."""
        return self._sessions.get(PeerId(peer))

    def introduce(self, session: Session) -> None:
        """The connection has said whose it is."""
        self._by_client.setdefault(session.connection.client_id, {})[session.connection.peer] = None

    def newest_of(self, client_id: str) -> Session | None:
        """Of a client's connections the one that came last."""
        peers = self._by_client.get(ClientId(client_id))
        return self._sessions[next(reversed(peers))] if peers else None

    def open_inbox(self, session: Session) -> None:
        """The connection takes the requests to its client from now on."""
        self._inboxes.setdefault(session.connection.client_id, {})[session.connection.peer] = None

    def close_inbox(self, session: Session) -> None:
        """The connection takes no more requests."""
        holders = self._inboxes.get(session.connection.client_id)
        if holders is not None:
            holders.pop(session.connection.peer, None)
            if not holders:
                del self._inboxes[session.connection.client_id]

    def inbox_of(self, client_id: str) -> Session | None:
        """The connection that takes a client's requests: of several, the one that opened its inbox last."""
        holders = self._inboxes.get(ClientId(client_id))
        return self._sessions[next(reversed(holders))] if holders else None
