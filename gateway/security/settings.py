"""Settings of access control."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

from gateway.errors import InvalidArgument
from gateway.security.permissions import GrantedPatterns

MAX_LEEWAY_S: Final = 300.0
"""Longest difference between the clocks of issuer and gateway that may be allowed for."""


@dataclass(frozen=True, slots=True)
class TypeGrants:
    """Patterns that clients of each type are permitted at most; ``None``: all."""

    admin_panel: GrantedPatterns | None = None
    workflow: GrantedPatterns | None = None
    agent: GrantedPatterns | None = None
    extension: GrantedPatterns | None = None


@dataclass(frozen=True, slots=True)
class SecuritySettings:
    """Settings of access control.

    Raises:
        InvalidArgument: a value is out of its range.
    """

    keys: str = ""
    """Keys of the tokens: ``file:PATH`` or ``env:NAME``, a JWK set or one public key as PEM; empty: no tokens are asked
    for, and every client is admitted."""
    audience: str = "frys"
    """Audience that a token must name in its claim ``aud``."""
    issuer: str = ""
    """Issuer that a token must name in its claim ``iss``; empty: any."""
    leeway_s: float = 5.0
    """Time by which the clocks of issuer and gateway may differ."""
    revoked: str = ""
    """File of tokens that count no more, one JSON object a line; empty: none is revoked before it expires."""
    grants: TypeGrants = field(default_factory=TypeGrants)
    """Permissions of clients by their type, whatever their tokens grant."""
    insecure: bool = False
    """Whether a gateway without keys may listen beyond loopback, and admit everybody from there."""

    def __post_init__(self) -> None:
        place, _, name = self.keys.partition(":")
        if self.keys and (place not in ("file", "env") or not name or "\0" in name):
            raise InvalidArgument(f"keys {self.keys!r} is neither file:PATH nor env:NAME: it says where the keys are")
        if self.grants != TypeGrants() and not self.keys:
            raise InvalidArgument("grants need keys: without tokens each client is of the type that it says")
        if self.revoked and not self.keys:
            raise InvalidArgument("revoked needs keys: without, there are no tokens to revoke")
        if not self.audience:
            raise InvalidArgument("audience is empty: give the name that your tokens have in their claim aud")
        if not 0 <= self.leeway_s <= MAX_LEEWAY_S:
            raise InvalidArgument(f"leeway_s is {self.leeway_s:g}: it takes 0 to {MAX_LEEWAY_S:g}")
