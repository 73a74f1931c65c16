"""Settings of presence."""

from __future__ import annotations

import pytest

from gateway.connections.presence.settings import PresenceSettings
from gateway.errors import InvalidArgument


def test_grace_may_be_0_and_what_ends_is_found_often_enough() -> None:
    assert PresenceSettings(grace_s=0).sweep_interval_s == 0.01
    assert PresenceSettings().sweep_interval_s == 1
    assert PresenceSettings(awareness_ttl_s=2).sweep_interval_s == 0.5


@pytest.mark.parametrize("grace_s", [-0.1, float("nan")])
def test_grace_is_not_below_0(grace_s: float) -> None:
    with pytest.raises(InvalidArgument, match="grace_s"):
        PresenceSettings(grace_s=grace_s)


@pytest.mark.parametrize(
    "name", ["flush_window_s", "awareness_ttl_s", "max_scopes", "max_members", "max_places", "max_bytes"]
)
def test_other_values_are_above_0(name: str) -> None:
    with pytest.raises(InvalidArgument, match=name):
        PresenceSettings(**{name: 0})
