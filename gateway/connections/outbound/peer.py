"""Identity of the client at the other end of a connection."""

from __future__ import annotations

from dataclasses import dataclass

from gateway.ids import ClientId, PeerId
from gateway.protocol.messages import ClientType
from gateway.protocol.negotiation import is_dashboard, observes_by_default

_UNKNOWN = ClientId("")


@dataclass(frozen=True, slots=True, eq=False)
class Peer:
    """The client at the other end of a connection: its number from the start, the rest from its HELLO."""

    id: PeerId
    """Number of the connection on the wire."""
    client_id: ClientId = _UNKNOWN
    """Name of the client; made up by the gateway if HELLO had none, empty before HELLO."""
    client_type: ClientType = ClientType.EXTENSION
    agent: str = ""
    """The client's software, for people."""
    session_id: str = ""
    """Name of this session in WELCOME."""
    instance: int | None = None
    """Number of the running client, which its reconnects keep; ``None``: HELLO had none."""
    generation: int = 0
    """Generation of the client's program, by which it keeps its name (spec section 3.4)."""
    made_up: bool = False
    """Whether the gateway has made up the name, since HELLO had none."""
    takes_chunk_advice: bool = False
    """Whether it cuts the large messages of a stream by the size that NOTICE advises (spec section 7.6)."""

    @property
    def is_dashboard(self) -> bool:
        """Whether it only looks on, so that it comes after all others under overload."""
        return is_dashboard(self.client_type, named=not self.made_up)

    @property
    def observes(self) -> bool:
        """Whether its subscriptions observe acknowledged streams unless they say otherwise."""
        return observes_by_default(self.client_type, named=not self.made_up)
