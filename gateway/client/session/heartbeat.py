"""Asks whether the other side is there, and what time it is by its clock (spec section 9)."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final, Protocol

from gateway.protocol.clock import ClockEstimate
from gateway.protocol.messages import Welcome
from gateway.protocol.signals import Ping, Pong

FIRST_PINGS: Final = 4
"""Pings one after the other after WELCOME: the smallest of a few round trips gives the better clock."""
MIN_INTERVAL_S: Final = 0.1
"""Whatever the gateway asks for, it is not pinged more often."""
SILENT_BEATS: Final = 5
"""Half intervals without a sign of life after which the other side is given up: two intervals and a half."""


class Timer(Protocol):
    """What a loop's ``call_later`` returns."""

    def cancel(self) -> None:
        """Do not call back."""


class Heartbeat:
    """The pings of one session.

    Args:
        call_later: the loop's.
        send: sends a frame.
        heard: whether anything arrived since the last call, or cannot arrive because we do not read.
        give_up: called with the seconds of silence.

    Attributes:
        clock: the other side's clock against ours.
    """

    def __init__(
        self,
        call_later: Callable[[float, Callable[[], None]], Timer],
        send: Callable[[bytes], object],
        heard: Callable[[], bool],
        give_up: Callable[[float], None],
    ) -> None:
        self._call_later = call_later
        self._send = send
        self._heard = heard
        self._give_up = give_up
        self._timer: Timer | None = None
        self._half_s = 0.0
        self._beats = 0
        self._silent = 0
        self._first_pings = FIRST_PINGS
        self.clock = ClockEstimate()

    def start(self, welcome: Welcome, hello_ns: int, arrived_ns: int) -> None:
        """WELCOME is here: a first, rough exchange of clocks. The pings that follow are better and replace it.

        Args:
            hello_ns: when HELLO was sent, by our clock.
            arrived_ns: when WELCOME arrived, by our clock.
        """
        self.clock.receive(Pong(hello_ns, welcome.time_ns, welcome.time_ns), arrived_ns)
        self._half_s = max(welcome.heartbeat_interval_s, MIN_INTERVAL_S) / 2
        self._ping()
        self._schedule()

    def stop(self) -> None:
        """The session is over."""
        if self._timer is not None:
            self._timer.cancel()

    def pong_received(self, pong: Pong, arrived_ns: int) -> None:
        """PONG: learn from it; of the first ones each is followed by the next ping."""
        self.clock.receive(pong, arrived_ns)
        if self._first_pings > 0:
            self._ping()

    def _ping(self) -> None:
        self._first_pings -= 1
        self._send(Ping(time.time_ns()).write())

    def _schedule(self) -> None:
        self._timer = self._call_later(self._half_s, self._beat)

    def _beat(self) -> None:
        """Every half interval: see whether there was a sign of life, and ping at every second beat."""
        self._silent = 0 if self._heard() else self._silent + 1
        if self._silent >= SILENT_BEATS:
            self._give_up(self._silent * self._half_s)
            return
        self._beats += 1
        if self._beats % 2 == 0:
            self._ping()
        self._schedule()
