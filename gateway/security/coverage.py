"""Coverage: whether one pattern of streams matches everything that another one matches (spec section 4)."""

from __future__ import annotations

from functools import lru_cache
from typing import Final

from gateway.protocol.names import AGENT_SCHEME, GROUP_SCHEME, check_pattern, is_address

ANY_ADDRESSES: Final = frozenset({f"{AGENT_SCHEME}:*", f"{GROUP_SCHEME}:*"})
"""Patterns of addresses: all inboxes, and all groups."""

COMPILED: Final = 8192
"""Granted patterns whose segments are kept."""


def check_granted(pattern: str) -> str:
    """Return a pattern that a grant may name: of streams, an address, or all addresses of a scheme.

    Raises:
        RequestRefused: ``INVALID_NAME``.
    """
    return pattern if pattern in ANY_ADDRESSES else check_pattern(pattern, hint=False)


def covers(granted: str, asked: str) -> bool:
    """Return whether everything that ``asked`` matches is matched by ``granted``.

    Args:
        granted: pattern as of :func:`check_granted`.
        asked: name or pattern of streams, or an address; valid.
    """
    if is_address(granted) or is_address(asked):
        return granted == asked or (granted in ANY_ADDRESSES and asked.startswith(granted[:-1]))
    mine, theirs = _granted_segments(granted), _segments(asked)
    for index, segment in enumerate(mine):
        if index == len(theirs):
            return False
        ending = segment.lstrip("*")
        if segment.startswith("**"):
            return theirs[-1].endswith(ending)
        other = theirs[index]
        if other.startswith("**"):
            return False  # the rest may have more segments than one
        if not (other.endswith(ending) if segment.startswith("*") else other == segment):
            return False
    return len(mine) == len(theirs)


@lru_cache(COMPILED)
def _granted_segments(pattern: str) -> list[str]:
    return _segments(pattern)


def _segments(pattern: str) -> list[str]:
    """Return the segments of a pattern; one that matches streams of any depth has a first segment, as all names do."""
    segments = pattern.split("/")
    return segments if len(segments) > 1 else ["*", *segments]
