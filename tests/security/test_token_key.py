"""Keys are read from JWK sets and PEM: each has one algorithm, and secrets never stand beside public keys."""

from __future__ import annotations

import json
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed448, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

from gateway.errors import InvalidArgument
from gateway.security.signing_key import SigningKey
from gateway.security.token_key import ALGORITHMS, MAX_KEYS, read_keys


def pem_of(key: Any) -> str:
    return str(key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode())


def set_of(*entries: Any) -> str:
    return json.dumps({"keys": list(entries)})


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_a_jwk_has_the_algorithm_of_its_material(algorithm: str) -> None:
    jwk = SigningKey.generate(algorithm, "a").verifying_jwk
    del jwk["alg"]
    (key,) = read_keys(set_of(jwk), "keys").values()
    assert (key.kid, key.algorithm) == ("a", algorithm)


@pytest.mark.parametrize(
    ("key", "algorithm"),
    [
        (ed25519.Ed25519PrivateKey.generate(), "EdDSA"),
        (ec.generate_private_key(ec.SECP256R1()), "ES256"),
        (rsa.generate_private_key(65537, 2048), "RS256"),
    ],
)
def test_a_pem_has_the_algorithm_of_its_material(key: Any, algorithm: str) -> None:
    (read,) = read_keys(pem_of(key), "keys").values()
    assert (read.kid, read.algorithm) == (None, algorithm)


def test_keys_overlap_while_they_are_replaced() -> None:
    new, old = SigningKey.generate("ES256", "new"), SigningKey.generate("EdDSA", "old")
    keys = read_keys(set_of(new.verifying_jwk, old.verifying_jwk), "keys")
    assert {kid: key.algorithm for kid, key in keys.items()} == {"new": "ES256", "old": "EdDSA"}


def test_secrets_do_not_stand_beside_public_keys() -> None:
    both = set_of(*(SigningKey.generate(each, each).verifying_jwk for each in ("HS256", "EdDSA")))
    with pytest.raises(InvalidArgument, match="HS256 secrets beside public keys"):
        read_keys(both, "keys")


def jwk(algorithm: str = "EdDSA", **fields: Any) -> dict[str, Any]:
    return SigningKey.generate(algorithm, "a").verifying_jwk | fields


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "neither a JWK set"),
        ("a secret of more than thirty-two bytes", "neither a JWK set"),
        ("[" * 100_000, "neither a JWK set"),
        ("{}", "no keys"),
        ('{"keys": []}', "no keys"),
        ('{"keys": {}}', "no keys"),
        ('{"keys": [7]}', "key number 1 is no JSON object"),
        (set_of(*({"kty": "oct"} for _ in range(MAX_KEYS + 1))), "65 keys: it takes 64"),
        (set_of(jwk(kid=7)), "kid is no text"),
        (set_of(jwk(kid="")), "kid is no text"),
        (set_of(jwk(kid="k" * 257)), "kid is no text"),
        (set_of(jwk(), jwk(kid=None)), "give each a kid"),
        (set_of(jwk(), jwk()), "two keys with kid 'a'"),
        (set_of(dict(SigningKey.generate("EdDSA", "a").jwk)), "is a private key"),
        (set_of(jwk(use="enc")), "its use is not sig"),
        (set_of(jwk(kty="OKP", crv="X25519")), "kty 'OKP' and crv 'X25519'"),
        (set_of(jwk("ES256", crv="P-384")), "crv 'P-384'"),
        (set_of(jwk(alg="HS256")), "takes EdDSA for such a key"),
        (set_of(jwk("RS256", alg="PS256")), "takes RS256 for such a key"),
        (set_of(jwk(x="AAAA")), "missing or damaged"),
        (set_of(jwk(x=7)), "missing or damaged"),
        (set_of({"kty": "RSA", "n": "AQAB", "e": "AQAB"}), "missing or damaged|bits"),
        (set_of({"kty": "oct"}), "missing or damaged"),
        (set_of({"kty": "oct", "k": "c2hvcnQ"}), "a secret of 5 bytes: it takes 32"),
        ("-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n", "not one public key as PEM"),
        (pem_of(ec.generate_private_key(ec.SECP384R1())), "another kind"),
        (pem_of(ed448.Ed448PrivateKey.generate()), "another kind"),
        (pem_of(rsa.generate_private_key(65537, 1024)), "RSA key of 1024 bits"),
    ],
)
def test_keys_that_cannot_be_used(text: str, told: str) -> None:
    with pytest.raises(InvalidArgument, match=told):
        read_keys(text, "keys")


def test_a_private_pem_is_refused() -> None:
    private = ed25519.Ed25519PrivateKey.generate()
    text = private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
    with pytest.raises(InvalidArgument, match="private key") as caught:
        read_keys(text, "keys")
    assert text.splitlines()[1] not in str(caught.value)


def test_the_text_of_a_key_has_no_secret() -> None:
    (key,) = read_keys(set_of(jwk("HS256")), "keys").values()
    assert repr(key) == "TokenKey(kid='a', algorithm='HS256')"
