"""Authorizer of a gateway without access control."""

from __future__ import annotations

from typing import Final

from gateway.connections.ports import Grant
from gateway.connections.sessions.grant import UniformGrant
from gateway.ids import ClientId
from gateway.protocol.messages import ClientType

_EVERYTHING: Final = UniformGrant(permitted=True)


class AllowAll:
    """:class:`~gateway.connections.ports.Authorizer` that accepts every client and permits everything."""

    def authenticate(self, client_id: ClientId, client_type: ClientType, token: str | None, now_s: float) -> Grant:
        """Return a grant that permits everything and does not expire; the token is not looked at."""
        return _EVERYTHING
