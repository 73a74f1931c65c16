"""Invariant: the gateway's Unix time does not jump; small differences are taken up slowly, large ones stay."""

from __future__ import annotations

import logging

import pytest

from gateway.server.steady_clock import SLEWED_BELOW_NS, SteadyClock

SECOND = 10**9
HOUR = 3600 * SECOND
WALL = 1_770_000_000 * SECOND


class Machine:
    def __init__(self) -> None:
        self.up_ns = 5 * SECOND
        self.set_ns = 0
        self.clock = SteadyClock(lambda: self.up_ns, self.wall_ns)

    def wall_ns(self) -> int:
        return WALL + self.up_ns + self.set_ns

    def run(self, seconds: int) -> None:
        for _ in range(seconds):
            self.up_ns += SECOND
            self.clock.follow()


def test_it_begins_as_the_machines_clock_and_runs_on() -> None:
    machine = Machine()
    machine.run(100)
    assert machine.clock.time_ns() == machine.wall_ns()
    assert machine.clock.ahead_ns == 0


@pytest.mark.parametrize("step_ns", [HOUR, -HOUR, SLEWED_BELOW_NS + 1])
def test_a_step_of_the_machines_clock_stays_out(step_ns: int, caplog: pytest.LogCaptureFixture) -> None:
    machine = Machine()
    before_ns = machine.clock.time_ns()
    machine.set_ns = step_ns
    with caplog.at_level(logging.WARNING, "gateway"):
        machine.run(1000)
    assert machine.clock.time_ns() == before_ns + 1000 * SECOND
    assert machine.clock.ahead_ns == step_ns
    (record,) = caplog.records
    assert f"{step_ns / 1e9:.3f} s ahead" in record.getMessage()


def test_a_small_difference_is_taken_up_slowly(caplog: pytest.LogCaptureFixture) -> None:
    machine = Machine()
    machine.set_ns = 10_000_000
    last_ns = machine.clock.time_ns()
    for _ in range(99):
        machine.run(1)
        assert machine.clock.time_ns() - last_ns == SECOND + 100_000
        last_ns = machine.clock.time_ns()
    machine.run(100)
    assert machine.clock.ahead_ns == 0
    assert not caplog.records


def test_a_step_back_is_taken_up_without_going_back() -> None:
    machine = Machine()
    machine.set_ns = -SECOND
    last_ns = machine.clock.time_ns()
    machine.run(1)
    assert machine.clock.time_ns() == last_ns + SECOND - 100_000
    machine.run(20_000)
    assert machine.clock.ahead_ns == 0


def test_a_long_pause_between_corrections_makes_no_long_correction() -> None:
    machine = Machine()
    machine.set_ns = SECOND
    machine.up_ns += HOUR
    machine.clock.follow()
    assert machine.clock.ahead_ns == SECOND - 100_000
