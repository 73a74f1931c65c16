"""Condition: a failure is logged once and counted, and so is its end."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest

from gateway.streams.sqlite.condition import CHECK_S, MAX_PROBE_BYTES, PROBE_BYTES, STALLED_S, Condition
from gateway.streams.store_health import StoreHealth
from tests.streams.sqlite.test_failure import sqlite_error

FULL = sqlite_error(sqlite3.SQLITE_FULL)
BROKEN = sqlite_error(sqlite3.SQLITE_IOERR)
DAMAGED = sqlite_error(sqlite3.SQLITE_CORRUPT)


class Bench:
    """A condition, and its clock."""

    def __init__(self) -> None:
        self.now_s = 100.0
        self.condition = Condition(Path("/srv/streams.db"), lambda: self.now_s)


@pytest.fixture
def bench() -> Bench:
    return Bench()


def test_it_is_well_at_first(bench: Bench) -> None:
    assert bench.condition.health() == StoreHealth(None, 0, 0)
    assert not bench.condition.failing


def test_a_full_disk_is_one_line_however_many_publishes_it_refuses(
    bench: Bench, caplog: pytest.LogCaptureFixture
) -> None:
    condition = bench.condition
    for _ in range(1000):
        condition.failed(FULL, 100)
        condition.refused(10)
    assert condition.failing
    assert not condition.suspended
    assert [record.levelname for record in caplog.records] == ["ERROR"]
    health = condition.health()
    assert health.problem is not None
    assert "make room on its disk" in health.problem
    assert health[1:] == (1000, 10_000)
    bench.now_s += 7
    condition.recovered()
    assert "works again after 7 s; 10000 messages were refused meanwhile" in caplog.text
    assert condition.health() == StoreHealth(None, 1000, 10_000)
    condition.failed(FULL)
    condition.refused(3)
    condition.recovered()
    assert "; 3 messages were refused meanwhile" in caplog.text
    assert len(caplog.records) == 4


def test_a_worse_failure_is_another_line_and_a_milder_one_none(bench: Bench, caplog: pytest.LogCaptureFixture) -> None:
    condition = bench.condition
    for error, lines, suspended in ((FULL, 1, False), (BROKEN, 2, True), (FULL, 2, True), (DAMAGED, 3, True)):
        condition.failed(error)
        assert len(caplog.records) == lines
        assert condition.suspended == suspended
    assert "restore a copy" in str(condition.refusal)


def test_a_damaged_file_stays_damaged(bench: Bench) -> None:
    condition = bench.condition
    condition.failed(BROKEN)
    condition.failed_again(BROKEN)
    condition.failed_again(DAMAGED)
    condition.recovered()
    assert condition.failing
    bench.now_s += 10 * CHECK_S
    assert not condition.due()


def test_the_file_is_checked_and_recovery_tried_now_and_then(bench: Bench) -> None:
    condition = bench.condition
    assert not condition.due()
    for _ in range(3):
        bench.now_s += CHECK_S
        assert condition.due()
        assert not condition.due()
    condition.failed(BROKEN)
    bench.now_s += CHECK_S
    assert condition.due()


def test_as_much_as_did_not_fit_has_to_fit(bench: Bench) -> None:
    condition = bench.condition
    for size, expected in ((1, PROBE_BYTES), (3_000_000, 3_000_000), (1000, 3_000_000), (2**40, MAX_PROBE_BYTES)):
        condition.failed(FULL, size)
        assert condition.probe_bytes == expected
    condition.recovered()
    assert condition.probe_bytes == PROBE_BYTES


def test_a_disk_that_does_not_answer_is_a_problem_while_it_lasts(
    bench: Bench, caplog: pytest.LogCaptureFixture
) -> None:
    condition = bench.condition
    condition.begin_work()
    assert condition.health().problem is None
    bench.now_s += STALLED_S
    assert "has not answered for 10 s" in str(condition.health().problem)
    condition.end_work()
    assert condition.health().problem is None
    assert "did not answer for 10 s" in caplog.text


def test_a_fault_of_the_program_is_logged_with_its_place(bench: Bench, caplog: pytest.LogCaptureFixture) -> None:
    try:
        raise ZeroDivisionError
    except ZeroDivisionError as error:
        bench.condition.failed(error)
    assert "Traceback" in caplog.text
    assert not bench.condition.suspended
