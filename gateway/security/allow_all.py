"""Authorizer of a gateway without access control."""

from __future__ import annotations

from gateway.connections.ports import Grant
from gateway.connections.sessions.grant import EVERYTHING
from gateway.ids import ClientId
from gateway.protocol.messages import ClientType


class AllowAll:
    """:class:`~gateway.connections.ports.Authorizer` that accepts every client and permits everything."""

    def authenticate(
        self, client_id: ClientId | None, client_type: ClientType, token: str | None, now_s: float
    ) -> Grant:
        """Return a grant that permits everything and does not expire; the token is not looked at."""
        return EVERYTHING
