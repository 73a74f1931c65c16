"""Transmission result of an acknowledged publish, and the quality score in it (spec section 15)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, NamedTuple

from gateway.ids import Epoch, Offset
from gateway.protocol.durability import Durability

GOODPUT_FROM_BYTES: Final = 64 * 1024
"""Smaller publishes measure the round trip, not the goodput (spec section 15)."""


class TransmissionResult(NamedTuple):
    """Position and cost of a publish that was acknowledged.

    A named tuple, because it is made once per publish: 0.7 us against 1.7 us for a frozen dataclass of seven fields
    (CPython 3.11, EPYC family 25, 2026-11).
    """

    offset: Offset
    """The message's position in its stream."""
    epoch: Epoch
    """The stream's incarnation; with the offset it identifies the message."""
    bytes_transmitted: int
    """Size of this message's frames on the wire, headers and padding included, WebSocket framing not."""
    compression_ratio: float
    """Size of the payload over its size as sent: 1.0 uncompressed, above 1 when compression helped."""
    latency_s: float
    """Time from the call of ``publish`` to the acknowledgement."""
    quality_score: float
    """0 to 1: the time this would have taken on the link at its best, over the time it took (spec section 15)."""
    durability: Durability
    """Failure that the message survives: ``memory`` none, ``os`` of the gateway, ``fsync`` of the machine."""


@dataclass(slots=True, eq=False)
class LinkQuality:
    """Best goodput that one connection has shown so far (spec section 15)."""

    goodput_bytes_per_s: float = 0.0
    """0 before a publish of 64 KiB or more was acknowledged."""

    def score(self, bytes_transmitted: int, latency_s: float, rtt_s: float) -> float:
        """Take one publish into account and score it.

        Args:
            bytes_transmitted: size of its frames.
            latency_s: time from the call to the acknowledgement.
            rtt_s: smallest round trip of the connection; 0 before one was measured.

        Returns:
            A number from 0 to 1.
        """
        if latency_s <= 0:
            return 1.0
        if bytes_transmitted >= GOODPUT_FROM_BYTES:
            self.goodput_bytes_per_s = max(self.goodput_bytes_per_s, bytes_transmitted / latency_s)
        best_s = rtt_s
        if self.goodput_bytes_per_s:
            best_s += bytes_transmitted / self.goodput_bytes_per_s
        return min(1.0, best_s / latency_s)
