"""Rule of sender credits: receivers of many senders whose events wait, and credits that seldom change."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.connections.planning.context import Context, FanInFacts
from gateway.connections.planning.knob import Knob, Measure, Site
from gateway.connections.planning.rules.sender_credits import CREDITS_BYTES, KEPT_UP_S, LATE_S, WAIT_S, sender_credits

SITE = Site(Knob.SENDER_CREDIT, "collector", 7)
LATE = FanInFacts(7, "collector", "lab", 20, 4.0, 500_000.0, 125_000, 120.0, 0.0)
TRIED = {"lab": (Knob.PACING, Knob.SENDER_CREDIT)}


def wanted(receiver: FanInFacts, in_force: float = 0.0) -> list[Measure]:
    settings = {SITE: in_force} if in_force else {}
    return sender_credits(Context(0.0, fan_ins=(receiver,), settings=settings), TRIED)


def test_senders_of_a_receiver_whose_events_wait_get_a_credit() -> None:
    (measure,) = wanted(LATE)
    assert measure.site == SITE
    assert measure.value == 65536.0
    assert measure.scope == "lab"
    assert measure.reason == (
        "it takes 500 kB/s of the events of 20 senders or more, and they wait 4000 ms for it:"
        " their publishes wait once 65536 bytes do"
    )


@pytest.mark.parametrize(
    "receiver",
    [
        LATE._replace(wait_s=LATE_S / 2),
        LATE._replace(wait_s=None),
        LATE._replace(senders=1),
        LATE._replace(taken_bytes_per_s=0.0),
        LATE._replace(workflow="other"),
    ],
)
def test_nothing_is_wanted_of_one_that_keeps_up_or_is_not_known(receiver: FanInFacts) -> None:
    assert not wanted(receiver)


def test_a_credit_stays_until_nobody_has_had_to_wait_for_a_while() -> None:
    keeps_up = LATE._replace(wait_s=0.0, kept_up_s=KEPT_UP_S - 1)
    assert wanted(keeps_up, 65536.0)
    assert not wanted(keeps_up._replace(kept_up_s=KEPT_UP_S), 65536.0)


@pytest.mark.parametrize(("bytes_per_s", "credit"), [(900_000, 65536), (200_000, 65536), (5e6, 524_288), (1e4, 16384)])
def test_a_credit_in_force_changes_only_with_a_rate_that_is_far_from_it(bytes_per_s: float, credit: float) -> None:
    (measure,) = wanted(LATE._replace(taken_bytes_per_s=bytes_per_s), 65536.0)
    assert measure.value == credit


@given(st.floats(1.0, 1e12))
def test_a_credit_is_a_power_of_two_within_its_bounds_and_some_wait_at_its_rate(bytes_per_s: float) -> None:
    (measure,) = wanted(LATE._replace(taken_bytes_per_s=bytes_per_s))
    credit = int(measure.value)
    assert credit & (credit - 1) == 0
    assert CREDITS_BYTES[0] <= credit <= CREDITS_BYTES[1]
    if CREDITS_BYTES[0] < credit < CREDITS_BYTES[1]:
        assert credit / 2 <= bytes_per_s * WAIT_S + 1
        assert bytes_per_s * WAIT_S <= credit + 1
