"""ScopeMember: a client that has joined a scope."""

from __future__ import annotations

from dataclasses import dataclass, field

import orjson

from gateway.connections.outbound.peer import Peer
from gateway.connections.sessions.session import Session
from gateway.ids import ClientId
from gateway.protocol.presence import trimmed


@dataclass(slots=True, eq=False)
class AwarenessState:
    """Short-lived state of a member."""

    client_id: ClientId
    written: bytes
    """The state as JSON."""
    version: int = 0
    """Version of the roster that brought it."""


@dataclass(slots=True, eq=False)
class ScopeMember:
    """A client that has joined a scope."""

    session: Session | None
    """Connection by which the client is a member; ``None``: the connection is lost, and the client may come back."""
    peer: Peer
    """The client, as its newest connection has introduced it."""
    metadata: bytes
    """Metadata as JSON."""
    version: int = 0
    """Version of the roster that brought the newest metadata or connection."""
    number: int = 0
    """Number that no other member of the scope has; members are listed in its order."""
    awareness: AwarenessState | None = None
    written: bytes = field(init=False)
    """The member as MEMBERS describes it (spec section 16.2)."""

    def __post_init__(self) -> None:
        self.written = self._write()

    @property
    def client_id(self) -> ClientId:
        """Name of the client."""
        return self.peer.client_id

    @property
    def nbytes(self) -> int:
        """Bytes of its metadata and awareness."""
        return len(self.metadata) + (0 if self.awareness is None else len(self.awareness.written))

    def change(self, session: Session, metadata: bytes) -> None:
        """Take other metadata, or another connection of the client."""
        self.session, self.peer, self.metadata = session, session.peer, metadata
        self.written = self._write()

    def _write(self) -> bytes:
        written = orjson.dumps(
            {
                "client_id": self.peer.client_id,
                "client_type": self.peer.client_type,
                "peer": self.peer.id,
                "generation": self.peer.generation,
                "metadata": orjson.Fragment(self.metadata),
            }
        )
        return trimmed(written)
