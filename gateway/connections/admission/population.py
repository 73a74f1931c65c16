"""Population: numbers of the connections that stand, as admission needs them."""

from __future__ import annotations

from gateway.protocol.messages import ClientType


class Population:
    """Numbers of connections.

    Attributes:
        connections: all connections.
        by_type: those whose HELLO has been accepted, by the type of their client.
    """

    __slots__ = ("by_type", "connections")

    def __init__(self) -> None:
        self.connections = 0
        self.by_type = dict.fromkeys(ClientType, 0)
