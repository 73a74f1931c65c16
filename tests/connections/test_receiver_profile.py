"""Receiver profile: the SDK is the name before the version, of a few that are known."""

from __future__ import annotations

import pytest

from gateway.connections.link_tier import TIERS
from gateway.connections.receiver_profile import ReceiverProfile, sdk_of


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
