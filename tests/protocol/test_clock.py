"""Invariant: the estimate is that of the smallest bound on its error, and contradicts no later exchange."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from gateway.protocol.clock import PHI, ClockEstimate
from gateway.protocol.signals import Pong

DELAYS_NS = st.integers(0, 10**10)
SECOND = 10**9
HOUR = 3600 * SECOND


def exchange(t0: int, *, offset: int, there: int, held: int = 0, back: int) -> tuple[Pong, int]:
    """What a PING that takes ``there`` ns gives, when the other clock is ahead by ``offset``."""
    t1 = t0 + there + offset
    t2 = t1 + held
    return Pong(t0, t1, t2), t2 - offset + back


def test_before_the_first_exchange() -> None:
    clock = ClockEstimate()
    assert (clock.offset_ns, clock.rtt_ns) == (0, None)


def test_symmetric_way_gives_the_exact_offset() -> None:
    clock = ClockEstimate()
    clock.receive(*exchange(1000, offset=-5_000_000, there=40, held=7, back=40))
    assert (clock.offset_ns, clock.rtt_ns) == (-5_000_000, 80)


def test_the_exchange_with_the_smallest_round_trip_stands_while_it_is_fresh() -> None:
    clock = ClockEstimate()
    clock.receive(*exchange(0, offset=100, there=10, back=30))
    clock.receive(*exchange(0, offset=100, there=10, back=10))
    clock.receive(*exchange(0, offset=100, there=10, back=50))
    assert (clock.offset_ns, clock.rtt_ns) == (100, 20)


def test_a_newer_exchange_with_a_longer_round_trip_replaces_one_that_has_aged() -> None:
    clock = ClockEstimate()
    clock.receive(*exchange(0, offset=0, there=50_000, back=50_000))
    # The old one is wrong by at most 50 us and, after 20 s, by 300 us more; the new one by 400 us.
    clock.receive(*exchange(20 * SECOND, offset=1000, there=400_000, back=400_000))
    assert clock.offset_ns == 0
    clock.receive(*exchange(40 * SECOND, offset=1000, there=400_000, back=400_000))
    assert (clock.offset_ns, clock.rtt_ns) == (1000, 100_000)


def test_a_step_of_the_other_clock_is_taken_over_at_the_next_exchange() -> None:
    for step in (HOUR, -HOUR, 128_000_000):
        clock = ClockEstimate()
        clock.receive(*exchange(0, offset=0, there=50_000, back=50_000))
        clock.receive(*exchange(SECOND, offset=step, there=20_000_000, back=20_000_000))
        assert clock.offset_ns == step
        clock.receive(*exchange(2 * SECOND, offset=0, there=20_000_000, back=20_000_000))
        assert clock.offset_ns == 0


def test_a_slow_exchange_alone_is_not_taken_for_a_step() -> None:
    clock = ClockEstimate()
    clock.receive(*exchange(0, offset=0, there=50_000, back=50_000))
    clock.receive(*exchange(SECOND, offset=0, there=2 * SECOND, back=0))  # looks a second ahead, within its bound
    assert clock.offset_ns == 0


def test_negative_round_trip_is_left_out() -> None:
    clock = ClockEstimate()
    clock.receive(Pong(t0=1000, t1=0, t2=10**12), t3=2000)
    clock.receive(Pong(t0=1000, t1=0, t2=0), t3=999)
    assert (clock.offset_ns, clock.rtt_ns) == (0, None)


@given(
    st.integers(-(10**18), 10**18),
    st.lists(st.tuples(st.integers(0, 10**10), DELAYS_NS, DELAYS_NS, DELAYS_NS), min_size=1),
)
def test_error_is_at_most_half_the_smallest_round_trip_and_what_it_has_aged(
    offset: int, exchanges: list[tuple[int, int, int, int]]
) -> None:
    clock = ClockEstimate()
    now = 0
    bounds: list[tuple[float, int]] = []
    for pause, there, held, back in exchanges:
        pong, arrived = exchange(now + pause, offset=offset, there=there, held=held, back=back)
        clock.receive(pong, arrived)
        bounds.append(((there + back) / 2, arrived))
        now = arrived
        # Of a clock that keeps its pace no exchange contradicts another one.
        smallest = min(bound + PHI * (now - at) for bound, at in bounds)
        assert abs(clock.offset_ns - offset) <= smallest + len(bounds)
    assert clock.rtt_ns == min(there + back for _, there, _, back in exchanges)
