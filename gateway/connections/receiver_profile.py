"""Receiver profile: all that the choice of an encoding may know of a receiver."""

from __future__ import annotations

from typing import Final, NamedTuple

from gateway.connections.link_tier import TIERS, LinkTier

SDKS: Final = ("frys-python", "frys-js")
"""SDKs that are told apart, by name. Clients may call themselves anything, so all others are of one unknown SDK."""


class ReceiverProfile(NamedTuple):
    """Properties of a receiver, or of most receivers of a delivery class, by which an encoding is chosen.

    A tuple of hashable values, to look decisions up by.
    """

    codecs: frozenset[str]
    """Codecs and filters that it knows, by name."""
    tier: LinkTier = TIERS[-1]
    """Tier of its link; the fastest before anything has waited for it."""
    sdk: str = ""
    """One of :data:`SDKS`; empty: another one. The time that decoding takes depends on it."""


_profiles: dict[ReceiverProfile, ReceiverProfile] = {}


def shared(profile: ReceiverProfile) -> ReceiverProfile:
    """Return one object for all equal profiles: ten thousand connections share a handful."""
    return _profiles.setdefault(profile, profile)


def sdk_of(agent: str) -> str:
    """Return the SDK that HELLO names in ``agent``, as in ``frys-python/0.1``; empty if it is none of :data:`SDKS`."""
    name = agent.partition("/")[0]
    return name if name in SDKS else ""
