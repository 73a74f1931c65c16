"""Heartbeat: pings that detect a silent gateway and measure its clock, and answers to its pings (spec section 9)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final, Protocol

from gateway.client.session.gateway_clock import GatewayClock
from gateway.protocol.signals import Ping, Pong
from gateway.protocol.wire import Buffer

FIRST_PINGS: Final = 4
"""Pings in sequence after WELCOME: the shortest of a few round trips gives the best estimate of the clock."""
MIN_INTERVAL_S: Final = 0.1
"""Shortest interval between pings, even if the gateway asks for a shorter one."""
SILENT_BEATS: Final = 5
"""Half intervals without a sign of life after which the connection is given up: two and a half intervals."""


LAST_LOOK_S: Final = 0.1
"""Time in which the loop reads what may have come, before the connection is given up."""


class Timer(Protocol):
    """Result of a loop's ``call_later``."""

    def cancel(self) -> None:
        """Cancel the callback."""


class Heartbeat:
    """Pings of one session.

    Args:
        call_later: ``call_later`` of the loop.
        ask: sends the buffers of a PING.
        send: sends the buffers of other frames.
        heard: returns whether anything arrived since the last call, or nothing could because reading is paused.
        give_up: called with the seconds of silence.
        beat: called before the PING of each interval.
        probed: called before the answer to a PING that asks for a report.
        clock: the gateway's clock, which it measures.
    """

    def __init__(
        self,
        call_later: Callable[[float, Callable[[], None]], Timer],
        ask: Callable[[Sequence[Buffer]], object],
        send: Callable[[Sequence[Buffer]], object],
        heard: Callable[[], bool],
        give_up: Callable[[float], None],
        beat: Callable[[], None],
        probed: Callable[[], None],
        clock: GatewayClock,
    ) -> None:
        self._call_later = call_later
        self._ask = ask
        self._send = send
        self._heard = heard
        self._give_up = give_up
        self._report = beat
        self._probed = probed
        self._timer: Timer | None = None
        self._half_s = 0.0
        self._beats = 0
        self._silent = 0
        self._first_pings = FIRST_PINGS
        self._clock = clock

    def start(self, interval_s: float) -> None:
        """Begin to ping, every ``interval_s`` that the gateway's WELCOME names."""
        self._half_s = max(interval_s, MIN_INTERVAL_S) / 2
        self._ping()
        self._schedule()

    def stop(self) -> None:
        """Stop pinging: the session has ended."""
        if self._timer is not None:
            self._timer.cancel()

    def ping_received(self, ping: Ping, arrived_ns: int) -> None:
        """Answer a PING of the gateway."""
        if ping.report:
            self._probed()
        self._send((Pong(ping.t0, arrived_ns, self._clock.local_ns()).write(),))

    def pong_received(self, pong: Pong, arrived_ns: int) -> None:
        """Learn from a PONG; after each of the first ones send the next ping."""
        self._clock.receive(pong, arrived_ns)
        if self._first_pings > 0:
            self._ping()

    def _ping(self) -> None:
        self._first_pings -= 1
        self._ask((Ping(self._clock.local_ns()).write(),))

    def _schedule(self) -> None:
        self._timer = self._call_later(self._half_s, self._beat)

    def _beat(self) -> None:
        """Check for a sign of life every half interval, and ping at every second beat."""
        self._silent = 0 if self._heard() else self._silent + 1
        if self._silent >= SILENT_BEATS:
            # A loop that was held up has yet to read what came.
            self._timer = self._call_later(LAST_LOOK_S, self._last_beat)
            return
        self._go_on()

    def _last_beat(self) -> None:
        """Give the connection up unless there is a sign of life after all."""
        if self._heard():
            self._silent = 0
            self._go_on()
        else:
            self._give_up(self._silent * self._half_s)

    def _go_on(self) -> None:
        self._beats += 1
        if self._beats % 2 == 0:
            self._report()
            self._ping()
        self._schedule()
