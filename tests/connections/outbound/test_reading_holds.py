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


def test_holders_are_told_apart_from_others() -> None:
    reading = ReadingHolds(MemoryTransport())
    assert not reading.held_but_for("a", None)
    reading.hold("a")
    assert not reading.held_but_for("a", None)
    assert reading.held_but_for("b", None)
    reading.hold("b")
    assert reading.held_but_for("a", None)
    assert not reading.held_but_for("a", "b")


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


def test_a_holder_that_waits_for_the_others_is_told_once() -> None:
    reading = ReadingHolds(MemoryTransport())
    told: list[str] = []
    reading.hold("waits")
    assert not reading.wait_for_others("waits", lambda: told.append("alone"))
    reading.hold("a")
    reading.hold("b")
    assert reading.wait_for_others("waits", lambda: told.append("alone"))
    reading.release("a")
    assert told == []
    reading.release("b")
    assert told == ["alone"]
    reading.hold("a")
    reading.release("a")
    assert told == ["alone"]


def test_a_holder_that_waits_for_the_others_is_told_of_the_end() -> None:
    reading = ReadingHolds(MemoryTransport())
    told: list[str] = []
    reading.hold("waits")
    reading.hold("a")
    reading.wait_for_others("waits", lambda: told.append("end"))
    reading.end()
    assert told == ["end"]
    assert not reading.wait_for_others("waits", lambda: told.append("never"))
