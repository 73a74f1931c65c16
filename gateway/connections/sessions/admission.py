"""Admission of connections by their number."""

from __future__ import annotations

from dataclasses import dataclass

from gateway.errors import Code, ProtocolViolation


@dataclass(frozen=True, slots=True)
class ConnectionLimit:
    """:class:`~gateway.connections.ports.Admission` that bounds the number of connections."""

    max_connections: int

    def check(self, connections: int) -> None:
        """Refuse a connection past the bound.

        Raises:
            ProtocolViolation: ``TOO_MANY_CONNECTIONS``.
        """
        if connections >= self.max_connections:
            problem = f"the gateway has max_connections={self.max_connections} already; try again later"
            raise ProtocolViolation(Code.TOO_MANY_CONNECTIONS, problem)
