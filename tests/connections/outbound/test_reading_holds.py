"""ReadingHolds: a peer is read only while nobody holds its reading."""

from __future__ import annotations

from gateway.connections.outbound.reading_holds import IDLE_WAIT_S, LOOK_S, ROOM_WAIT_S, ReadingHolds, RoomWait
from tests.connections.memory import ManualClock
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


class Queue:
    """A queue that is full, and moves, when the test says so, and two peers that publish into it."""

    def __init__(self) -> None:
        self.full = self.moving = True
        self.clock = ManualClock()
        self.room = RoomWait(lambda: self.full, lambda: self.moving, self.clock)
        self.one, self.two = ReadingHolds(MemoryTransport()), ReadingHolds(MemoryTransport())

    @property
    def held(self) -> tuple[bool, bool]:
        return self.one.held, self.two.held


def test_peers_wait_until_there_is_room() -> None:
    queue = Queue()
    assert queue.room.wait(queue.one)
    assert queue.room.wait(queue.one), "it was read already"
    assert queue.room.wait(queue.two)
    queue.clock.advance(ROOM_WAIT_S / 2)
    assert queue.held == (True, True)
    queue.full = False
    queue.clock.advance(LOOK_S)
    assert queue.held == (False, False)
    queue.clock.advance(100.0)
    assert queue.clock.timers == 0


def test_peers_wait_longer_for_receivers_that_still_read_than_for_busy_ones() -> None:
    waited = []
    for moving in (True, False):
        queue = Queue()
        queue.moving = moving
        queue.room.wait(queue.one)
        waited.append(0.0)
        while queue.one.held:
            queue.clock.advance(0.1)
            waited[-1] += 0.1
    assert abs(waited[0] - ROOM_WAIT_S) < 0.2
    assert abs(waited[1] - IDLE_WAIT_S) < 0.2


def test_nobody_waits_again_before_there_was_room() -> None:
    queue = Queue()
    queue.room.wait(queue.one)
    queue.clock.advance(ROOM_WAIT_S + 1)
    taken = [queue.room.wait(queue.one), queue.room.wait(queue.two)]
    queue.full = False
    queue.clock.advance(IDLE_WAIT_S)
    queue.full = True
    taken.append(queue.room.wait(queue.two))
    assert taken == [False, False, True]
    assert queue.held == (False, True)
