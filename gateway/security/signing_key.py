"""Signing key: makes tokens, and the public half that verifies them. The gateway itself needs none."""

from __future__ import annotations

import base64
import json
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import jwt
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from jwt.algorithms import ECAlgorithm, HMACAlgorithm, OKPAlgorithm, RSAAlgorithm

from gateway.errors import InvalidArgument
from gateway.security.token_key import MIN_SECRET_BYTES, SECRET_ALGORITHM

RSA_BITS: Final = 3072
_PUBLIC_FIELDS: Final = ("kty", "crv", "x", "y", "n", "e", "kid", "alg", "use")


@dataclass(frozen=True, slots=True)
class SigningKey:
    """Private key, or secret, of one algorithm."""

    algorithm: str
    kid: str
    jwk: Mapping[str, Any] = field(repr=False)
    """The key as JWK (RFC 7517), with its private part."""

    @classmethod
    def generate(cls, algorithm: str, kid: str) -> SigningKey:
        """Return a new key.

        Args:
            algorithm: one of :data:`~gateway.security.token_key.ALGORITHMS`.
            kid: name of the key, which tokens will have in their headers.
        """
        match algorithm:
            case "EdDSA":
                parts = OKPAlgorithm.to_jwk(ed25519.Ed25519PrivateKey.generate(), as_dict=True)
            case "ES256":
                parts = ECAlgorithm.to_jwk(ec.generate_private_key(ec.SECP256R1()), as_dict=True)
            case "RS256":
                parts = RSAAlgorithm.to_jwk(rsa.generate_private_key(65537, RSA_BITS), as_dict=True)
            case "HS256":
                secret = base64.urlsafe_b64encode(secrets.token_bytes(MIN_SECRET_BYTES)).decode().rstrip("=")
                parts = {"kty": "oct", "k": secret}
            case _:
                raise InvalidArgument(f"algorithm {algorithm!r}: it takes EdDSA, ES256, RS256 or HS256")
        named = {name: value for name, value in parts.items() if name != "key_ops"}
        return cls(algorithm, kid, {**named, "kid": kid, "alg": algorithm, "use": "sig"})

    @classmethod
    def read(cls, text: str, where: str) -> SigningKey:
        """Return the key that a text holds as JWK.

        Raises:
            InvalidArgument: it holds none; the message has no part of the text.
        """
        try:
            jwk = json.loads(text)
            key = cls(jwk["alg"], jwk["kid"], jwk)
            key._material()
        except (ValueError, TypeError, KeyError, RecursionError, jwt.PyJWTError):
            problem = "holds no private JWK with kid and alg"
            raise InvalidArgument(f"{where} {problem}: frys keys generate writes one") from None
        if "d" not in jwk and "k" not in jwk:
            raise InvalidArgument(f"{where} holds a public key, which cannot sign: name the private one")
        return key

    @property
    def verifying_jwk(self) -> dict[str, Any]:
        """The key that verifies its tokens, as JWK: the public half; of a secret, the secret."""
        fields = (*_PUBLIC_FIELDS, "k") if self.algorithm == SECRET_ALGORITHM else _PUBLIC_FIELDS
        return {name: self.jwk[name] for name in fields if name in self.jwk}

    def sign(self, claims: Mapping[str, Any]) -> str:
        """Return a token with these claims."""
        return jwt.encode(dict(claims), self._material(), algorithm=self.algorithm, headers={"kid": self.kid})

    def _material(self) -> Any:
        if self.algorithm == SECRET_ALGORITHM:
            return HMACAlgorithm.from_jwk(dict(self.jwk))
        return jwt.PyJWK.from_dict(dict(self.jwk), self.algorithm).key
