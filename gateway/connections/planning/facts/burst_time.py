"""Time that a burst of versions would take on a line, told before there is one.

Three things bound it, since each of them alone takes a fast line for a slow one. The time for which TCP was busy with
the bytes counts acknowledgements that a peer delays, and those that a sender waits for on a long way; but only on a
slow line packets wait, which their round trip shows. Delayed acknowledgements show in both: a receiver that is paced
for them has its versions followed by PINGs, which are answered at once.
"""

from __future__ import annotations

from typing import Final, NamedTuple

from gateway.connections.outbound.bulk_window import BulkWindow
from gateway.connections.socket_counts import TcpInfo

BURST_BYTES: Final = 256 * 1024
BURST_VERSIONS: Final = 16
"""A burst: versions that the system and the way take before any is seen to wait, but not more of small ones than tell
something of the line."""

LEAST_TAKEN_BYTES: Final = 32 * 1024
"""Bytes from which their rate counts."""

WAY_VARIES: Final = 0.125
"""Part of a way by which its round trip varies though nothing of ours waits."""

SHOWN_OF_LINE_TIME: Final = 0.25
"""Least part of the time of a message on the line by which the round trip is longer behind it: its packets wait half of
that time on average, and an average over few packets (RFC 6298, section 2, weighs each by 1/8) lags behind."""


class CarriedBytes(NamedTuple):
    """Bytes that a line has carried."""

    nbytes: float
    busy_s: float
    """Time for which any of them were on their way."""
    longest_queued_s: float
    """Longest :func:`queued_s` of the moments at which they were."""


def queued_s(tcp: TcpInfo) -> float:
    """Return by how much packets take longer now than the way itself, and than a long way varies by."""
    return max(0.0, tcp.rtt_s - (1 + WAY_VARIES) * tcp.smallest_rtt_s)


def burst_s(version_bytes: float, taken: CarriedBytes, way_s: float, window: BulkWindow | None) -> float:
    """Return the time that a burst of versions takes on a line; 0: nothing is known of it.

    Args:
        version_bytes: bytes of one version, more than none.
        taken: what the line has carried.
        way_s: smallest round trip.
        window: bulk window of its receiver, if any bulk was sent to it.
    """
    if taken.nbytes < LEAST_TAKEN_BYTES:
        return 0.0
    busy_s = max(0.0, version_bytes * taken.busy_s / taken.nbytes - way_s)
    bounds_s = [busy_s, taken.longest_queued_s / SHOWN_OF_LINE_TIME]
    if window is not None and window.alone_bytes_per_s:
        bounds_s.append(version_bytes / window.alone_bytes_per_s)
    return min(bounds_s) * min(max(BURST_BYTES / version_bytes, 1.0), BURST_VERSIONS)
