"""Rule of priorities: light streams that wait for the turns of heavy ones, and no stream among its like."""

from __future__ import annotations

from collections.abc import Collection

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.connections.planning.context import Context, QueuedFacts
from gateway.connections.planning.knob import Knob, Measure, Site
from gateway.connections.planning.rules.priorities import CALM_S, ENDS_S, FEW, LATE_S, priorities

LATE = QueuedFacts("lab/step", "lab", 4000.0, 3, 1.25, 2.5, 65_536.0, 0.0, 0.0)


def wanted(*queued: QueuedFacts, preferred: Collection[str] = ()) -> list[Measure]:
    settings = {Site(Knob.PRIORITY, name): 1.0 for name in preferred}
    return priorities(Context(0.0, queued=queued, settings=settings))


def test_a_light_stream_that_waits_for_the_turns_of_heavy_ones_goes_before_them() -> None:
    assert wanted(LATE) == [
        Measure(
            Site(Knob.PRIORITY, "lab/step"),
            1.0,
            "lab",
            "its 4.0 kB/s wait for turns of other streams that take 2500 ms together, at 3 receivers that are behind",
        )
    ]


@pytest.mark.parametrize(
    "queued",
    [
        LATE._replace(round_s=LATE_S / 2),
        LATE._replace(wait_s=ENDS_S / 2),
        LATE._replace(wait_s=None),
        LATE._replace(bytes_per_s=0.0),
        LATE._replace(bytes_per_s=20_000.0),
        LATE._replace(receivers=0, wait_s=0.0, round_s=0.0, turn_bytes=0.0),
    ],
)
def test_one_that_does_not_wait_for_others_or_is_as_heavy_as_they_are_keeps_its_turn(queued: QueuedFacts) -> None:
    assert not wanted(queued)


def test_a_preference_stays_until_the_turns_of_others_have_been_short_for_a_while() -> None:
    served = LATE._replace(wait_s=0.0, round_s=0.0, calm_s=CALM_S - 1)
    assert wanted(served, preferred={"lab/step"})
    assert not wanted(served._replace(calm_s=CALM_S), preferred={"lab/step"})


def test_a_preference_ends_for_a_stream_that_has_become_heavy() -> None:
    assert wanted(LATE._replace(bytes_per_s=12_000.0), preferred={"lab/step"})
    assert not wanted(LATE._replace(bytes_per_s=15_000.0), preferred={"lab/step"})


def test_few_streams_of_a_workflow_are_preferred_those_in_force_and_the_lightest_others() -> None:
    many = [LATE._replace(stream=f"lab/{number}", bytes_per_s=1000.0 + number) for number in range(2 * FEW)]
    other = LATE._replace(stream="other/step", workflow="other")
    last = many[-1].stream
    names = [measure.site.name for measure in wanted(*many, other, preferred={last})]
    assert names == [last, *[each.stream for each in many[: FEW - 1]], "other/step"]


@given(st.floats(1.0, 1e9), st.floats(0.0, 100.0), st.integers(2, 1000))
def test_of_streams_that_are_alike_none_is_preferred(bytes_per_s: float, round_s: float, number: int) -> None:
    """In a round of others comes as much of each stream as its own turn takes."""
    alike = LATE._replace(bytes_per_s=bytes_per_s, round_s=round_s, turn_bytes=bytes_per_s * round_s)
    assert not wanted(*[alike._replace(stream=f"lab/{at}") for at in range(number)])
