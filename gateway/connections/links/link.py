"""Link: values that are measured of one connection over time, smoothed, as samples of its counters come.

Connections that keep up and report nothing have none: their round trip is kept elsewhere, and nothing waits for them.
"""

from __future__ import annotations

import math
from typing import Final, NamedTuple

from gateway.connections.links.bottleneck import UNREAD_S, Bottleneck, bottleneck_of
from gateway.connections.socket_counts import TcpInfo
from gateway.protocol.signals import ReceiverReport

GOODPUT_S: Final = 2.0
"""Time constant of the goodput: after it a change shows by 63 %."""
QUEUE_S: Final = 1.0
"""Time constant of the queue delay: a plan is to see a receiver that falls behind within a second or two."""
SHARES_S: Final = 5.0
"""Time constant of the shares of gaps and conflated versions."""

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
    progress: tuple[int, ...] = ()
    """Numbers of which one changes when the receiver has taken something, or something is written to it."""
    sent: int = 0
    """Messages that were sent from its outbox."""
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
        gap_share: share of dropped messages, 0 to 1.
        conflated_share: share of conflated versions, 0 to 1.
        decode_s_per_byte: time that the receiver takes to decode a byte; ``None`` before it has reported.
        unread_bytes: bytes that its program has not taken, as it has reported last.
        unread_s: age of the oldest of these messages.
        reported_s: time of its last report; ``None`` before the first.
        tcp: newest counters of the operating system; ``None`` if it has none, or they were not read.
        caught_up_s: time since which the connection has not been seen to lag.
    """

    __slots__ = (
        "_bottleneck",
        "_counts",
        "_moved_s",
        "_sampled_s",
        "caught_up_s",
        "conflated_share",
        "decode_s_per_byte",
        "gap_share",
        "goodput_bytes_per_s",
        "queue_delay_s",
        "reported_s",
        "tcp",
        "unread_bytes",
        "unread_s",
    )

    def __init__(self, now_s: float) -> None:
        self.goodput_bytes_per_s: float | None = None
        self.queue_delay_s = 0.0
        self.gap_share = 0.0
        self.conflated_share = 0.0
        self.decode_s_per_byte: float | None = None
        self.unread_bytes = 0
        self.unread_s = 0.0
        self.reported_s: float | None = None
        self.tcp: TcpInfo | None = None
        self.caught_up_s = now_s
        self._bottleneck = Bottleneck.NONE
        self._counts = NO_COUNTS
        self._sampled_s = self._moved_s = now_s

    @property
    def bottleneck(self) -> Bottleneck:
        """Bottleneck of the last span; the reader, if its program says that messages wait there."""
        return Bottleneck.READER if self.unread_s >= UNREAD_S else self._bottleneck

    def settled(self, now_s: float) -> bool:
        """Return whether the connection has kept up for so long that nothing is to be measured any more."""
        return now_s - self.caught_up_s >= SETTLED_S

    def report(self, report: ReceiverReport, now_s: float) -> None:
        """Take a report of the receiver into account; values that cannot be are bounded, or left out."""
        span_s = DECODE_S if self.reported_s is None else now_s - self.reported_s
        self.reported_s = now_s
        self.unread_bytes = min(report.unread_bytes, MAX_UNREAD_BYTES)
        self.unread_s = min(report.unread_ns / 1e9, MAX_DELAY_S)
        if report.decoded_bytes:
            sample = min(report.decode_ns / 1e9 / report.decoded_bytes, MAX_DECODE_S_PER_BYTE)
            known = self.decode_s_per_byte
            self.decode_s_per_byte = sample if known is None else smoothed(known, sample, max(0.0, span_s), DECODE_S)

    def sample(self, counts: LinkCounts, now_s: float) -> None:
        """Take the counters of the connection into account.

        Args:
            counts: the counters.
            now_s: the time, by a clock that nobody sets; later than that of the last sample.
        """
        before, span_s = self._counts, max(0.0, now_s - self._sampled_s)
        self._counts, self._sampled_s = counts, now_s
        if counts.lagging:
            self.caught_up_s = now_s
        self._measure_goodput(before, counts, span_s)
        self._measure_delay(before, counts, now_s, span_s)
        self._measure_losses(before, counts, span_s)
        self._bottleneck = bottleneck_of(self.tcp, counts.tcp, span_s, lagging=counts.lagging)
        self.tcp = counts.tcp

    def _measure_goodput(self, before: LinkCounts, counts: LinkCounts, span_s: float) -> None:
        """Prefer what the receiver has answered to what the transport has drained."""
        for rate, last in (
            (counts.bulk_bytes_per_s, before.bulk_bytes_per_s),
            (counts.drained_bytes_per_s, before.drained_bytes_per_s),
        ):
            if rate > 0 and rate != last:
                known = self.goodput_bytes_per_s
                self.goodput_bytes_per_s = rate if known is None else smoothed(known, rate, span_s, GOODPUT_S)
                return

    def _measure_delay(self, before: LinkCounts, counts: LinkCounts, now_s: float, span_s: float) -> None:
        """Divide the bytes that wait by the goodput; a receiver that takes nothing has them wait for longer."""
        if not counts.lagging or counts.progress != before.progress:
            self._moved_s = now_s
        delay_s = 0.0
        if counts.lagging:
            delay_s = now_s - self._moved_s
            if self.goodput_bytes_per_s:
                delay_s = max(delay_s, counts.waiting_bytes / self.goodput_bytes_per_s)
        self.queue_delay_s = smoothed(self.queue_delay_s, min(delay_s, MAX_DELAY_S), span_s, QUEUE_S)

    def _measure_losses(self, before: LinkCounts, counts: LinkCounts, span_s: float) -> None:
        dropped, conflated = counts.dropped - before.dropped, counts.conflated - before.conflated
        total = max(0, counts.sent - before.sent) + dropped + conflated
        if counts.lagging and total <= 0:
            return  # nothing came for it, so nothing is known
        self.gap_share = smoothed(self.gap_share, dropped / total if total > 0 else 0.0, span_s, SHARES_S)
        self.conflated_share = smoothed(self.conflated_share, conflated / total if total > 0 else 0.0, span_s, SHARES_S)


def smoothed(known: float, sample: float, span_s: float, constant_s: float) -> float:
    """Return an exponentially weighted mean: a sample of a longer span weighs more.

    Args:
        known: the mean so far.
        sample: the new value.
        span_s: time since the last sample.
        constant_s: time constant.
    """
    kept = math.exp(-span_s / constant_s)
    return kept * known + (1 - kept) * sample
