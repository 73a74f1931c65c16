"""Verified tokens: those that were verified before, so that thousands that reconnect cost no signature checks."""

from __future__ import annotations

import hashlib
from typing import Final

from gateway.security.token_verifier import VerifiedToken

MAX_VERIFIED: Final = 50_000
"""Tokens that are remembered: as many as there may be connections by default."""


class VerifiedTokens:
    """Claims by the hash of their token. The tokens themselves are not kept: nobody finds them in the memory.

    Args:
        most: tokens that are remembered; beyond it, those that were verified or used longest ago are forgotten.
    """

    def __init__(self, most: int = MAX_VERIFIED) -> None:
        self._most = most
        self._tokens: dict[bytes, VerifiedToken] = {}
        """Claims by digest, in the order of their last use."""
        self._generation = 0

    def __len__(self) -> int:
        return len(self._tokens)

    def find(self, token: str, unix_s: float, generation: int) -> VerifiedToken | None:
        """Return the claims of a token that was verified by the keys of this generation, and has not expired."""
        if generation != self._generation:
            self._tokens.clear()
            self._generation = generation
        digest = _digest_of(token)
        found = self._tokens.pop(digest, None)
        if found is None or found.expires_at <= unix_s:
            return None
        self._tokens[digest] = found
        return found

    def add(self, token: str, verified: VerifiedToken) -> None:
        """Remember the claims of a token."""
        self._tokens[_digest_of(token)] = verified
        if len(self._tokens) > self._most:
            del self._tokens[next(iter(self._tokens))]


def _digest_of(token: str) -> bytes:
    # A text without UTF-8 never was a token that was verified.
    return hashlib.sha256(token.encode(errors="replace")).digest()
