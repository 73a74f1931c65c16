"""All connections of the gateway, by peer number and by client."""

from __future__ import annotations

from collections.abc import Iterator

from gateway.connections.sessions.session import Session
from gateway.ids import ClientId, PeerId


class Pool:
    """The gateway's connections, with an index by client and one of open inboxes."""

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
        """Return a number for a new connection that no other has had (it wraps after 2**32 connections)."""
        while True:
            self._last_peer = self._last_peer % 0xFFFF_FFFF + 1
            if self._last_peer not in self._sessions:
                return PeerId(self._last_peer)

    def add(self, session: Session) -> None:
        """Add a connection."""
        self._sessions[session.peer.id] = session

    def remove(self, session: Session) -> None:
        """Remove a connection; one that is not here is ignored."""
        peer, client_id = session.peer.id, session.peer.client_id
        self._sessions.pop(peer, None)
        self.close_inbox(session)
        peers = self._by_client.get(client_id)
        if peers is not None:
            peers.pop(peer, None)
            if not peers:
                del self._by_client[client_id]

    def get(self, peer: int) -> Session | None:
        """Return the session of the connection with that number, if there is one."""
        return self._sessions.get(PeerId(peer))

    def introduce(self, session: Session) -> None:
        """Enter a connection under its client, which HELLO has named."""
        self._by_client.setdefault(session.peer.client_id, {})[session.peer.id] = None

    def newest_of(self, client_id: str) -> Session | None:
        """Return the session of a client's newest connection, if it has any."""
        peers = self._by_client.get(ClientId(client_id))
        return self._sessions[next(reversed(peers))] if peers else None

    def open_inbox(self, session: Session) -> None:
        """Make a connection the one that takes the requests to its client."""
        self._inboxes.setdefault(session.peer.client_id, {})[session.peer.id] = None

    def close_inbox(self, session: Session) -> None:
        """Give no more requests to a connection."""
        holders = self._inboxes.get(session.peer.client_id)
        if holders is not None:
            holders.pop(session.peer.id, None)
            if not holders:
                del self._inboxes[session.peer.client_id]

    def inbox_of(self, client_id: str) -> Session | None:
        """Return the session that takes a client's requests: of several, the one that opened its inbox last."""
        holders = self._inboxes.get(ClientId(client_id))
        return self._sessions[next(reversed(holders))] if holders else None
