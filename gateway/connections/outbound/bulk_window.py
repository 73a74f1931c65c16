"""Flow control of bulk on one connection: round trip, goodput, and the window of chunks under way.

Sockets buffer tens of megabytes: a control message written behind a large tensor waits for all of them. So chunks, and
messages of that size in one frame, are followed by PINGs, and no more of them are sent than the peer answers within a
target delay. Small messages are not held back: they pass the bulk that is not sent yet. The window grows while it does
not queue on its way, and shrinks when it queues for longer than a target, as in LEDBAT (RFC 6817, section 2.4.2, with a
gain of 1). To prevent an overshoot, the window is at most the bytes that the goodput carries within the round trip and
twice the target.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from functools import partial

from gateway.connections.lagging.bulk import UNPACED, Bulk
from gateway.protocol.round_trip import RoundTrip
from gateway.protocol.signals import Pong

BULK_WRITE_BYTES = 256 * 1024
"""Bytes above which messages are bulk that are written together to a receiver that keeps up: to count smaller ones
would cost each member of a delivery class some microseconds."""
PINGS_A_WINDOW = 4
PING_EVERY_BYTES = 1024 * 1024
"""A PING follows each quarter of the window, or this many bytes of chunks if that is less; on a fast link more."""
PING_EVERY_S = 0.004
"""Time that the chunks between two PINGs take on such a link, less than half of :data:`TARGET_DELAY_NS`."""
MAX_PING_EVERY_BYTES = 4 * 1024 * 1024
"""Most bytes of chunks between two PINGs. A PING and its answer cost both sides what a chunk costs them in Python."""

FIRST_WINDOW_BYTES = 1024 * 1024
MIN_WINDOW_BYTES = 512 * 1024
MIN_PACED_WINDOW_BYTES = 8 * 1024
MAX_WINDOW_BYTES = 64 * 1024 * 1024

TARGET_DELAY_NS = 10_000_000
"""Time that bulk may queue on its way, beyond the smallest round trip."""

BASE_PERIODS = 3
BASE_PERIOD_NS = 20_000_000_000
"""The smallest delay is forgotten after a minute, so that a clock that was set does not matter for long."""

ALONE_REMEMBERED = 0.9
"""Part of the highest rate of writes that were under way alone that counts when there is another one: a line that has
become ten times as slow shows after some twenty."""

GOODPUT_SAMPLES = 9
"""Goodput is the median of this many samples: a reader that was held up and catches up looks fast for a moment."""

LARGEST_STEP_DOWN = -0.5
"""Bound on one step down, as a share of the bytes just read: a reader that was not scheduled for once is not slow."""


@dataclass(slots=True, eq=False)
class BulkWindow:
    """The bulk window of one connection."""

    rtt_ns: int = 0
    """The smallest round trip seen; 0 before the first."""
    goodput_bytes_per_s: float = 0.0
    """Recent rate at which bulk arrives; 0 before the first answer."""
    alone_bytes_per_s: float = 0.0
    """Highest rate of recent writes that were under way alone, with the way there and back: the line is no slower."""
    window_bytes: int = FIRST_WINDOW_BYTES
    """Bulk that may be unanswered."""
    bulk: Bulk = UNPACED
    """Rule for the messages that wait for the window; if it paces, the window may be as small as one state."""
    _sent: int = 0
    _answered: int = 0
    _marks: deque[tuple[int, int, int]] = field(default_factory=deque)
    """PINGs under way: time of sending, bytes of bulk sent before, and those of the last write among them."""
    _last_t1_ns: int | None = None
    _bases_ns: deque[int] = field(default_factory=partial(deque, maxlen=BASE_PERIODS))
    """The smallest one-way delay of each of the last periods, by two clocks that need not agree."""
    _next_base_ns: int = 0
    _goodputs: deque[float] = field(default_factory=partial(deque, maxlen=GOODPUT_SAMPLES))

    @property
    def unanswered(self) -> bool:
        """Whether a PING is under way."""
        return bool(self._marks)

    @property
    def answered_bytes(self) -> int:
        """Bulk that the peer has read, as its answers show."""
        return self._answered

    @property
    def open(self) -> bool:
        """Whether another chunk may be sent; always if no answer is awaited, because no answer would open it again.

        Bytes sent behind the last PING may exceed a window that shrank with its answer.
        """
        return not self._marks or self._sent - self._answered < self.window_bytes

    @property
    def _ping_every_bytes(self) -> float:
        """Bulk between two PINGs."""
        fast = self.goodput_bytes_per_s * PING_EVERY_S
        return min(self.window_bytes // PINGS_A_WINDOW, max(PING_EVERY_BYTES, fast), MAX_PING_EVERY_BYTES)

    def sent(self, size: int, now_ns: int) -> bool:
        """Count ``size`` bytes of bulk, and return whether a PING with ``now_ns`` is to follow them."""
        self._sent += size
        marked = self._marks[-1][1] if self._marks else self._answered
        if self._sent - marked < self._ping_every_bytes:
            return False
        self._marks.append((now_ns, self._sent, size))
        return True

    def answered(self, pong: Pong, now_ns: int, round_trip: RoundTrip | None = None) -> None:
        """Adjust the window to a PONG: everything sent before its PING has been read.

        Args:
            pong: the answer.
            now_ns: the time.
            round_trip: round trips of small messages, for a paced receiver; ``None``: they are not known.
        """
        marks = self._marks
        if not any(mark[0] == pong.t0 for mark in marks):
            return
        while True:
            asked_ns, sent, last_bytes = marks.popleft()
            if asked_ns == pong.t0:
                break
        was_full = self._sent - self._answered >= self.window_bytes
        newly, self._answered = sent - self._answered, sent
        delay_ns = max(1, now_ns - asked_ns)
        self.rtt_ns = min(self.rtt_ns or delay_ns, delay_ns)
        self._measure_goodput(newly, last_bytes, pong.t1, delay_ns)
        room = (TARGET_DELAY_NS - self._queued_ns(pong.t1 - pong.t0, now_ns)) / TARGET_DELAY_NS
        window = self.window_bytes + max(LARGEST_STEP_DOWN, room) * newly
        way_ns = self.rtt_ns
        if round_trip is not None:
            # A round trip behind a state has the time of that state on the line in it, which is no way to be filled.
            way_ns = min(way_ns, int(round_trip.smallest_s * 1e9))
        if self._goodputs:
            window = min(window, self.goodput_bytes_per_s * (way_ns + 2 * TARGET_DELAY_NS) / 1e9)
        least = MIN_WINDOW_BYTES
        if self.bulk.paced:
            least = MIN_PACED_WINDOW_BYTES
            # States that come seldom say nothing about a burst of them, which the window is to hold back.
            window = window if was_full else min(window, self.window_bytes)
        self.window_bytes = int(min(max(window, least), MAX_WINDOW_BYTES))

    def _measure_goodput(self, newly: int, last_bytes: int, t1_ns: int, delay_ns: int) -> None:
        """Measure from one answer to the next by the peer's clock, so that delays of the answers do not count.

        Time in which nothing was under way does not count either. Bulk that was under way alone has arrived within its
        round trip, which tells a lower bound: it shows a line that has become fast to a window of one message.
        """
        since_ns = self._last_t1_ns
        self._last_t1_ns = t1_ns if self._marks else None
        if since_ns is None:
            self.alone_bytes_per_s = max(ALONE_REMEMBERED * self.alone_bytes_per_s, last_bytes / delay_ns * 1e9)
            sample = newly / delay_ns * 1e9
            if not self._goodputs or sample <= self.goodput_bytes_per_s:
                return
        elif t1_ns > since_ns:
            sample = newly / (t1_ns - since_ns) * 1e9
        else:
            return
        self._goodputs.append(sample)
        self.goodput_bytes_per_s = sorted(self._goodputs)[len(self._goodputs) // 2]

    def _queued_ns(self, one_way_ns: int, now_ns: int) -> int:
        """Return how much longer a PING was under way than the fastest recent one; its answer's way does not count."""
        bases = self._bases_ns
        if now_ns >= self._next_base_ns:
            self._next_base_ns = now_ns + BASE_PERIOD_NS
            bases.append(one_way_ns)
        bases[-1] = min(bases[-1], one_way_ns)
        return one_way_ns - min(bases)
