"""Link: values that are measured of one connection over time, smoothed, as samples of its counters come.

Connections that keep up and report nothing have none: their round trip is kept elsewhere, and nothing waits for them.
"""

from __future__ import annotations

import math
from typing import Final, NamedTuple

from gateway.connections.link_tier import LinkTier
from gateway.connections.links.bottleneck import BUSY_SHARE, UNREAD_S, Bottleneck, bottleneck_of
from gateway.connections.links.program_positions import NextOffset, ProgramPositions
from gateway.connections.links.tier_watch import TierWatch
from gateway.connections.socket_counts import TcpInfo
from gateway.protocol.signals import ReceiverReport

GOODPUT_S: Final = 2.0
"""Time constant of the goodput: after it a change shows by 63 %."""
QUEUE_S: Final = 1.0
"""Time constant of the queue delay: a plan is to see a receiver that falls behind within a second or two."""
SHARES_S: Final = 5.0
"""Time constant of the shares of gaps and conflated versions."""

LEAST_BUSY_S: Final = 0.05
"""Time in which a socket has to be busy for a rate: the kernel counts in steps of some milliseconds."""
HELD_S: Final = 2.0
"""Time for which a bottleneck is told after the connection has caught up: one that lags and catches up in turns has it
all the time."""
SETTLED_S: Final = 30.0
"""Time after catching up after which what was measured while the connection lagged is forgotten."""

DECODE_S: Final = 60.0
"""Time constant of the decode time: it depends on the receiver's machine, so it changes little."""

MAX_DELAY_S: Final = 3600.0
"""Longest delay that is told, and that a receiver is believed."""
MAX_DECODE_S_PER_BYTE: Final = 1e-4
"""Longest decode time that a receiver is believed: 100 s for a megabyte."""
MAX_UNREAD_BYTES: Final = 2**48
"""Most unread bytes that a receiver is believed."""


class LinkCounts(NamedTuple):
    """Counters of one connection, as they stand when it is sampled."""

    lagging: bool
    waiting_bytes: int
    """Bytes that wait in its outbox and its transport."""
    awaited: bool = False
    """Whether bulk waits for its answer to a PING."""
    progress: tuple[int, ...] = ()
    """Numbers of which one changes when the receiver has taken something, or something is written to it."""
    sent: int = 0
    """Messages that were sent."""
    conflated: int = 0
    dropped: int = 0
    bulk_bytes_per_s: float = 0.0
    """Goodput that the answers to PINGs behind bulk show; 0: none was measured."""
    drained_bytes_per_s: float = 0.0
    """Rate at which the transport has drained when it was full; 0: it has not."""
    tcp: TcpInfo | None = None


NO_COUNTS: Final = LinkCounts(lagging=False, waiting_bytes=0)


class Link:
    """Smoothed values of one connection.

    Attributes:
        goodput_bytes_per_s: rate at which bytes arrive when many wait; ``None`` before the first sample.
        queue_delay_s: time for which a message waits for those before it.
        decode_s_per_byte: time that the receiver takes to decode a byte; ``None`` before it has reported.
        unread_bytes: bytes that its program has not taken, as it has reported last.
        unread_s: age of the oldest of these messages.
        reported_s: time of its last report; ``None`` before the first.
        positions: streams in which its program is behind; ``None``: it has named none.
        caught_up_s: time since which the connection has not been seen to lag.
    """

    __slots__ = (
        "_bottleneck",
        "_conflated",
        "_counts",
        "_dropped",
        "_moved_s",
        "_sampled_s",
        "_sent",
        "_tiers",
        "caught_up_s",
        "decode_s_per_byte",
        "goodput_bytes_per_s",
        "positions",
        "queue_delay_s",
        "reported_s",
        "unread_bytes",
        "unread_s",
    )

    def __init__(self, now_s: float) -> None:
        self.goodput_bytes_per_s: float | None = None
        self.queue_delay_s = 0.0
        self._sent = self._dropped = self._conflated = 0.0
        """Decayed counts of messages."""
        self.decode_s_per_byte: float | None = None
        self.unread_bytes = 0
        self.unread_s = 0.0
        self.reported_s: float | None = None
        self.positions: ProgramPositions | None = None
        self.caught_up_s = now_s
        self._tiers = TierWatch()
        self._bottleneck = Bottleneck.NONE
        self._counts: LinkCounts | None = None
        self._sampled_s = self._moved_s = now_s

    @property
    def tier(self) -> LinkTier:
        """Tier of the link; the fastest before rates show another one."""
        return self._tiers.tier

    @property
    def sampled_s(self) -> float:
        """Time of the last sample."""
        return self._sampled_s

    @property
    def bottleneck(self) -> Bottleneck:
        """Bottleneck of the last span; the reader, if its program says that messages wait there."""
        return Bottleneck.READER if self.unread_s >= UNREAD_S else self._bottleneck

    @property
    def counted_bottleneck(self) -> Bottleneck:
        """Bottleneck of the last span by counters alone, whatever its program says."""
        return self._bottleneck

    @property
    def tcp(self) -> TcpInfo | None:
        """Newest counters of the operating system; ``None`` if it has none, or they were not read."""
        return None if self._counts is None else self._counts.tcp

    @property
    def gap_share(self) -> float:
        """Share of dropped messages, 0 to 1."""
        return self._share_of(self._dropped)

    @property
    def conflated_share(self) -> float:
        """Share of conflated versions, 0 to 1."""
        return self._share_of(self._conflated)

    def settled(self, now_s: float) -> bool:
        """Return whether the connection has kept up for so long that nothing is to be measured any more."""
        return now_s - self.caught_up_s >= SETTLED_S

    def report(self, report: ReceiverReport, now_s: float, next_offset: NextOffset) -> None:
        """Take a report of the receiver into account; values that cannot be are bounded, or left out.

        Args:
            report: the report.
            now_s: time of its arrival.
            next_offset: of the streams of the connection.
        """
        span_s = DECODE_S if self.reported_s is None else now_s - self.reported_s
        self.reported_s = now_s
        self.unread_bytes = min(report.unread_bytes, MAX_UNREAD_BYTES)
        self.unread_s = min(report.unread_ns / 1e9, MAX_DELAY_S)
        if report.decoded_bytes:
            sample = min(report.decode_ns / 1e9 / report.decoded_bytes, MAX_DECODE_S_PER_BYTE)
            known = self.decode_s_per_byte
            self.decode_s_per_byte = sample if known is None else smoothed(known, sample, max(0.0, span_s), DECODE_S)
        if not report.unread_bytes:
            self.positions = None
        elif self.positions is not None or report.positions:
            self.positions = self.positions or ProgramPositions()
            self.positions.take(report.positions, next_offset)

    def take_rate(self, bytes_per_s: float, now_s: float) -> None:
        """Take a rate into account that was measured while nothing waited; see :meth:`sample`."""
        self._tiers.take(bytes_per_s, now_s)

    def sample(self, counts: LinkCounts, now_s: float) -> None:
        """Take the counters of the connection into account.

        Args:
            counts: the counters.
            now_s: the time, by a clock that nobody sets; later than that of the last sample.
        """
        # Messages before the first sample are left out, and rates before it are taken.
        before = self._counts or counts._replace(bulk_bytes_per_s=0.0, drained_bytes_per_s=0.0)
        span_s = max(0.0, now_s - self._sampled_s)
        self._counts, self._sampled_s = counts, now_s
        if counts.lagging:
            self.caught_up_s = now_s
        self._measure_goodput(before, counts, span_s)
        self._tiers.take(_least_rate_of(before, counts, span_s), now_s)
        self._measure_delay(before, counts, now_s, span_s)
        self._measure_losses(before, counts, span_s)
        found = bottleneck_of(before.tcp, counts.tcp, span_s, lagging=counts.lagging, awaited=counts.awaited)
        if found is not Bottleneck.NONE or now_s - self.caught_up_s >= HELD_S:
            self._bottleneck = found

    def _measure_goodput(self, before: LinkCounts, counts: LinkCounts, span_s: float) -> None:
        """Take the rate of this span, if there is one, into account."""
        rate = _rate_of(before, counts, span_s)
        if rate:
            known = self.goodput_bytes_per_s
            self.goodput_bytes_per_s = rate if known is None else smoothed(known, rate, span_s, GOODPUT_S)

    def _measure_delay(self, before: LinkCounts, counts: LinkCounts, now_s: float, span_s: float) -> None:
        """Divide the bytes that wait by the goodput; a receiver that takes nothing has them wait for longer."""
        if not counts.lagging or counts.progress != before.progress:
            self._moved_s = now_s
        waiting_bytes = counts.waiting_bytes + (0 if counts.tcp is None else counts.tcp.unsent_bytes)
        delay_s = now_s - self._moved_s
        if self.goodput_bytes_per_s:
            delay_s = max(delay_s, waiting_bytes / self.goodput_bytes_per_s)
        self.queue_delay_s = smoothed(self.queue_delay_s, min(delay_s, MAX_DELAY_S), span_s, QUEUE_S)

    def _measure_losses(self, before: LinkCounts, counts: LinkCounts, span_s: float) -> None:
        """Add to the decayed counts of messages by their fate.

        Messages that are sent while the connection keeps up are counted later: meanwhile only losses decay.
        """
        kept = math.exp(-span_s / SHARES_S)
        self._sent = self._sent * (kept if counts.lagging else 1.0) + max(0, counts.sent - before.sent)
        self._dropped = self._dropped * kept + counts.dropped - before.dropped
        self._conflated = self._conflated * kept + counts.conflated - before.conflated

    def _share_of(self, lost: float) -> float:
        total = self._sent + self._dropped + self._conflated
        return lost / total if total else 0.0


def _rate_of(before: LinkCounts, counts: LinkCounts, span_s: float) -> float:
    """Return the rate at which the receiver took bytes in a span; 0 if that does not show.

    The answers of the receiver's program come first, then the acknowledgements of its system. The transport comes last:
    it drains into the socket, too, as long as that has room.
    """
    if counts.bulk_bytes_per_s != before.bulk_bytes_per_s:
        return counts.bulk_bytes_per_s
    if counts.tcp is not None:
        return _tcp_rate_of(before.tcp, counts.tcp, span_s)
    return counts.drained_bytes_per_s if counts.drained_bytes_per_s != before.drained_bytes_per_s else 0.0


def _least_rate_of(before: LinkCounts, counts: LinkCounts, span_s: float) -> float:
    """Return the rate by which the tier is known: as :func:`_rate_of`, but that of the system if it is less.

    The rate by answers is a median, which shows a line that has become slow only after seconds.
    """
    rate = _rate_of(before, counts, span_s)
    system = 0.0 if counts.tcp is None else _tcp_rate_of(before.tcp, counts.tcp, span_s)
    return min(rate, system) if system else rate


def _tcp_rate_of(before: TcpInfo | None, now: TcpInfo, span_s: float) -> float:
    """Return the rate at which the receiver's system took bytes while some were to be sent; 0: hardly any were."""
    if before is None:
        return 0.0
    busy_s = now.busy_s - before.busy_s
    acknowledged_bytes = now.acknowledged_bytes - before.acknowledged_bytes
    return acknowledged_bytes / busy_s if busy_s > max(BUSY_SHARE * span_s, LEAST_BUSY_S) else 0.0


def smoothed(known: float, sample: float, span_s: float, constant_s: float) -> float:
    """Return an exponentially weighted mean, which is never beyond its values: a sample of a longer span weighs more.

    Args:
        known: the mean so far.
        sample: the new value.
        span_s: time since the last sample.
        constant_s: time constant.
    """
    kept = math.exp(-span_s / constant_s)
    mean = kept * known + (1 - kept) * sample
    # Rounding can lead past both.
    return min(max(mean, min(known, sample)), max(known, sample))
