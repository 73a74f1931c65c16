"""Signing keys make tokens; what they give to gateways has no private part."""

from __future__ import annotations

import json

import pytest

from gateway.errors import InvalidArgument
from gateway.security.signing_key import SigningKey
from gateway.security.token_key import ALGORITHMS, read_keys


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_a_key_comes_back_from_its_text_and_signs_for_its_public_half(algorithm: str) -> None:
    key = SigningKey.generate(algorithm, "2026")
    again = SigningKey.read(json.dumps(dict(key.jwk)), "here")
    assert (again.algorithm, again.kid, again.verifying_jwk) == (algorithm, "2026", key.verifying_jwk)
    assert read_keys(json.dumps({"keys": [again.verifying_jwk]}), "there")["2026"].algorithm == algorithm


@pytest.mark.parametrize("algorithm", ["EdDSA", "ES256", "RS256"])
def test_the_public_half_has_nothing_private(algorithm: str) -> None:
    key = SigningKey.generate(algorithm, "2026")
    private = {name for name in key.jwk if name not in key.verifying_jwk}
    assert private >= {"d"}
    assert not private & set(key.verifying_jwk)


def test_its_text_for_people_has_nothing_private() -> None:
    key = SigningKey.generate("HS256", "2026")
    assert key.jwk["k"] not in repr(key)


def test_an_unknown_algorithm() -> None:
    with pytest.raises(InvalidArgument, match="EdDSA, ES256, RS256 or HS256"):
        SigningKey.generate("none", "2026")


@pytest.mark.parametrize("text", ["", "{}", "[]", "[" * 5000, '{"alg": "HS256", "kid": "a", "kty": "oct"}', '"k"'])
def test_a_text_that_holds_none(text: str) -> None:
    with pytest.raises(InvalidArgument, match="here holds no private JWK"):
        SigningKey.read(text, "here")


def test_a_public_key_cannot_sign() -> None:
    text = json.dumps(SigningKey.generate("EdDSA", "2026").verifying_jwk)
    with pytest.raises(InvalidArgument, match="public key, which cannot sign"):
        SigningKey.read(text, "here")
