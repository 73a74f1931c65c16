"""Stages of overload: reached at once, left one by one, and neither skipped on the way down nor entered for nothing."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.connections.overload.pressure import Pressure
from gateway.connections.overload.stage import FALL_S, TERMS, Stage, StageState, advance, kept_by, led_to, reason_of

LIMIT_BYTES = 1_000_000_000
STEP_S = 0.25

pressures = st.builds(
    Pressure,
    st.floats(0.0, 0.5),
    st.integers(0, 1_200_000_000),
    st.integers(0, 2_000_000_000),
    st.just(float(LIMIT_BYTES)),
)


def pressure(lag_s: float = 0.0, memory: float = 0.0, queued: float = 0.0) -> Pressure:
    return Pressure(lag_s, int(memory * LIMIT_BYTES), int(queued * LIMIT_BYTES), LIMIT_BYTES)


def walk(measured: list[Pressure], state: StageState = StageState()) -> list[Stage]:  # noqa: B008 - frozen
    """The stages of a gateway that is measured at equal distances."""
    stages = []
    for number, each in enumerate(measured):
        state = advance(state, each, number * STEP_S)
        stages.append(state.stage)
    return stages


def transitions(stages: list[Stage]) -> int:
    return sum(before is not after for before, after in pairwise(stages))


def more(low: Pressure, extra: Pressure) -> Pressure:
    return Pressure(
        low.loop_lag_s + extra.loop_lag_s,
        low.resident_bytes + extra.resident_bytes,
        low.queued_bytes + extra.queued_bytes,
        LIMIT_BYTES,
    )


@pytest.mark.parametrize(
    ("measured", "stage"),
    [
        (pressure(), Stage.NORMAL),
        (pressure(lag_s=0.029, memory=0.69, queued=0.49), Stage.NORMAL),
        (pressure(lag_s=0.03), Stage.CONFLATE),
        (pressure(lag_s=0.06), Stage.LOWER_VIEWS),
        (pressure(lag_s=0.12), Stage.REFUSE_DASHBOARDS),
        (pressure(lag_s=0.25), Stage.SHED),
        (pressure(memory=0.7), Stage.CONFLATE),
        (pressure(memory=0.8), Stage.LOWER_VIEWS),
        (pressure(memory=0.87), Stage.REFUSE_DASHBOARDS),
        (pressure(memory=0.92), Stage.SHED),
        (pressure(queued=0.5), Stage.CONFLATE),
        (pressure(queued=50.0), Stage.LOWER_VIEWS),
    ],
)
def test_the_worst_measurement_decides(measured: Pressure, stage: Stage) -> None:
    """Queues alone close nobody: messages that several receivers share are in memory once."""
    assert led_to(measured) is stage
    assert advance(StageState(), measured, 0.0).stage is stage


def test_no_limit_is_no_pressure() -> None:
    assert led_to(Pressure(0.0, 1 << 40, 1 << 40, float("inf"))) is Stage.NORMAL


def test_a_stage_is_left_for_the_one_below_after_its_time_of_calm() -> None:
    calm = [pressure()] * round(4 * FALL_S / STEP_S + 8)
    stages = walk([pressure(memory=0.95), *calm])
    assert [stage for stage, before in zip(stages[1:], stages, strict=False) if stage is not before] == [3, 2, 1, 0]
    falls = [number * STEP_S for number, (before, after) in enumerate(pairwise(stages), 1) if before is not after]
    assert falls == [STEP_S + FALL_S * number for number in range(1, 5)]


def test_a_pressure_that_comes_back_begins_the_time_of_calm_anew() -> None:
    nearly = [pressure()] * round(FALL_S / STEP_S - 1)
    stages = walk([pressure(lag_s=0.07), *nearly, pressure(lag_s=0.031), *nearly])
    assert set(stages) == {Stage.LOWER_VIEWS}


@given(st.lists(st.tuples(pressures, pressures), max_size=120))
def test_more_pressure_never_makes_a_lower_stage(pairs: list[tuple[Pressure, Pressure]]) -> None:
    lower = walk([low for low, _ in pairs])
    higher = walk([more(low, extra) for low, extra in pairs])
    assert all(one <= other for one, other in zip(lower, higher, strict=True))


@given(pressures, st.sampled_from(Stage))
def test_a_pressure_that_stays_leads_to_one_stage_and_stays_there(measured: Pressure, before: Stage) -> None:
    stages = walk([measured] * 120, StageState(before))
    assert stages == sorted(stages, reverse=True)
    assert stages[-1] is max(led_to(measured), min(kept_by(measured), before))
    if led_to(measured) > before:
        assert transitions(stages) == 0


@given(
    st.sampled_from(TERMS).flatmap(lambda term: st.tuples(st.just(term), st.sampled_from(term.bounds))),
    st.lists(st.floats(0.0, 0.999), min_size=2, max_size=100),
)
def test_a_pressure_that_varies_between_the_two_bounds_of_a_stage_changes_nothing(
    place: tuple[object, tuple[float, float]], parts: list[float]
) -> None:
    term, (rise, keep) = place
    if keep == float("inf"):
        return
    values = [keep + (rise - keep) * part for part in parts]
    name = {id(TERMS[0]): "lag_s", id(TERMS[1]): "memory", id(TERMS[2]): "queued"}[id(term)]
    measured = [pressure(**{name: value + 1e-8}) for value in values]
    assert transitions(walk(measured)) == 0
    entered = walk([pressure(**{name: rise + 1e-8}), *measured])
    assert transitions(entered) == 0


@given(st.lists(pressures, min_size=1, max_size=400))
def test_transitions_are_bounded_by_the_time(measured: list[Pressure]) -> None:
    stages = [Stage.NORMAL, *walk(measured)]
    falls = sum(after < before for before, after in pairwise(stages))
    assert falls <= len(measured) * STEP_S / FALL_S
    assert transitions(stages) <= 2 * falls + len(Stage) - 1
    assert all(before - after <= 1 for before, after in pairwise(stages))


@given(pressures)
def test_what_keeps_a_stage_is_no_more_than_what_leads_to_it(measured: Pressure) -> None:
    assert kept_by(measured) >= led_to(measured)


def test_the_reason_names_each_measurement_that_presses() -> None:
    assert reason_of(pressure(lag_s=0.08, memory=0.9)) == (
        "the event loop lags by 80 ms; 900 MB of memory are resident, and the limit is 1000 MB"
    )
    assert reason_of(pressure(queued=0.6)) == "600 MB wait in queues, and the memory limit is 1000 MB"
    assert reason_of(pressure()) == "the load has fallen"
