"""Numbers of streams and views at one moment."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

from gateway.connections.consumers.stats import ConsumerStats
from gateway.protocol.messages import EndReason, Kind


class KindStats(NamedTuple):
    """Numbers of all streams of one kind."""

    streams: int = 0
    published_messages: int = 0
    published_bytes: int = 0
    delivered_messages: int = 0
    """Messages written to receivers or queued for them, of views as well, each receiver counted."""


class ViewCounts(NamedTuple):
    """Counters of views since the start, also of views that nobody receives any more."""

    computed_entries: int = 0
    """Runs and large messages that were computed: once, however many connections receive the view."""
    conflated_messages: int = 0
    """Versions of states that were not computed: a newer one came before, or the view did not fit them."""


@dataclass(frozen=True, slots=True)
class ViewStats:
    """Numbers of all views."""

    views: int
    """Distinct views that somebody receives."""
    counts: ViewCounts
    delivered_messages: Mapping[Kind, int]
    """Messages written to receivers or queued for them, each receiver counted, by the kind of the stream."""
    held_bytes: int
    """Memory of the views and of their newest messages, as their bound counts it."""


@dataclass(frozen=True, slots=True)
class StreamStats:
    """Numbers of one stream."""

    subscribers: int
    """Connections that receive the stream as it is; clients that are there, if its kind is acknowledged."""
    viewers: int
    """Connections that receive views of the stream, each view counted."""
    observers: int
    """Connections that take the stream, whose kind is acknowledged, without acknowledging."""
    consumers: ConsumerStats
    """Clients that the stream is kept for until they acknowledge; all 0 for the other kinds."""


@dataclass(frozen=True, slots=True)
class HubStats:
    """Numbers of all streams."""

    kinds: Mapping[Kind, KindStats]
    """Counters include streams that have ended."""
    consumers: ConsumerStats
    observers: int
    """Observers of acknowledged streams, each stream counted."""
    views: ViewStats
    held_acks: int
    """Acknowledgements of publishes that are held back while receivers are behind."""
    ended_streams: Mapping[EndReason, int]
    """Streams that have ended, by the reason."""
