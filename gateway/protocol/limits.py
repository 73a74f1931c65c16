"""Limits of a peer that can be configured (spec section 13)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

MIN_FRAME_LIMIT_BYTES: Final = 2 * 1024 * 1024
"""Smallest limit of a client on a WebSocket message (spec section 13)."""


@dataclass(frozen=True, slots=True)
class Limits:
    """Limits of one side. Every length from the wire is checked against one of them before it is used."""

    max_frame_bytes: int = 8 * 1024 * 1024
    """Size of the largest WebSocket message."""
    max_message_bytes: int = 4 * 1024 * 1024 * 1024
    """Size of the largest decoded payload of one message."""
    chunk_bytes: int = 512 * 1024
    """Decoded size of the chunks of large messages; messages of up to two of them travel in one frame."""
    max_aliases: int = 4096
    """Streams that one connection may have opened for publishing."""
    max_subscriptions: int = 1024
    """Subscriptions of one connection."""
    max_subscribed_streams: int = 200_000
    """Streams that one connection receives, each counted for each of its subscriptions."""
    max_all_subscribed_streams: int = 4_000_000
    """The same for all connections together."""
    max_transfers: int = 64
    """Large messages that one connection may have under way towards this side."""
    max_unfinished_bytes: int = 1024 * 1024 * 1024
    """Payloads of the large messages that one client has begun and not finished; a single one may be larger."""
    max_all_unfinished_bytes: int = 4 * 1024 * 1024 * 1024
    """Bytes received of the large messages of all clients that are not finished; a single one may be larger."""
    max_requests: int = 4096
    """Requests that one connection may have outstanding."""
    max_streams: int = 100_000
    """Streams of one gateway."""
    max_expanded_bytes: int = 16 * 1024 * 1024 * 1024
    """Bytes by which the newest versions of all states are larger decoded than as they were published; a single one may
    exceed it."""
    max_views: int = 10_000
    """Distinct views of one gateway that somebody receives."""
    max_view_bytes: int = 1024 * 1024 * 1024
    """Newest messages of all views of ``state`` streams; with one view, of any size, it may be exceeded."""
    max_connection_view_bytes: int = 256 * 1024 * 1024
    """Newest messages of the views of ``state`` streams that one connection receives; exceeded likewise."""


@dataclass(frozen=True, slots=True)
class WelcomeLimits:
    """Limits of the server that a client has to know (spec section 3.1)."""

    max_frame_bytes: int
    max_message_bytes: int
    chunk_bytes: int
    max_unfinished_bytes: int | None = None
    """Payloads of the large messages that a client has begun and not finished; absent if the server does not tell."""
    max_aliases: int | None = None
    """Aliases of the connection; absent if the server does not tell."""

    @classmethod
    def of(cls, limits: Limits) -> WelcomeLimits:
        """Return the part of ``limits`` that WELCOME tells to clients."""
        return cls(
            limits.max_frame_bytes,
            limits.max_message_bytes,
            limits.chunk_bytes,
            limits.max_unfinished_bytes,
            limits.max_aliases,
        )
