"""Exchange: what is taken counts anew."""

from __future__ import annotations

from gateway.connections.sessions.exchange import Exchange


def test_requests_and_replies_are_counted_once() -> None:
    exchange = Exchange()
    exchange.asked(100)
    exchange.replied(10)
    exchange.replied(20)
    assert exchange.take() == (1, 100, 2, 30)
    assert exchange.take() == (0, 0, 0, 0)
