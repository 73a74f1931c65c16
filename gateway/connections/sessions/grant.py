"""Grants that answer every question alike."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from gateway.ids import StreamName


@dataclass(frozen=True, slots=True)
class UniformGrant:
    """:class:`~gateway.connections.ports.Grant` that permits everything, or nothing."""

    permitted: bool
    expires_at_s: float | None = None

    def may_publish(self, stream: StreamName) -> bool:
        """Return :attr:`permitted`."""
        return self.permitted

    def may_subscribe(self, pattern: str) -> bool:
        """Return :attr:`permitted`."""
        return self.permitted

    def may_request(self, address: str) -> bool:
        """Return :attr:`permitted`."""
        return self.permitted

    def may_control(self, pattern: str) -> bool:
        """Return :attr:`permitted`."""
        return self.permitted


NOTHING: Final = UniformGrant(permitted=False)
"""Grant of a connection that has not been authenticated."""
