"""Link tiers: each rate has one, the nearest."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.connections.link_tier import TIERS, LinkTier, tier_named, tier_of, tier_of_class


@pytest.mark.parametrize("tier", TIERS)
def test_a_rate_near_that_of_a_tier_belongs_to_it(tier: LinkTier) -> None:
    for factor in (0.7, 1.0, 1.5):
        assert tier_of(tier.goodput_bytes_per_s * factor) == tier


@given(st.floats(allow_nan=True, allow_infinity=True))
def test_each_rate_has_a_tier(rate: float) -> None:
    assert tier_of(rate) in TIERS


def test_rates_without_sense_and_beyond_all_tiers() -> None:
    assert tier_of(math.nan) == tier_of(-1.0) == tier_of(0.0) == TIERS[0]
    assert tier_of(math.inf) == tier_of(1e12) == TIERS[-1]


@given(st.floats(1.0, 1e12), st.floats(1.0, 1e12))
def test_a_faster_link_is_in_no_slower_tier(one: float, other: float) -> None:
    slow, fast = sorted((one, other))
    assert TIERS.index(tier_of(slow)) <= TIERS.index(tier_of(fast))


def test_the_tier_of_a_class_is_the_one_of_most_and_by_their_rate_where_none_has_waited() -> None:
    slow, fast = tier_named("20 Mbit/s"), tier_named("loopback")
    assert (slow, fast, tier_named("")) == (TIERS[1], TIERS[-1], TIERS[-1])
    assert tier_of_class(slow, 13e9) == tier_of_class(slow, None) == slow
    assert tier_of_class(fast, 2e6) == slow
    assert tier_of_class(fast, None) is None
