"""Token keys: each verifies tokens of one algorithm only. Read from a JWK set (RFC 7517), or one public key as PEM."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any, Final

import jwt
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, EllipticCurvePublicKey
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.serialization import load_pem_public_key

from gateway.errors import InvalidArgument

ALGORITHMS: Final = ("EdDSA", "ES256", "RS256", "HS256")
"""Algorithms of tokens (RFC 7518 and RFC 8037)."""
SECRET_ALGORITHM: Final = "HS256"
"""Algorithm whose key is a secret: who can check a token can also make one."""
MIN_SECRET_BYTES: Final = 32
"""Least length of a secret: that of the hash (RFC 7518, section 3.2)."""
MIN_RSA_BITS: Final = 2048
MAX_KEYS: Final = 64
"""Keys of one set: a few are in use, and some overlap while they are replaced."""
MAX_KID_CHARS: Final = 256

_JWK_ALGORITHMS: Final = {
    ("OKP", "Ed25519"): "EdDSA",
    ("EC", "P-256"): "ES256",
    ("RSA", None): "RS256",
    ("oct", None): "HS256",
}
"""Algorithm of a JWK, by its ``kty`` and ``crv``."""

PublicKey = Ed25519PublicKey | EllipticCurvePublicKey | RSAPublicKey


@dataclass(frozen=True, slots=True)
class TokenKey:
    """Key that verifies tokens of one algorithm."""

    kid: str | None
    """Name by which tokens refer to the key; ``None``: it is the only one."""
    algorithm: str
    """The one algorithm of its tokens, whatever their headers say."""
    material: PublicKey | bytes = field(repr=False)
    """Public key, or the secret of :data:`SECRET_ALGORITHM`."""


def read_keys(text: str, where: str) -> dict[str | None, TokenKey]:
    """Return the keys that a text holds, by their ``kid``.

    Args:
        text: a JWK set, or one public key as PEM.
        where: place of the text, for error messages; these never have parts of a key.

    Raises:
        InvalidArgument: there is no key that can be used, or secrets stand beside public keys.
    """
    keys = [_read_pem(text, where)] if "-----BEGIN" in text else _read_set(text, where)
    if len({key.algorithm == SECRET_ALGORITHM for key in keys}) > 1:
        problem = f"has {SECRET_ALGORITHM} secrets beside public keys: whoever knows the secret could sign for all"
        raise InvalidArgument(f"{where} {problem}; keep the keys of one sort")
    return {key.kid: key for key in keys}


def _read_pem(text: str, where: str) -> TokenKey:
    if "PRIVATE KEY" in text:
        problem = "has a private key, which only makes tokens: give the gateway the public one"
        raise InvalidArgument(f"{where} {problem} (frys keys generate writes both)")
    try:
        material = load_pem_public_key(text.encode())
    except (ValueError, UnsupportedAlgorithm):
        raise InvalidArgument(f"{where} is not one public key as PEM: it begins with -----BEGIN PUBLIC KEY") from None
    return TokenKey(None, _algorithm_of(material, where), material)  # type: ignore[arg-type] # checked by _algorithm_of


def _algorithm_of(material: object, where: str) -> str:
    match material:
        case Ed25519PublicKey():
            return "EdDSA"
        case EllipticCurvePublicKey(curve=SECP256R1()):
            return "ES256"
        case RSAPublicKey(key_size=bits):
            if bits < MIN_RSA_BITS:
                raise InvalidArgument(f"{where} has an RSA key of {bits} bits: it takes {MIN_RSA_BITS} or more")
            return "RS256"
    raise InvalidArgument(f"{where} has a key of another kind: use Ed25519, P-256 or RSA")


def _read_set(text: str, where: str) -> list[TokenKey]:
    try:
        document = json.loads(text)
    except (ValueError, RecursionError):
        problem = "holds neither a JWK set (JSON) nor a public key (PEM)"
        raise InvalidArgument(f"{where} {problem}: frys keys generate writes a JWK set") from None
    entries = document.get("keys") if isinstance(document, dict) else None
    if not isinstance(entries, list) or not entries:
        raise InvalidArgument(f'{where} has no keys: a JWK set is {{"keys": [...]}}')
    if len(entries) > MAX_KEYS:
        raise InvalidArgument(f"{where} has {len(entries)} keys: it takes {MAX_KEYS} at most")
    keys = [_read_jwk(entry, f"{where}: key number {n}") for n, entry in enumerate(entries, 1)]
    names = [key.kid for key in keys]
    if len(keys) > 1 and None in names:
        raise InvalidArgument(f"{where} has several keys: give each a kid, which tokens name")
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise InvalidArgument(f"{where} has two keys with kid {twice!r}: give each its own")
    return keys


def _read_jwk(entry: Any, where: str) -> TokenKey:
    if not isinstance(entry, dict):
        raise InvalidArgument(f"{where} is no JSON object")
    kid = entry.get("kid")
    if not (kid is None or (isinstance(kid, str) and 0 < len(kid) <= MAX_KID_CHARS)):
        raise InvalidArgument(f"{where}: kid is no text of 1 to {MAX_KID_CHARS} characters")
    if "d" in entry:
        raise InvalidArgument(f"{where} is a private key, which only makes tokens: give the gateway the public one")
    if entry.get("use", "sig") != "sig":
        raise InvalidArgument(f"{where} is not for signatures: its use is not sig")
    kind = (str(entry.get("kty")), str(entry["crv"]) if "crv" in entry else None)
    algorithm = _JWK_ALGORITHMS.get(kind)
    if algorithm is None:
        problem = f"is of kty {kind[0]!r} and crv {kind[1]!r}"
        raise InvalidArgument(f"{where} {problem}: use OKP with Ed25519, EC with P-256, RSA, or oct")
    if entry.get("alg", algorithm) != algorithm:
        raise InvalidArgument(f"{where} names alg {entry['alg']!r}: the gateway takes {algorithm} for such a key")
    try:
        material = jwt.PyJWK.from_dict(entry, algorithm).key
    except (jwt.PyJWTError, ValueError, TypeError, KeyError, AttributeError, UnsupportedAlgorithm):
        raise InvalidArgument(f"{where} cannot be read: a field of the JWK is missing or damaged") from None
    if isinstance(material, bytes):
        if len(material) < MIN_SECRET_BYTES:
            problem = f"has a secret of {len(material)} bytes: it takes {MIN_SECRET_BYTES} or more"
            raise InvalidArgument(f"{where} {problem} (frys keys generate --algorithm HS256)")
    elif _algorithm_of(material, where) != algorithm:
        raise InvalidArgument(f"{where}: its material is not that of {algorithm}")
    return TokenKey(kid, algorithm, material)
