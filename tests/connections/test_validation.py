"""Bounds of settings: what would never work is told when it is said, with the name and the value."""

from __future__ import annotations

import math
from dataclasses import dataclass

import pytest

from gateway.connections.core_settings import CoreSettings
from gateway.connections.validation import check_positive
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


@pytest.mark.parametrize("name", ["heartbeat_interval_s", "hello_timeout_s", "transfer_timeout_s"])
def test_nothing_is_looked_at_without_a_pause(name: str) -> None:
    with pytest.raises(InvalidArgument, match=f"^{name} is 0: "):
        CoreSettings(**{name: 0})  # type: ignore[arg-type]
