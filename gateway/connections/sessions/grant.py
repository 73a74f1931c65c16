"""Grants that answer every question alike, and the bounds that a client type sets to any grant."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from gateway.connections.ports import Authorizer, Grant
from gateway.ids import ClientId, StreamName
from gateway.protocol.messages import ClientType


@dataclass(frozen=True, slots=True)
class UniformGrant:
    """:class:`~gateway.connections.ports.Grant` that permits everything, or nothing."""

    permitted: bool
    expires_at_s: float | None = None
    subject: ClientId | None = None

    def may_publish(self, stream: StreamName) -> bool:
        """Return :attr:`permitted`."""
        return self.permitted

    def may_subscribe(self, pattern: str) -> bool:
        """Return :attr:`permitted`."""
        return self.permitted

    def may_acknowledge(self, pattern: str) -> bool:
        """Return :attr:`permitted`."""
        return self.permitted

    def may_attend(self, pattern: str) -> bool:
        """Return :attr:`permitted`."""
        return self.permitted

    def may_replay(self, pattern: str) -> bool:
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

EVERYTHING: Final = UniformGrant(permitted=True)
"""Grant of code in the gateway's own process."""


@dataclass(frozen=True, slots=True)
class ExtensionGrant:
    """:class:`~gateway.connections.ports.Grant` of an extension (spec section 3.5): to observe, and to answer requests.

    Attributes:
        token: permissions that the token of the client states; only subscriptions are asked of it.
    """

    token: Grant

    @property
    def expires_at_s(self) -> float | None:
        """Time at which the token expires."""
        return self.token.expires_at_s

    @property
    def subject(self) -> ClientId | None:
        """Name that the token gives to its client."""
        return self.token.subject

    def may_publish(self, stream: StreamName) -> bool:
        """Return False."""
        return False

    def may_subscribe(self, pattern: str) -> bool:
        """Return whether the token permits it."""
        return self.token.may_subscribe(pattern)

    def may_acknowledge(self, pattern: str) -> bool:
        """Return False."""
        return False

    def may_attend(self, pattern: str) -> bool:
        """Return whether the token permits it."""
        return self.token.may_attend(pattern)

    def may_replay(self, pattern: str) -> bool:
        """Return whether the token permits it."""
        return self.token.may_replay(pattern)

    def may_request(self, address: str) -> bool:
        """Return False."""
        return False

    def may_control(self, pattern: str) -> bool:
        """Return False."""
        return False


class TypeAuthorizer:
    """:class:`~gateway.connections.ports.Authorizer` that bounds the grants of another one by the type of the client.

    Args:
        tokens: authenticates clients by their tokens; it decides whether a client is of the type that it claims.
    """

    def __init__(self, tokens: Authorizer) -> None:
        self._tokens = tokens

    def authenticate(
        self, client_id: ClientId | None, client_type: ClientType, token: str | None, now_s: float
    ) -> Grant:
        """Return the permissions that the token states, as far as the client type goes.

        Raises:
            RequestRefused: the token is not accepted.
        """
        grant = self._tokens.authenticate(client_id, client_type, token, now_s)
        return ExtensionGrant(grant) if client_type is ClientType.EXTENSION else grant
