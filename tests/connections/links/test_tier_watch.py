"""Tier watch: a slower link shows at the second rate, a faster one after some seconds, and noise at a border never."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.connections.link_tier import TIERS, LinkTier, tier_of
from gateway.connections.links.tier_watch import CLEARLY, FALL_RATES, FORGOTTEN_S, RISE_S, TierWatch

SAMPLE_S = 0.5


class Watched:
    """A watch that takes a rate every half second."""

    def __init__(self, *rates: float) -> None:
        self.watch = TierWatch()
        self.now_s = 0.0
        self.take(*rates)

    def take(self, *rates: float) -> LinkTier:
        for rate in rates:
            self.now_s += SAMPLE_S
            self.watch.take(rate, self.now_s)
        return self.watch.tier


@pytest.mark.parametrize("tier", TIERS[:-1])
def test_a_slower_link_shows_at_the_second_rate(tier: LinkTier) -> None:
    watched = Watched()
    seen = [watched.take(tier.goodput_bytes_per_s) for _ in range(FALL_RATES)]
    assert seen == [TIERS[-1], tier]


def test_one_rate_alone_shows_nothing() -> None:
    assert Watched(100e6, 100e6).take(1e6, 100e6, 1e6, 100e6, 0.0, 1e6) == TIERS[3]


def test_a_link_that_drops_is_in_the_tier_of_the_faster_rate() -> None:
    assert Watched(125e6, 125e6).take(30e6, 1e6) == TIERS[2]


def test_a_faster_link_shows_after_some_seconds_by_the_slowest_of_its_rates() -> None:
    watched = Watched(1e6, 1e6)
    rates = [125e6, 20e6] * int(RISE_S / SAMPLE_S / 2)
    assert watched.take(*rates) == TIERS[1]
    assert watched.take(125e6) == TIERS[2]


def test_a_rate_of_the_same_tier_ends_a_rise() -> None:
    watched = Watched(1e6, 1e6)
    for _ in range(5):
        assert watched.take(*[125e6] * 8, 2e6) == TIERS[1]


@given(st.lists(st.floats(1 / CLEARLY, CLEARLY), max_size=200), st.sampled_from(TIERS[:-1]))
def test_noise_at_a_border_changes_nothing(noise: list[float], tier: LinkTier) -> None:
    following = TIERS[TIERS.index(tier) + 1]
    border = math.sqrt(tier.goodput_bytes_per_s * following.goodput_bytes_per_s)
    watched = Watched(*[tier.goodput_bytes_per_s] * 2)
    assert {watched.take(border * factor * 0.999) for factor in noise} <= {tier}


@given(st.lists(st.floats(allow_nan=True, allow_infinity=True), max_size=100), st.floats(1e3, 1e10))
def test_it_follows_a_steady_rate_whatever_came_before(before: list[float], rate: float) -> None:
    watched = Watched(*before)
    watched.take(*[rate] * (2 + int(RISE_S / SAMPLE_S)))
    found, nearest = (TIERS.index(each) for each in (watched.watch.tier, tier_of(rate)))
    assert found == nearest or tier_of(rate * CLEARLY) != tier_of(rate / CLEARLY)
    assert abs(found - nearest) <= 1


def test_a_tier_of_which_nothing_is_measured_is_forgotten_step_by_step() -> None:
    watched = Watched(1e5, 1e5)
    seen = [watched.take(*[0.0] * int(FORGOTTEN_S / SAMPLE_S)) for _ in range(6)]
    assert seen == [*TIERS[1:], TIERS[-1], TIERS[-1]]
