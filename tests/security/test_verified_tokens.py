"""Verified tokens are found again until they expire or keys change, and their number is bounded."""

from __future__ import annotations

from gateway.ids import ClientId
from gateway.security.token_verifier import VerifiedToken
from gateway.security.verified_tokens import VerifiedTokens


def verified(expires_at: float = 100.0) -> VerifiedToken:
    return VerifiedToken(ClientId("trainer"), None, expires_at)


def test_a_token_is_found_until_it_expires() -> None:
    tokens = VerifiedTokens()
    tokens.add("a", verified())
    assert tokens.find("a", 99.0, 0) == verified()
    assert tokens.find("b", 99.0, 0) is None
    assert tokens.find("a", 100.0, 0) is None
    assert len(tokens) == 0


def test_other_keys_make_it_forget_all() -> None:
    tokens = VerifiedTokens()
    tokens.add("a", verified())
    assert tokens.find("a", 0.0, 1) is None
    tokens.add("a", verified())
    assert tokens.find("a", 0.0, 1) == verified()


def test_those_that_were_used_longest_ago_make_room() -> None:
    tokens = VerifiedTokens(most=2)
    tokens.add("a", verified())
    tokens.add("b", verified())
    tokens.find("a", 0.0, 0)
    tokens.add("c", verified())
    assert len(tokens) == 2
    assert [name for name in "abc" if tokens.find(name, 0.0, 0)] == ["a", "c"]


def test_a_token_is_not_kept_itself() -> None:
    tokens = VerifiedTokens()
    tokens.add("the secret text of a token", verified())
    assert "secret" not in repr(vars(tokens))


def test_a_text_that_has_no_utf8_is_just_unknown() -> None:
    assert VerifiedTokens().find("\ud800", 0.0, 0) is None
