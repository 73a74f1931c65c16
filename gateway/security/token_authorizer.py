"""Authorizer by tokens: who a client is, and of which types it may be, is what its JWT says."""

from __future__ import annotations

from typing import Final

from gateway.connections.ports import Clock, Grant
from gateway.connections.sessions.grant import ExtensionGrant
from gateway.errors import Code, RequestRefused
from gateway.ids import ClientId
from gateway.protocol.messages import ClientType
from gateway.protocol.names import INSTANCE_MARK
from gateway.security.key_ring import KeyRing
from gateway.security.permissions import Decisions, GrantedPatterns, PatternGrant
from gateway.security.revocations import Revocations
from gateway.security.settings import SecuritySettings
from gateway.security.token_verifier import TYPES_CLAIM, TokenVerifier, VerifiedToken, refused
from gateway.security.verified_tokens import VerifiedTokens

TYPES_WITHOUT_CLAIM: Final = frozenset(ClientType) - {ClientType.ADMIN_PANEL}
"""Types of a client whose token names none: an admin panel must be one by name."""


class TokenAuthorizer:
    """:class:`~gateway.connections.ports.Authorizer` that asks every client for a JWT.

    Args:
        settings: where the keys are, and what tokens must name.
        clock: Unix time, by which tokens expire, and monotonic time.

    Raises:
        InvalidArgument: the keys, or the revocations, cannot be read.
    """

    def __init__(self, settings: SecuritySettings, clock: Clock) -> None:
        self._clock = clock
        self._keys = KeyRing(settings.keys, clock.monotonic_s())
        self._verifier = TokenVerifier(self._keys, settings)
        self._verified = VerifiedTokens()
        self._revocations = Revocations(settings.revoked)
        self._seen = (0, 0)
        self._type_grants = settings.grants
        self._decisions = Decisions()

    def authenticate(
        self, client_id: ClientId | None, client_type: ClientType, token: str | None, now_s: float
    ) -> Grant:
        """Return the permissions of a client, whose name and type must be those of its token.

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
        subject = verified.subject
        if client_id is not None and client_id.partition(INSTANCE_MARK)[0] != subject:
            problem = f"the token is that of {subject}, and client_id is {client_id}"
            remedy = f"use {subject}, {subject}{INSTANCE_MARK} and a name of your own, or no client_id"
            raise RequestRefused(Code.FORBIDDEN, f"{problem}: {remedy}")
        of_type: GrantedPatterns | None = getattr(self._type_grants, client_type.value)
        granted = tuple([each for each in (verified.grants, of_type) if each is not None])
        return PatternGrant(granted, self._decisions, subject, now_s + verified.expires_at - unix_s, verified)

    def look(self, now_s: float) -> bool:
        """Return whether keys were replaced, or tokens revoked, since the last look."""
        self._keys.look(now_s)
        self._revocations.look()
        state = self._keys.generation, self._revocations.generation
        changed, self._seen = state != self._seen, state
        return changed

    def withdrawn(self, grant: Grant) -> bool:
        """Return whether the token of a grant was revoked, or its key removed."""
        if isinstance(grant, ExtensionGrant):
            grant = grant.token
        token = grant.token if isinstance(grant, PatternGrant) else None
        if not isinstance(token, VerifiedToken) or token.key is None:
            return False
        return self._revoked(token) or not self._keys.holds(token.key)

    def _verify(self, token: str, unix_s: float, now_s: float) -> VerifiedToken:
        # Before the memory is asked: a key that was removed may have signed what is remembered.
        self._keys.look(now_s)
        verified = self._verified.find(token, unix_s, self._keys.generation)
        if verified is None:
            verified = self._verifier.verify(token, unix_s, now_s)
            self._verified.add(token, verified)
        if self._revoked(verified):
            raise refused("it was revoked: get another one, if you may")
        return verified

    def _revoked(self, token: VerifiedToken) -> bool:
        return self._revocations.is_revoked(token.token_id, token.subject, token.issued_at)
