"""Readings of the link of one connection: the counters that its parts keep anyway, and the values that these make."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, NamedTuple

from gateway.connections.links.bottleneck import Bottleneck
from gateway.connections.links.link import LinkCounts
from gateway.connections.outbound.connection import Connection
from gateway.connections.socket_counts import TcpInfo
from gateway.protocol.link_quality import LinkQuality

LISTED_POSITIONS: Final = 8
"""Streams in which a program is furthest behind that a snapshot names."""


class NamedPosition(NamedTuple):
    """Stream in which the program of a receiver is behind."""

    stream: str
    """Name of the stream, or of that of a view."""
    offset: int
    """The program has taken every message before it."""
    behind: int
    """Messages, or versions of a state, from there up to the last one that its client has got."""


@dataclass(frozen=True, slots=True)
class LinkSnapshot:
    """Link of one connection. It does not change."""

    quality: LinkQuality
    """Measured values; those that are not known are ``None``."""
    score: float
    """Score of them, 0 to 1 (spec section 15)."""
    bottleneck: Bottleneck
    """Part that keeps messages waiting."""
    tier: str
    """Name of its link tier; that of the fastest if nothing has waited."""
    smallest_rtt_s: float | None
    """Smallest round trip of the last minutes; ``None``: none was measured."""
    unread_bytes: int
    """Bytes that the receiver's program has not taken, as it has reported last."""
    streams_behind: int
    """Streams in which its program is behind, as far as they were named."""
    behind: tuple[NamedPosition, ...]
    """The first of these, that in which the program is furthest behind first."""
    tcp: TcpInfo | None
    """Counters of the operating system, if the connection has lagged of late."""


def link_snapshot(connection: Connection) -> LinkSnapshot:
    """Return what is known of the link of a connection."""
    quality, link, round_trip = link_quality(connection), connection.link, connection.round_trip
    return LinkSnapshot(
        quality=quality,
        score=quality.score,
        bottleneck=Bottleneck.NONE if link is None else link.bottleneck,
        tier=connection.profile.tier.name,
        smallest_rtt_s=None if round_trip is None else round_trip.smallest_s,
        unread_bytes=0 if link is None else link.unread_bytes,
        streams_behind=0 if link is None or link.positions is None else len(link.positions),
        behind=_furthest_positions(connection),
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


def most_behind(connection: Connection) -> int:
    """Return the messages that the receiver's program is behind in one stream, as it has reported last."""
    link = connection.link
    return 0 if link is None or link.positions is None else link.positions.most_behind


def next_offset_of(connection: Connection, stream: int) -> int | None:
    """Return the next offset of a stream that a connection receives, by its number; ``None``: it receives none such."""
    source = connection.accounts.source_of(stream)
    return None if source is None else source.next_offset


def _furthest_positions(connection: Connection) -> tuple[NamedPosition, ...]:
    """Return the streams in which the receiver's program is furthest behind; those that it has left are not named."""
    if connection.link is None or connection.link.positions is None:
        return ()
    name_of, furthest = connection.accounts.name_of, connection.link.positions.furthest(LISTED_POSITIONS)
    named = [(name_of(position.stream), position) for position in furthest]
    return tuple([NamedPosition(name, offset, behind) for name, (_, behind, offset) in named if name is not None])


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
