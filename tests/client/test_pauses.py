"""Pauses grow with every refusal in a row, and begin anew after a success."""

import asyncio

import pytest

from gateway.client import pauses as pauses_module
from gateway.client.options import Backoff
from gateway.client.pauses import MOST_RETRY_AFTER_S, Pauses, pause_s
from gateway.errors import Action

BACKOFF = Backoff(base_s=1.0, cap_s=8.0, later_s=5.0)
QUICK = Backoff(base_s=0.001, cap_s=0.002, later_s=0.0)


def test_the_bound_doubles_up_to_the_cap() -> None:
    bounds = [pause_s(BACKOFF, Action.RECONNECT, attempt, lambda: 1.0) for attempt in range(6)]
    assert bounds == [1.0, 2.0, 4.0, 8.0, 8.0, 8.0]


def test_the_jitter_is_full() -> None:
    assert pause_s(BACKOFF, Action.RECONNECT, 3, lambda: 0.0) == 0.0
    assert pause_s(BACKOFF, Action.RECONNECT, 3, lambda: 0.25) == 2.0


def test_later_adds_a_pause() -> None:
    assert pause_s(BACKOFF, Action.RECONNECT_LATER, 0, lambda: 0.5) == 5.5


def test_years_of_attempts_do_not_overflow() -> None:
    assert pause_s(BACKOFF, Action.RECONNECT, 10**6, lambda: 1.0) == 8.0


@pytest.fixture
def drawn(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The attempts for which a pause was drawn; all are without length."""
    attempts: list[int] = []

    def draw(backoff: Backoff, action: Action, attempt: int, draw: object) -> float:
        attempts.append(attempt)
        return 0.0

    monkeypatch.setattr(pauses_module, "pause_s", draw)
    return attempts


async def test_refusals_in_a_row_make_the_pause_longer_until_a_message_is_taken(drawn: list[int]) -> None:
    pauses = Pauses()
    for taken in (False, False, True, False):
        pauses.refused(BACKOFF, Action.RECONNECT_LATER)
        await pauses.wait()
        if taken:
            pauses.taken()
    assert drawn == [0, 1, 2, 0]


async def test_refusals_before_the_pause_is_over_are_one(drawn: list[int]) -> None:
    pauses = Pauses()
    for _ in range(3):
        pauses.refused(BACKOFF, Action.RECONNECT_LATER)
    due = [pauses.due]
    await pauses.wait()
    due.append(pauses.due)
    assert due == [True, False]
    pauses.refused(BACKOFF, Action.RECONNECT_LATER)
    assert drawn == [0, 1]


async def test_refusals_that_are_far_apart_are_not_in_a_row(drawn: list[int]) -> None:
    pauses = Pauses()
    for _ in range(2):
        pauses.refused(QUICK, Action.RECONNECT_LATER)
        await pauses.wait()
        await asyncio.sleep(10 * QUICK.cap_s)
    assert drawn == [0, 0]


async def test_a_pause_lasts_as_long_as_was_drawn(monkeypatch: pytest.MonkeyPatch) -> None:
    async def sleep(delay_s: float) -> None:
        slept_s.append(delay_s)

    slept_s: list[float] = []
    monkeypatch.setattr(asyncio, "sleep", sleep)
    pauses = Pauses()
    pauses.refused(Backoff(base_s=0.0, cap_s=0.0, later_s=3600.0), Action.RECONNECT_LATER)
    await pauses.wait()
    await pauses.wait()
    assert slept_s == [pytest.approx(3600.0, abs=60.0)]


def test_a_time_that_the_gateway_names_counts_with_the_least_jitter_and_within_reason() -> None:
    assert pause_s(BACKOFF, Action.RECONNECT_LATER, 9, lambda: 0.5, 3.0) == 3.5
    assert pause_s(BACKOFF, Action.RECONNECT, 0, lambda: 0.0, 0.0) == 0.0
    assert pause_s(BACKOFF, Action.RECONNECT, 0, lambda: 0.0, 1e9) == MOST_RETRY_AFTER_S
