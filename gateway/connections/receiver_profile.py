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


class ProfileCounts:
    """Profiles of the members of a delivery class, and the number of members that have each.

    Attributes:
        counts: number of members by profile; only to be read.
        most: the profile that most of them have; of as many, that of the slower link.
    """

    __slots__ = ("counts", "most")

    def __init__(self, first: ReceiverProfile) -> None:
        self.most = first
        self.counts: dict[ReceiverProfile, int] = {}

    def swap(self, before: ReceiverProfile | None, now: ReceiverProfile | None) -> None:
        """Count a member that has come, has left, or has another profile now; ``None``: it is no member then."""
        if before is now:
            return
        counts = self.counts
        if now is not None:
            counts[now] = counts.get(now, 0) + 1
        if before is not None:
            counts[before] -= 1
            if not counts[before]:
                del counts[before]
        if counts:
            self.most = max(counts, key=lambda each: (counts[each], -each.tier.goodput_bytes_per_s))


def sdk_of(agent: str) -> str:
    """Return the SDK that HELLO names in ``agent``, as in ``frys-python/0.1``; empty if it is none of :data:`SDKS`."""
    name = agent.partition("/")[0]
    return name if name in SDKS else ""
