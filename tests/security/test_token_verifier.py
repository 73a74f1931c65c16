"""A token is taken if its key has signed it, by the algorithm of that key, for this gateway, and if it is valid."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from hypothesis import given
from hypothesis import strategies as st

from gateway.errors import Code, RequestRefused
from gateway.protocol.messages import ClientType
from gateway.security.key_ring import KeyRing
from gateway.security.settings import SecuritySettings
from gateway.security.signing_key import SigningKey
from gateway.security.token_key import ALGORITHMS
from gateway.security.token_verifier import MAX_TOKEN_CHARS, TokenVerifier, VerifiedToken
from tests.security.tokens import UNIX_S, Issuer


@pytest.fixture(scope="module")
def issuer(tmp_path_factory: pytest.TempPathFactory) -> Issuer:
    return Issuer(tmp_path_factory.mktemp("keys") / "keys.json")


def verify(issuer: Issuer, token: str, unix_s: float = UNIX_S) -> VerifiedToken:
    return issuer.verifier().verify(token, unix_s, 0.0)


def refusal_of(issuer: Issuer, token: str, unix_s: float = UNIX_S) -> str:
    with pytest.raises(RequestRefused) as caught:
        verify(issuer, token, unix_s)
    assert caught.value.code == Code.FORBIDDEN
    return caught.value.message


def encoded(data: bytes | dict[str, Any]) -> str:
    text = data if isinstance(data, bytes) else json.dumps(data).encode()
    return base64.urlsafe_b64encode(text).decode().rstrip("=")


def forged(header: dict[str, Any], sign: Callable[[bytes], bytes]) -> str:
    claims = {"sub": "trainer", "aud": "frys", "exp": UNIX_S + 60}
    signed = f"{encoded(header)}.{encoded(claims)}"
    return f"{signed}.{encoded(sign(signed.encode()))}"


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_a_good_token_by_each_algorithm(tmp_path: Path, algorithm: str) -> None:
    issuer = Issuer(tmp_path / "keys.json", algorithm)
    verified = verify(issuer, issuer.token(client_type="agent"))
    assert verified == VerifiedToken("trainer", frozenset({ClientType.AGENT}), UNIX_S + 3605)  # type: ignore[arg-type]


# Attacks.


@pytest.mark.parametrize("algorithm", ["none", "None", "NONE", "", None, 7, ["EdDSA"], "HS256", "RS256", "ES256"])
def test_a_token_does_not_choose_its_algorithm(issuer: Issuer, algorithm: Any) -> None:
    token = forged({"alg": algorithm, "kid": "first"}, lambda _: b"")
    assert "its algorithm is" in refusal_of(issuer, token)


def test_a_public_key_is_no_secret_of_hs256(issuer: Issuer) -> None:
    public = issuer.verifier()._keys.find("first", 0.0)
    assert public is not None
    assert not isinstance(public.material, bytes)
    as_texts = [
        public.material.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo),
        public.material.public_bytes(Encoding.Raw, PublicFormat.Raw),
        json.dumps(issuer.key.verifying_jwk).encode(),
        issuer.path.read_bytes(),
    ]
    for secret in as_texts:
        token = forged({"alg": "HS256", "kid": "first"}, lambda m, s=secret: hmac.digest(s, m, hashlib.sha256))  # type: ignore[misc]
        assert "its algorithm is 'HS256', and that of its key is EdDSA" in refusal_of(issuer, token)


def test_a_jwk_is_no_secret_of_hs256(tmp_path: Path) -> None:
    issuer = Issuer(tmp_path / "keys.json", "HS256")
    secret = json.dumps(issuer.key.verifying_jwk).encode()
    token = forged({"alg": "HS256", "kid": "first"}, lambda message: hmac.digest(secret, message, hashlib.sha256))
    assert "signature is wrong" in refusal_of(issuer, token)


@pytest.mark.parametrize("field", ["jwk", "jku", "x5c", "x5u"])
def test_a_key_in_the_header_is_not_used(issuer: Issuer, field: str) -> None:
    thief = SigningKey.generate("EdDSA", "first")
    claims = {"sub": "trainer", "aud": "frys", "exp": UNIX_S + 60}
    token = jwt.encode(claims, thief._material(), "EdDSA", {"kid": "first", field: thief.verifying_jwk})
    assert "signature is wrong" in refusal_of(issuer, token)


def test_extensions_that_must_be_understood_are_not(issuer: Issuer) -> None:
    token = forged({"alg": "EdDSA", "kid": "first", "crit": ["b64"], "b64": False}, lambda _: b"")
    assert "(crit)" in refusal_of(issuer, token)


def test_another_key_of_the_same_name(issuer: Issuer, tmp_path: Path) -> None:
    thief = Issuer(tmp_path / "keys.json")
    assert "signature is wrong" in refusal_of(issuer, thief.token())


def test_the_algorithm_of_one_key_does_not_do_for_another(tmp_path: Path) -> None:
    issuer = Issuer(tmp_path / "keys.json", "EdDSA", "first")
    second = SigningKey.generate("ES256", "second")
    issuer.publish(issuer.key, second)
    posing = SigningKey("ES256", "first", second.jwk)
    token = posing.sign({"sub": "trainer", "aud": "frys", "exp": UNIX_S + 60})
    assert "its algorithm is 'ES256', and that of its key is EdDSA" in refusal_of(issuer, token)


def test_a_changed_claim(issuer: Issuer) -> None:
    head, _, signature = issuer.token().split(".")
    claims = encoded({"sub": "admin", "aud": "frys", "exp": UNIX_S + 60})
    assert "signature is wrong" in refusal_of(issuer, f"{head}.{claims}.{signature}")


def test_the_refusal_of_an_unknown_key_is_short_and_printable(issuer: Issuer) -> None:
    token = forged({"alg": "EdDSA", "kid": "\n\x1b[31m" + "k" * 4000}, lambda _: b"")
    message = refusal_of(issuer, token)
    assert "is unknown" in message
    assert message.isprintable()
    assert len(message) < 250


# Claims.


@pytest.mark.parametrize("claim", ["exp", "aud", "sub"])
def test_claims_that_a_token_must_have(issuer: Issuer, claim: str) -> None:
    assert f"no claim {claim}" in refusal_of(issuer, issuer.token(**{claim: None}))


@pytest.mark.parametrize("audience", ["other", ["frys"], ["frys", "other"], "", 7])
def test_another_audience(issuer: Issuer, audience: Any) -> None:
    assert "refused" in refusal_of(issuer, issuer.token(aud=audience))


def test_another_issuer(issuer: Issuer) -> None:
    settings = SecuritySettings(keys=issuer.settings.keys, issuer="https://issuer.example")
    verifier = TokenVerifier(KeyRing(settings.keys, 0.0), settings)
    assert verifier.verify(issuer.token(iss="https://issuer.example"), UNIX_S, 0.0).subject == "trainer"
    for other in ("https://other.example", None, 7, ["https://issuer.example"]):
        with pytest.raises(RequestRefused, match="refused"):
            verifier.verify(issuer.token(iss=other), UNIX_S, 0.0)


def test_a_token_expires_by_the_clock_of_the_gateway_and_its_leeway(issuer: Issuer) -> None:
    token = issuer.token(ttl_s=60)
    assert verify(issuer, token, UNIX_S + 64.9).expires_at == UNIX_S + 65
    assert "expired 5 s ago" in refusal_of(issuer, token, UNIX_S + 65)


@pytest.mark.parametrize("claim", ["nbf", "iat"])
def test_a_token_that_is_not_valid_yet(issuer: Issuer, claim: str) -> None:
    token = issuer.token(**{claim: UNIX_S + 60})
    assert f"valid in 60 s only ({claim})" in refusal_of(issuer, token)
    assert verify(issuer, token, UNIX_S + 55).subject == "trainer"


@pytest.mark.parametrize("claim", ["exp", "nbf", "iat"])
@pytest.mark.parametrize("value", [True, "1", [], {}, 1e300, -1e13])
def test_a_time_that_is_none(issuer: Issuer, claim: str, value: Any) -> None:
    assert f"claim {claim}" in refusal_of(issuer, issuer.token(**{claim: value}))


@pytest.mark.parametrize("subject", ["", "a b", "a--b", "a-", "-a", "a/b", "ä", "a" * 101, 7, ["trainer"], {}])
def test_a_subject_that_cannot_name_a_client(issuer: Issuer, subject: Any) -> None:
    assert "refused" in refusal_of(issuer, issuer.token(subject))


@pytest.mark.parametrize("types", ["root", ["agent", "root"], 7, {"agent": True}, [["agent"]]])
def test_types_that_there_are_not(issuer: Issuer, types: Any) -> None:
    assert "client_type" in refusal_of(issuer, issuer.token(client_type=types))


# Texts that are no tokens.


def test_a_token_that_is_too_long(issuer: Issuer) -> None:
    assert f"may have {MAX_TOKEN_CHARS}" in refusal_of(issuer, issuer.token(note="n" * MAX_TOKEN_CHARS))


@given(st.text(max_size=200) | st.lists(st.text("ab.=_-{}[]", max_size=30), min_size=3, max_size=3).map(".".join))
def test_any_text_is_refused_in_words_that_do_not_repeat_it(issuer: Issuer, text: str) -> None:
    refusal_of(issuer, text)


plain = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=9)


@given(st.recursive(plain, st.lists, max_leaves=9))
def test_any_claims_are_taken_or_refused(issuer: Issuer, value: Any) -> None:
    for claim in ("sub", "exp", "aud", "nbf", "client_type"):
        claims: dict[str, Any] = {"sub": "trainer", "aud": "frys", "exp": UNIX_S + 60, claim: value}
        with suppress(RequestRefused):
            assert verify(issuer, issuer.sign(claims)).subject == claims["sub"]


@pytest.mark.parametrize("part", [b"[" * 3000, b"{" * 3000, b"\xff\xfe", b"null", b"[]", b'"text"', b"7"])
def test_headers_that_are_no_objects(issuer: Issuer, part: bytes) -> None:
    assert "no JWT" in refusal_of(issuer, f"{encoded(part)}.{encoded(part)}.AAAA")
