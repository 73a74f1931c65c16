"""Bounds of settings: what would never work is told when it is said, with the name and the value."""

from __future__ import annotations

import math
from dataclasses import dataclass

import pytest

from gateway.connections.bounds import check_positive
from gateway.connections.consumer import ConsumerSettings
from gateway.connections.core import CoreSettings
from gateway.errors import InvalidArgument


@dataclass
class Times:
    first_s: float = 1.0
    second_s: float = 1.0


@pytest.mark.parametrize("value", [0, -1, -0.5, math.nan])
def test_what_is_not_above_0_is_refused_by_its_name(value: float) -> None:
    check_positive(Times(first_s=value), "second_s")
    with pytest.raises(InvalidArgument, match=rf"^second_s is {value}: it takes more than 0$"):
        check_positive(Times(second_s=value), "first_s", "second_s")


@pytest.mark.parametrize(
    "name", ["consumer_ttl_s", "ack_timeout_s", "max_tries", "max_pending_commands", "max_hold_s", "limit_bytes"]
)
def test_consumers_need_time_tries_and_room(name: str) -> None:
    with pytest.raises(InvalidArgument, match=f"^{name} is 0: "):
        ConsumerSettings(**{name: 0})
    assert ConsumerSettings(hold_bytes=0).hold_bytes == 0


@pytest.mark.parametrize("name", ["heartbeat_interval_s", "hello_timeout_s", "transfer_timeout_s"])
def test_nothing_is_looked_at_without_a_pause(name: str) -> None:
    with pytest.raises(InvalidArgument, match=f"^{name} is 0: "):
        CoreSettings(**{name: 0})  # type: ignore[arg-type]


def test_however_short_the_times_of_consumers_are_the_loop_has_some_left() -> None:
    assert ConsumerSettings().sweep_interval_s == 1.0
    assert ConsumerSettings(ack_timeout_s=0.2).sweep_interval_s == pytest.approx(0.05)
    assert ConsumerSettings(consumer_ttl_s=1e-9).sweep_interval_s == 0.01
