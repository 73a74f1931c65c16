"""Bearer: the token in the head of an HTTP request (RFC 6750, section 2.1)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

SCHEME: Final = "bearer"


def bearer_of(fields: Sequence[str]) -> str | None:
    """Return the token of a request; ``None`` if it has none, or several.

    Args:
        fields: values of its fields ``Authorization``.
    """
    if len(fields) != 1:
        return None
    scheme, _, token = fields[0].partition(" ")
    return token.strip() or None if scheme.lower() == SCHEME else None
