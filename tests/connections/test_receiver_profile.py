"""Receiver profile: the SDK is the name before the version, of a few that are known; members are counted by profile."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.connections.link_tier import TIERS
from gateway.connections.receiver_profile import SDKS, ProfileCounts, ReceiverProfile, sdk_of


@pytest.mark.parametrize(
    ("agent", "sdk"),
    [
        ("frys-python/0.1", "frys-python"),
        ("frys-js/1.2.3 (Chromium)", "frys-js"),
        ("frys-python", "frys-python"),
        ("frys-rust/1.0", ""),
        ("my frys-python/1", ""),
        ("", ""),
    ],
)
def test_sdk_by_agent(agent: str, sdk: str) -> None:
    assert sdk_of(agent) == sdk


def test_a_receiver_of_which_nothing_is_known_is_on_a_fast_link() -> None:
    assert ReceiverProfile(frozenset()) == (frozenset(), TIERS[-1], "")


def test_equal_profiles_are_one_key() -> None:
    one = ReceiverProfile(frozenset({"lz4"}), TIERS[1], "frys-js")
    assert {one: 1}[ReceiverProfile(frozenset({"lz4"}), TIERS[1], "frys-js")] == 1


ANY_PROFILE = st.sampled_from([ReceiverProfile(frozenset(), tier, sdk) for tier in TIERS[:3] for sdk in ("", SDKS[0])])


@given(st.lists(st.tuples(st.integers(0, 5), st.none() | ANY_PROFILE)))
def test_most_members_whoever_comes_goes_and_changes(changes: list[tuple[int, ReceiverProfile | None]]) -> None:
    first = ReceiverProfile(frozenset({"lz4"}))
    counts, members = ProfileCounts(first), dict[int, ReceiverProfile]()
    for member, profile in changes:
        counts.swap(members.pop(member, None), profile)
        if profile is not None:
            members[member] = profile
        assert counts.counts == Counter(members.values())
        if members:
            most = max(counts.counts.values())
            best = [each for each, count in counts.counts.items() if count == most]
            assert counts.most in best
            assert counts.most.tier == min((each.tier for each in best), key=lambda tier: tier.goodput_bytes_per_s)
