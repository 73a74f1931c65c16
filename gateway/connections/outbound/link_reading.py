"""Readings of the link of one connection: the counters that its parts keep anyway, and the values that these make."""

from __future__ import annotations

from dataclasses import dataclass

from gateway.connections.links.bottleneck import Bottleneck
from gateway.connections.links.link import LinkCounts
from gateway.connections.outbound.connection import Connection
from gateway.connections.socket_counts import TcpInfo
from gateway.protocol.link_quality import LinkQuality


@dataclass(frozen=True, slots=True)
class LinkSnapshot:
    """Link of one connection. It does not change."""

    quality: LinkQuality
    """Measured values; those that are not known are ``None``."""
    score: float
    """Score of them, 0 to 1 (spec section 15)."""
    bottleneck: Bottleneck
    """Part that keeps messages waiting."""
    smallest_rtt_s: float | None
    """Smallest round trip of the last minutes; ``None``: none was measured."""
    unread_bytes: int
    """Bytes that the receiver's program has not taken, as it has reported last."""
    tcp: TcpInfo | None
    """Counters of the operating system, if the connection has lagged of late."""


def link_snapshot(connection: Connection) -> LinkSnapshot:
    """Return what is known of the link of a connection."""
    quality, link, round_trip = link_quality(connection), connection.link, connection.round_trip
    return LinkSnapshot(
        quality=quality,
        score=quality.score,
        bottleneck=Bottleneck.NONE if link is None else link.bottleneck,
        smallest_rtt_s=None if round_trip is None else round_trip.smallest_s,
        unread_bytes=0 if link is None else link.unread_bytes,
        tcp=None if link is None else link.tcp,
    )


def link_quality(connection: Connection) -> LinkQuality:
    """Return the measured values of the link of a connection."""
    link, window, round_trip = connection.link, connection.bulk_window, connection.round_trip
    rtt_s, jitter_s = (None, None) if round_trip is None else round_trip[:2]
    goodput = None if link is None else link.goodput_bytes_per_s
    if window is not None:
        rtt_s = rtt_s or window.rtt_ns / 1e9 or None
        goodput = goodput or window.goodput_bytes_per_s or None
    if rtt_s is None and link is not None and link.tcp is not None:
        rtt_s, jitter_s = link.tcp.rtt_s, link.tcp.rtt_deviation_s
    if link is None:
        return LinkQuality(rtt_s=rtt_s, jitter_s=jitter_s, goodput_bytes_per_s=goodput)
    return LinkQuality(
        rtt_s=rtt_s,
        jitter_s=jitter_s,
        goodput_bytes_per_s=goodput,
        queue_delay_s=link.queue_delay_s,
        gap_share=link.gap_share,
        conflated_share=link.conflated_share,
        decode_s_per_byte=link.decode_s_per_byte,
        unread_s=link.unread_s,
    )


def queued_bytes_of(connection: Connection) -> int:
    """Return the bytes in the outbox and in the transport of a connection."""
    outbox = connection.outbox
    return connection.transport.waiting_bytes() + (0 if outbox is None else outbox.waiting_bytes)


def read_counts(connection: Connection) -> LinkCounts:
    """Return the counters of a connection, for its link; costs some microseconds."""
    outbox, window, socket = connection.outbox, connection.bulk_window, connection.transport.socket_counts()
    unsent_bytes, taken_bytes = connection.transport.waiting_bytes(), 0 if outbox is None else outbox.taken_bytes
    return LinkCounts(
        lagging=connection.lagging,
        waiting_bytes=queued_bytes_of(connection),
        awaited=not connection.bulk_open,
        progress=(taken_bytes, unsent_bytes, 0 if window is None else window.answered_bytes),
        sent=connection.accounts.booked,
        conflated=0 if outbox is None else outbox.conflated,
        dropped=0 if outbox is None else outbox.dropped,
        bulk_bytes_per_s=0.0 if window is None else window.goodput_bytes_per_s,
        drained_bytes_per_s=socket.drained_bytes_per_s,
        tcp=socket.tcp,
    )
