"""Invariant: the gateway's clock, as a client knows it, does not depend on the wall clock of the client's machine."""

from __future__ import annotations

import pytest

from gateway.client.session.gateway_clock import GatewayClock
from gateway.protocol.signals import Pong

SECOND = 10**9
HOUR = 3600 * SECOND
WALL = 1_770_000_000 * SECOND


class Machine:
    """A machine with a clock that nobody sets, and a wall clock."""

    def __init__(self) -> None:
        self.up_ns = 5 * SECOND
        self.set_ns = 0

    def elapsed_ns(self) -> int:
        return self.up_ns

    def wall_ns(self) -> int:
        return WALL + self.up_ns + self.set_ns


def clock_of(machine: Machine) -> GatewayClock:
    return GatewayClock(machine.elapsed_ns, machine.wall_ns)


def measure(clock: GatewayClock, gateway_ns: int) -> None:
    t0 = clock.local_ns()
    clock.receive(Pong(t0, gateway_ns, gateway_ns), t0)


def test_it_is_the_machines_own_before_the_first_exchange() -> None:
    machine = Machine()
    clock = clock_of(machine)
    machine.up_ns += SECOND
    assert clock.now_ns() == clock.local_ns() == machine.wall_ns()
    assert (clock.offset_ns, clock.rtt_ns) == (0, None)


def test_exchanges_make_the_round_trip() -> None:
    machine = Machine()
    clock = clock_of(machine)
    seen = [clock.round_trip]
    for held_ns in (0, SECOND):
        t0 = clock.local_ns()
        machine.up_ns += SECOND // 4 + held_ns
        clock.receive(Pong(t0, t0, t0 + held_ns), clock.local_ns())
        seen.append(clock.round_trip)
    assert seen == [None, pytest.approx((0.25, 0.125, 0.25)), pytest.approx((0.25, 0.09375, 0.25))]


def test_a_step_of_the_wall_clock_changes_no_time() -> None:
    machine = Machine()
    clock = clock_of(machine)
    measure(clock, machine.wall_ns() + 7)
    before_ns = clock.now_ns()
    for set_ns in (-HOUR, HOUR):
        machine.set_ns = set_ns
        assert clock.now_ns() == before_ns
        assert clock.local_ns() == before_ns - 7
        assert clock.offset_ns == 7 - set_ns  # the wall clock of now and this offset are the gateway's time


def test_a_step_of_the_gateways_clock_is_followed() -> None:
    machine = Machine()
    clock = clock_of(machine)
    gateway_ns = machine.wall_ns()
    measure(clock, gateway_ns)
    machine.up_ns += SECOND
    measure(clock, gateway_ns + SECOND + HOUR)
    assert clock.now_ns() == gateway_ns + SECOND + HOUR
    assert clock.offset_ns == HOUR


def test_how_far_the_clocks_of_two_gateways_are_apart() -> None:
    machine = Machine()
    one, other = clock_of(machine), clock_of(machine)
    measure(one, machine.wall_ns())
    measure(other, machine.wall_ns() - HOUR)
    assert (one.ahead_of(other), other.ahead_of(one)) == (HOUR, -HOUR)


def test_it_reads_the_clocks_of_the_real_machine() -> None:
    clock = GatewayClock()
    assert clock.now_ns() <= clock.now_ns()
    assert abs(clock.offset_ns) < SECOND


@pytest.mark.parametrize("told_ns", [0, 2**63, 2**64 - 1])
def test_a_time_that_no_frame_has_room_for_is_not_believed(told_ns: int) -> None:
    machine = Machine()
    clock = clock_of(machine)
    clock.receive(Pong(2**64 - 1 - told_ns, told_ns, told_ns), clock.local_ns())
    machine.up_ns += HOUR
    assert 0 <= clock.now_ns() < 2**63
