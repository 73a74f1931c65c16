"""Invariant: the estimate is that of the smallest round trip, and wrong by at most half of it."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from gateway.protocol.clock import ClockEstimate
from gateway.protocol.signals import Pong

DELAYS_NS = st.integers(0, 10**10)


def exchange(t0: int, *, offset: int, there: int, held: int, back: int) -> tuple[Pong, int]:
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


def test_smallest_round_trip_stays() -> None:
    clock = ClockEstimate()
    clock.receive(*exchange(0, offset=100, there=10, held=0, back=30))
    clock.receive(*exchange(0, offset=100, there=10, held=0, back=10))
    clock.receive(*exchange(0, offset=100, there=10, held=0, back=50))
    clock.receive(*exchange(0, offset=900, there=10, held=0, back=10))
    assert (clock.offset_ns, clock.rtt_ns) == (100, 20)


def test_negative_round_trip_is_left_out() -> None:
    clock = ClockEstimate()
    clock.receive(Pong(t0=1000, t1=0, t2=10**12), t3=2000)
    clock.receive(Pong(t0=1000, t1=0, t2=0), t3=999)
    assert (clock.offset_ns, clock.rtt_ns) == (0, None)


@given(
    st.integers(-(10**18), 10**18),
    st.lists(st.tuples(st.integers(0, 2 * 10**18), DELAYS_NS, DELAYS_NS, DELAYS_NS), min_size=1),
)
def test_error_is_at_most_half_the_round_trip(offset: int, exchanges: list[tuple[int, int, int, int]]) -> None:
    clock = ClockEstimate()
    for t0, there, held, back in exchanges:
        clock.receive(*exchange(t0, offset=offset, there=there, held=held, back=back))
    smallest = min(there + back for _, there, _, back in exchanges)
    assert clock.rtt_ns == smallest
    assert abs(clock.offset_ns - offset) <= smallest / 2 + 1
