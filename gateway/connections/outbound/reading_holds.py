"""Back-pressure on a peer: nothing is read from it while somebody holds its reading."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from gateway.connections.ports import Clock, Transport

ROOM_WAIT_S: Final = 5.0
"""Longest time for which a peer is not read from because a queue is full while its receivers still read from it."""

IDLE_WAIT_S: Final = 1.0
"""The same for receivers that have read everything and are busy: waiting hardly helps, and delays all of the peer."""

MAX_WAITING_PEERS: Final = 16
"""Peers that wait for room in one queue, each with one message beyond the bound; further ones are refused at once."""

LOOK_S: Final = 0.01
"""Interval at which a queue is looked at for room while peers wait."""


class ReadingHolds:
    """Holders that have stopped the reading from one peer; reading goes on when the last one lets go.

    Args:
        transport: the transport that reads.
    """

    __slots__ = ("_holders", "_transport")

    def __init__(self, transport: Transport) -> None:
        self._transport: Transport | None = transport
        self._holders: frozenset[object] = frozenset()

    @property
    def held(self) -> bool:
        """Return whether nothing is read from the peer now."""
        return bool(self._holders)

    def hold(self, holder: object) -> None:
        """Read nothing more until ``holder``, and every other holder, lets go; does nothing after :meth:`end`."""
        if self._transport is None:
            return
        if not self._holders:
            self._transport.pause_reading()
        self._holders |= {holder}

    def release(self, holder: object) -> None:
        """Let go for ``holder``; does nothing if it does not hold."""
        if self._transport is not None and holder in self._holders:
            self._holders -= {holder}
            if not self._holders:
                self._transport.resume_reading()

    def end(self) -> None:
        """Let go for every holder, once and for all: a peer that is being closed has to be read until it answers."""
        if self._transport is not None and self._holders:
            self._transport.resume_reading()
        self._holders = frozenset()
        self._transport = None


class RoomWait:
    """Peers that are not read from because what they publish finds a queue full.

    So waiting comes before refusing, for a bounded time: the messages that were read already are taken, and further
    ones are read when there is room. If there is none in time, messages are refused until there was room once.

    Args:
        full: returns whether the queue is full.
        moving: returns whether receivers are still reading what fills it.
        clock: measures the time.
    """

    __slots__ = ("_clock", "_full", "_given_up", "_held", "_moving", "_since_s")

    def __init__(self, full: Callable[[], bool], moving: Callable[[], bool], clock: Clock) -> None:
        self._full = full
        self._moving = moving
        self._clock = clock
        self._held: dict[ReadingHolds, None] = {}
        self._since_s: float | None = None
        """Time since which the queue has been full; ``None``: it was not, when it was last looked at."""
        self._given_up = False

    def wait(self, reading: ReadingHolds) -> bool:
        """Have a peer wait whose message finds the queue full.

        Returns:
            Whether to take the message: it is the last one that is read from the peer before there is room. False if
            waiting has not helped, or too many wait already: the message is to be refused.
        """
        if self._since_s is None:
            self._since_s = self._clock.monotonic_s()
            self._clock.call_later(LOOK_S, self._look)
        if self._given_up:
            return False
        if reading not in self._held:
            if len(self._held) >= MAX_WAITING_PEERS:
                return False
            self._held[reading] = None
            reading.hold(self)
        return True

    def _look(self) -> None:
        assert self._since_s is not None
        waited_s = self._clock.monotonic_s() - self._since_s
        if not self._full():
            self._since_s, self._given_up = None, False
            self._let_go()
            return
        if not self._given_up and waited_s >= (ROOM_WAIT_S if self._moving() else IDLE_WAIT_S):
            self._given_up = True
            self._let_go()
        self._clock.call_later(IDLE_WAIT_S if self._given_up else LOOK_S, self._look)

    def _let_go(self) -> None:
        held, self._held = self._held, {}
        for reading in held:
            reading.release(self)
