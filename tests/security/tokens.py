"""Tokens for tests: an issuer with its file of keys, beside a clock that stands still."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import jwt

from gateway.security.key_ring import KeyRing
from gateway.security.settings import SecuritySettings
from gateway.security.signing_key import SigningKey
from gateway.security.token_verifier import TokenVerifier

UNIX_S = 1_800_000_000
"""Unix time of tests that name one."""


class Issuer:
    """Issuer of tokens.

    Attributes:
        path: file of its keys, as a JWK set.
        key: the key that it signs with.
    """

    def __init__(self, path: Path, algorithm: str = "EdDSA", kid: str = "first") -> None:
        self.path = path
        self.key = SigningKey.generate(algorithm, kid)
        self.publish(self.key)

    def publish(self, *keys: SigningKey) -> None:
        """Write the file anew, with these keys."""
        self.path.write_text(json.dumps({"keys": [key.verifying_jwk for key in keys]}))

    @property
    def settings(self) -> SecuritySettings:
        """Settings of a gateway that takes its tokens."""
        return SecuritySettings(keys=f"file:{self.path}")

    def verifier(self, now_s: float = 0.0) -> TokenVerifier:
        """Return a verifier with its keys."""
        return TokenVerifier(KeyRing(self.settings.keys, now_s), self.settings)

    def token(self, subject: Any = "trainer", *, unix_s: Any = UNIX_S, ttl_s: Any = 3600, **claims: Any) -> str:
        """Return a token; a claim that is None is left out."""
        known = {"sub": subject, "aud": "frys", "exp": round(unix_s + ttl_s), **claims}
        return self.sign({name: value for name, value in known.items() if value is not None})

    def sign(self, claims: dict[str, Any]) -> str:
        """Return a token with claims that may be of any type, wrong ones too."""
        text = json.dumps(claims).encode()
        return jwt.PyJWS().encode(text, self.key._material(), self.key.algorithm, {"kid": self.key.kid, "typ": "JWT"})
