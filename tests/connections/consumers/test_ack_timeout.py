"""How long a receiver may be at one unit."""

from __future__ import annotations

from gateway.connections.consumers.ack_timeout import AckTimeout
from gateway.connections.consumers.in_flight import InFlight
from tests.connections.consumers.test_in_flight import unit_at


def test_it_ends_for_the_same_delivery_only() -> None:
    patience = AckTimeout(10.0)
    first, second = InFlight(unit_at(0)), InFlight(unit_at(1))
    assert [patience.ends(first, now_s) for now_s in (0.0, 9.0)] == [False, False]
    assert [patience.ends(second, now_s) for now_s in (10.0, 19.9, 20.0)] == [False, False, True]
    assert not patience.ends(second, 21.0)


def test_another_delivery_and_a_pause_begin_anew() -> None:
    patience = AckTimeout(10.0)
    flight = InFlight(unit_at(0))
    patience.ends(flight, 0.0)
    flight.take(())
    assert not patience.ends(flight, 11.0)
    patience.ends(None, 12.0)
    assert not patience.ends(flight, 30.0)
    assert patience.ends(flight, 40.0)
