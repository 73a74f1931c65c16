"""Link tiers: rates of links in five steps, so that figures of many links can be told together."""

from __future__ import annotations

import math
from typing import Final, NamedTuple


class LinkTier(NamedTuple):
    """Links of about one rate."""

    name: str
    """Name, for people."""
    goodput_bytes_per_s: float
    """Rate at which such a link takes bytes."""


TIERS: Final = (
    LinkTier("2 Mbit/s", 250e3),
    LinkTier("20 Mbit/s", 2.5e6),
    LinkTier("200 Mbit/s", 25e6),
    LinkTier("1 Gbit/s", 125e6),
    LinkTier("loopback", 1.25e9),
)
"""All tiers, the slowest first. A link of the same machine passes some 1.25 GB/s to a receiver in Python."""


def tier_of(goodput_bytes_per_s: float) -> LinkTier:
    """Return the tier whose rate is the nearest, as a factor; rates that make no sense count as the slowest."""
    if not goodput_bytes_per_s > 0:  # NaN too
        return TIERS[0]
    rate = math.log(min(goodput_bytes_per_s, TIERS[-1].goodput_bytes_per_s))
    return min(TIERS, key=lambda tier: abs(math.log(tier.goodput_bytes_per_s) - rate))


def tier_named(name: str) -> LinkTier:
    """Return the tier of this name; the fastest one if there is none."""
    return next((tier for tier in TIERS if tier.name == name), TIERS[-1])


def tier_of_class(named: LinkTier, goodput_bytes_per_s: float | None) -> LinkTier | None:
    """Return the tier of the receivers of a delivery class; ``None``: it is not known.

    Args:
        named: tier of most of them. The fastest one is also that of receivers of which nothing was measured.
        goodput_bytes_per_s: median of their rates, which may be that of another tier; ``None``: none is known.
    """
    if named != TIERS[-1]:
        return named
    return None if goodput_bytes_per_s is None else tier_of(goodput_bytes_per_s)
