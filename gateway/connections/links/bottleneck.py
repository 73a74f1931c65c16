"""Bottleneck of a link: the line or the reader, told apart by what the operating system counts of its socket."""

from __future__ import annotations

import enum
from typing import Final

from gateway.connections.socket_counts import TcpInfo

READER_SHARE: Final = 0.5
"""Part of the busy time in which the peer took nothing, from which on the peer is the bottleneck."""
BUSY_SHARE: Final = 0.5
"""Part of a span in which something was to be sent, from which on there is a bottleneck."""
UNREAD_S: Final = 1.0
"""Age of the oldest message that the program has not taken, from which on the program is the bottleneck: it reports
that itself, and its library may read on."""


class Bottleneck(enum.StrEnum):
    """The part that keeps messages waiting."""

    NONE = "none"
    """No message waits for long."""
    LINK = "link"
    """Slow line: fewer bytes help."""
    READER = "reader"
    """The receiver takes what comes too slowly: fewer messages help."""
    UNKNOWN = "unknown"
    """Messages wait, and the operating system does not say for what."""


def bottleneck_of(
    before: TcpInfo | None, now: TcpInfo | None, span_s: float, *, lagging: bool, awaited: bool = False
) -> Bottleneck:
    """Return the bottleneck of a span of time.

    Args:
        before: counters at its beginning; ``None``: they were not read, or there are none.
        now: counters at its end; ``None``: there are none.
        span_s: its length.
        lagging: whether messages wait in this process at its end.
        awaited: whether they wait for the receiver's answer to what it has been sent.
    """
    if not lagging:
        return Bottleneck.NONE
    if before is None or now is None or span_s <= 0:
        return Bottleneck.UNKNOWN
    busy_s = now.busy_s - before.busy_s
    if busy_s < BUSY_SHARE * span_s:
        # Its system has everything: if there is no answer, the program has not read it.
        return Bottleneck.READER if awaited else Bottleneck.UNKNOWN
    reader_s = now.reader_limited_s - before.reader_limited_s
    return Bottleneck.READER if reader_s >= READER_SHARE * busy_s else Bottleneck.LINK
