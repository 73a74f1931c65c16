"""Token verifier: from the text of a JWT to the claims that a client may rely on (RFC 7519, RFC 8725)."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final, TypeGuard

import jwt
import orjson

from gateway.errors import Code, InvalidArgument, RequestRefused
from gateway.ids import ClientId
from gateway.protocol.messages import ClientType
from gateway.protocol.names import INSTANCE_MARK, is_client_id
from gateway.security.key_ring import KeyRing
from gateway.security.permissions import GrantedPatterns
from gateway.security.settings import SecuritySettings
from gateway.security.token_key import TokenKey

MAX_TOKEN_CHARS: Final = 8192
"""Longest token: with some hundred patterns of streams it has half of that."""
TYPES_CLAIM: Final = "client_type"
"""Claim with the type of the client, or a list of types."""
MAX_SUBJECT_CHARS: Final = 100
"""Longest subject: a ``client_id`` has 128 characters, and 14 may follow the subject."""
GRANTS_CLAIM: Final = "grants"
"""Claim with the permissions of the client."""
_SHOWN_CHARS: Final = 40
_OPTIONS: Final = {
    "require": ["exp", "aud", "sub"],
    "strict_aud": True,
    # By the clock of the gateway, below.
    "verify_exp": False,
    "verify_nbf": False,
    "verify_iat": False,
}


@dataclass(frozen=True, slots=True)
class VerifiedToken:
    """Claims of a token whose signature, issuer, audience and times were verified."""

    subject: ClientId
    """Name of the client, and beginning of the names of further clients of the same subject."""
    types: frozenset[ClientType] | None
    """Types that its clients may have; ``None``: it does not say."""
    expires_at: float
    """Unix time in seconds at which it expires."""
    grants: GrantedPatterns | None = None
    """Acts that it permits; ``None``: it names none, and permits all."""
    token_id: str | None = None
    """Name by which it may be revoked, its ``jti``."""
    issued_at: float | None = None
    """Unix time at which it was issued."""
    key: TokenKey | None = field(default=None, compare=False)
    """Key that has verified it."""


class TokenVerifier:
    """Verifier of the tokens of one gateway.

    Args:
        keys: keys of the tokens.
        settings: audience and issuer that tokens must name.
    """

    def __init__(self, keys: KeyRing, settings: SecuritySettings) -> None:
        self._keys = keys
        self._settings = settings

    def verify(self, token: str, unix_s: float, now_s: float) -> VerifiedToken:
        """Return the claims of a token.

        Args:
            token: the text of the token.
            unix_s: Unix time.
            now_s: monotonic time.

        Raises:
            RequestRefused: ``FORBIDDEN``; the message has no part of the token but the name of its key.
        """
        if len(token) > MAX_TOKEN_CHARS:
            raise refused(f"it has {len(token)} characters, and may have {MAX_TOKEN_CHARS}")
        header = _header_of(token)
        kid, algorithm = header.get("kid"), header.get("alg")
        if not (kid is None or isinstance(kid, str)):
            raise refused("the kid of its header is no text")
        if "crit" in header:
            raise refused("its header names extensions (crit), of which the gateway knows none")
        key = self._keys.find(kid, now_s)
        if key is None:
            named = "names no key (kid)" if kid is None else f"is signed by key {_shown(kid)}, which is unknown"
            raise refused(f"it {named}: sign by a key of security.keys, or add this one there")
        if algorithm != key.algorithm:
            raise refused(f"its algorithm is {_shown(algorithm)}, and that of its key is {key.algorithm}")
        issuer = self._settings.issuer or None
        try:
            claims = jwt.decode(
                token,
                key.material,
                algorithms=[key.algorithm],
                audience=self._settings.audience,
                issuer=issuer,
                options=_OPTIONS,  # type: ignore[arg-type] # a TypedDict that mypy does not infer from a constant
            )
        except jwt.MissingRequiredClaimError as error:
            raise refused(f"it has no claim {error.claim}") from None
        except jwt.InvalidAudienceError:
            problem = f"its audience (aud) is not {self._settings.audience!r} alone"
            raise refused(f"{problem}, which security.audience asks for") from None
        except jwt.InvalidIssuerError:
            raise refused(f"its issuer (iss) is not {issuer!r}, which security.issuer asks for") from None
        except jwt.InvalidSignatureError:
            raise refused("its signature is wrong: it was changed, or signed by another key") from None
        except (jwt.PyJWTError, ValueError, TypeError, RecursionError):
            raise _no_jwt() from None
        return self._verified(claims, unix_s, key)

    def _verified(self, claims: Mapping[str, Any], unix_s: float, key: TokenKey) -> VerifiedToken:
        leeway_s = self._settings.leeway_s
        expires_at = _time_in(claims, "exp") + leeway_s
        if expires_at <= unix_s:
            ago_s = unix_s - expires_at + leeway_s
            raise refused(f"it expired {ago_s:.0f} s ago, by the clock of the gateway: get another one")
        for name in ("nbf", "iat"):
            early_s = (_time_in(claims, name) - unix_s) if name in claims else 0.0
            if early_s > leeway_s:
                raise refused(f"it is valid in {early_s:.0f} s only ({name}), by the clock of the gateway")
        token_id = claims.get("jti")
        if not (token_id is None or isinstance(token_id, str)):
            raise refused("its claim jti is no text")
        issued_at = _time_in(claims, "iat") if "iat" in claims else None
        permitted = _types_in(claims), expires_at, _grants_in(claims)
        return VerifiedToken(_subject_in(claims), *permitted, token_id, issued_at, key)


def refused(problem: str) -> RequestRefused:
    """Return the refusal of a token."""
    return RequestRefused(Code.FORBIDDEN, f"the token is refused: {problem}")


def _header_of(token: str) -> dict[str, Any]:
    try:
        # Read here too, for its key, by a parser that is bounded in depth.
        header = orjson.loads(jwt.utils.base64url_decode(token.partition(".")[0]))
    except (ValueError, TypeError):
        raise _no_jwt() from None
    if not isinstance(header, dict):
        raise _no_jwt()
    return header


def _no_jwt() -> RequestRefused:
    return refused("it is no JWT of three parts with claims as a JSON object")


def _time_in(claims: Mapping[str, Any], name: str) -> float:
    value = claims[name]
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value) or abs(value) > 1e12:
        raise refused(f"its claim {name} is no Unix time in seconds")
    return float(value)


def is_subject(value: object) -> TypeGuard[ClientId]:
    """Return whether a value can be the subject of a token.

    With a mark inside or half of one at the end, the ``client_id`` of one subject could be read as that of another.
    """
    if not isinstance(value, str) or INSTANCE_MARK in value or value.endswith(INSTANCE_MARK[0]):
        return False
    return is_client_id(value) and len(value) <= MAX_SUBJECT_CHARS


def _subject_in(claims: Mapping[str, Any]) -> ClientId:
    subject = claims["sub"]
    if is_subject(subject):
        return subject
    rule = f"letters, digits, '.', '_' and '-', {MAX_SUBJECT_CHARS} at most, without {INSTANCE_MARK!r} and no '-' last"
    raise refused(f"its subject (sub) cannot name a client: it takes {rule}")


def _grants_in(claims: Mapping[str, Any]) -> GrantedPatterns | None:
    claim = claims.get(GRANTS_CLAIM)
    if claim is None:
        return None
    try:
        return GrantedPatterns.of(claim)
    except InvalidArgument as error:
        raise refused(f"its claim {GRANTS_CLAIM} cannot be used: {error}") from None


def _types_in(claims: Mapping[str, Any]) -> frozenset[ClientType] | None:
    named = claims.get(TYPES_CLAIM)
    if named is None:
        return None
    types = named if isinstance(named, list) else [named]
    if not all(isinstance(each, str) and each in set(ClientType) for each in types):
        raise refused(f"its claim {TYPES_CLAIM} is none of {', '.join(ClientType)}, nor a list of these")
    return frozenset(ClientType(each) for each in types)


def _shown(value: object) -> str:
    """Return a value of a header, which anybody may have written, as an error shows it."""
    text = ascii(value)
    return text if len(text) <= _SHOWN_CHARS else text[:_SHOWN_CHARS] + "..."
