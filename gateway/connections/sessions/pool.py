"""All connections of the gateway, by peer number and by client."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from gateway.connections.admission.population import Population
from gateway.connections.sessions.session import Session
from gateway.ids import ClientId, PeerId

BLOCK: Final = 512
"""Connections whose numbers follow each other and that are walked through together."""


class Pool:
    """The gateway's connections, with an index by client and one of open inboxes.

    Attributes:
        population: their numbers.
    """

    def __init__(self) -> None:
        self.population = Population()
        self._blocks: dict[int, dict[int, Session]] = {}
        """Connections by their numbers divided by :data:`BLOCK`, and by their numbers."""
        self._inboxes: dict[ClientId, Session] = {}
        self._by_client: dict[ClientId, Session] = {}
        self._last_peer = 0

    def __len__(self) -> int:
        return self.population.connections

    def __iter__(self) -> Iterator[Session]:
        """Iterate over the connections, which may come and go meanwhile, without a copy of all: 100,000 take 2 ms."""
        for number in list(self._blocks):
            yield from list(self._blocks.get(number, {}).values())

    @property
    def newest_peer(self) -> int:
        """Number of the newest connection, which may be gone; 0 before the first."""
        return self._last_peer

    def next_peer(self) -> PeerId:
        """Return a number for a new connection that no other has had (it wraps after 2**32 connections)."""
        while True:
            self._last_peer = self._last_peer % 0xFFFF_FFFF + 1
            if self.get(self._last_peer) is None:
                return PeerId(self._last_peer)

    def add(self, session: Session) -> None:
        """Add a connection."""
        self.population.connections += 1
        self._blocks.setdefault(session.peer.id // BLOCK, {})[session.peer.id] = session

    def remove(self, session: Session) -> None:
        """Remove a connection; one that is not here is ignored."""
        number = session.peer.id // BLOCK
        block = self._blocks.get(number, {})
        if block.pop(session.peer.id, None) is not None:
            if not block:
                del self._blocks[number]
            self.population.connections -= 1
            self.population.by_type[session.peer.client_type] -= session.introduced
        self.close_inbox(session)
        client_id = session.peer.client_id
        if self._by_client.get(client_id) is session:
            del self._by_client[client_id]

    def get(self, peer: int) -> Session | None:
        """Return the session of the connection with that number, if there is one."""
        block = self._blocks.get(peer // BLOCK)
        return None if block is None else block.get(peer)

    def introduce(self, session: Session) -> None:
        """Enter a connection under its client, which HELLO has named: an earlier one may still be on its way out."""
        self.population.by_type[session.peer.client_type] += not session.introduced
        session.introduced = True
        self._by_client[session.peer.client_id] = session

    def newest_of(self, client_id: str) -> Session | None:
        """Return the session of a client's newest connection, if it stands."""
        return self._by_client.get(ClientId(client_id))

    def open_inbox(self, session: Session) -> None:
        """Make a connection the one that takes the requests to its client."""
        self._inboxes[session.peer.client_id] = session

    def close_inbox(self, session: Session) -> None:
        """Give no more requests to a connection."""
        client_id = session.peer.client_id
        if self._inboxes.get(client_id) is session:
            del self._inboxes[client_id]

    def inbox_of(self, client_id: str) -> Session | None:
        """Return the session that takes a client's requests, if it has opened its inbox."""
        return self._inboxes.get(ClientId(client_id))
