"""ReadingHolds: a peer is read only while nobody holds its reading."""

from __future__ import annotations

import tracemalloc

from gateway.connections.outbound.reading_holds import ReadingHolds
from tests.connections.transport import MemoryTransport


def test_a_peer_is_read_when_nobody_holds_it_any_more() -> None:
    transport = MemoryTransport()
    reading = ReadingHolds(transport)
    for holder in ("a", "b", "a"):
        reading.hold(holder)
    states = []
    for holder in ("nobody", "a", "b"):
        reading.release(holder)
        states.append((reading.held, transport.reading))
    assert states == [(True, False), (True, False), (False, True)]


def test_a_connection_that_ends_is_held_by_nobody() -> None:
    transport = MemoryTransport()
    reading = ReadingHolds(transport)
    reading.hold("a")
    reading.end()
    assert transport.reading
    reading.hold("b")
    reading.release("b")
    reading.end()
    assert not reading.held
    assert transport.reading


def test_peers_that_nobody_holds_have_no_set_of_their_own() -> None:
    transport = MemoryTransport()
    tracemalloc.start()
    try:
        idle = [ReadingHolds(transport) for _ in range(1000)]
        for reading in idle:
            reading.hold("a")
            reading.release("a")
        held_bytes, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert held_bytes / len(idle) < 150  # an empty set alone takes 216
