"""Authorizer by tokens: who a client is, and of which types it may be, is what its JWT says."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from gateway.connections.ports import Clock, Grant
from gateway.connections.sessions.grant import UniformGrant
from gateway.errors import Code, RequestRefused
from gateway.ids import ClientId
from gateway.protocol.messages import ClientType
from gateway.protocol.names import INSTANCE_MARK
from gateway.security.key_ring import KeyRing
from gateway.security.permissions import Decisions, GrantedPatterns, PatternGrant
from gateway.security.settings import SecuritySettings
from gateway.security.token_verifier import TYPES_CLAIM, TokenVerifier, VerifiedToken, refused
from gateway.security.verified_tokens import VerifiedTokens

TYPES_WITHOUT_CLAIM: Final = frozenset(ClientType) - {ClientType.ADMIN_PANEL}
"""Types of a client whose token names none: an admin panel must be one by name."""


@dataclass(frozen=True, slots=True)
class TokenSubject:
    """Client that a token proves."""

    subject: ClientId
    expires_at_s: float
    """Time at which the token expires, by the monotonic clock."""
    grants: GrantedPatterns | None
    """Acts that it permits; ``None``: all."""


class TokenAuthorizer:
    """:class:`~gateway.connections.ports.Authorizer` that asks every client for a JWT.

    Args:
        settings: where the keys are, and what tokens must name.
        clock: Unix time, by which tokens expire, and monotonic time.

    Raises:
        InvalidArgument: the keys cannot be read.
    """

    def __init__(self, settings: SecuritySettings, clock: Clock) -> None:
        self._clock = clock
        self._keys = KeyRing(settings.keys, clock.monotonic_s())
        self._verifier = TokenVerifier(self._keys, settings)
        self._verified = VerifiedTokens()
        self._type_grants = settings.grants
        self._decisions = Decisions()

    def authenticate(
        self, client_id: ClientId | None, client_type: ClientType, token: str | None, now_s: float
    ) -> Grant:
        """Return the permissions of a client, whose name and type must be those of its token.

        Raises:
            RequestRefused: ``FORBIDDEN``.
        """
        identity = self.identify(client_type, token, now_s)
        subject = identity.subject
        if client_id is not None and client_id.partition(INSTANCE_MARK)[0] != subject:
            problem = f"the token is that of {subject}, and client_id is {client_id}"
            remedy = f"use {subject}, {subject}{INSTANCE_MARK} and a name of your own, or no client_id"
            raise RequestRefused(Code.FORBIDDEN, f"{problem}: {remedy}")
        of_type: GrantedPatterns | None = getattr(self._type_grants, client_type.value)
        granted = tuple([each for each in (identity.grants, of_type) if each is not None])
        if not granted:
            return UniformGrant(permitted=True, expires_at_s=identity.expires_at_s, subject=subject)
        return PatternGrant(granted, self._decisions, subject, identity.expires_at_s)

    def identify(self, client_type: ClientType, token: str | None, now_s: float) -> TokenSubject:
        """Return the client that a token proves, which may be of the type.

        Raises:
            RequestRefused: ``FORBIDDEN``.
        """
        if not token:
            problem = "this gateway asks for a token: connect with one (frys token makes it)"
            raise RequestRefused(Code.FORBIDDEN, problem)
        unix_s = self._clock.time_ns() / 1e9
        verified = self._verify(token, unix_s, now_s)
        allowed = TYPES_WITHOUT_CLAIM if verified.types is None else verified.types
        if client_type not in allowed:
            types = f"for {', '.join(sorted(allowed)) or 'no client type'}"
            raise refused(f"it is {types}, not for {client_type}: its claim {TYPES_CLAIM} says so, or is missing")
        return TokenSubject(verified.subject, now_s + verified.expires_at - unix_s, verified.grants)

    def _verify(self, token: str, unix_s: float, now_s: float) -> VerifiedToken:
        # Before the memory is asked: a key that was removed may have signed what is remembered.
        self._keys.look(now_s)
        verified = self._verified.find(token, unix_s, self._keys.generation)
        if verified is None:
            verified = self._verifier.verify(token, unix_s, now_s)
            self._verified.add(token, verified)
        return verified
