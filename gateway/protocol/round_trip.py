"""Round trip of one connection, smoothed as a TCP sender smooths it, and its smallest value of late.

Every connection has one, also one that is idle. So it is kept as 20 bytes: they take 64 bytes of memory, where an
object with floats takes 160 (CPython 3.11).
"""

from __future__ import annotations

import struct
from typing import Final, NamedTuple

_LAYOUT: Final = struct.Struct("<ffffI")
"""Smoothed round trip, its deviation, smallest of the present period and of the one before, in seconds; number of the
period."""

_SMALLEST: Final = struct.Struct("<ff")
_SMALLEST_AT: Final = 8
"""Place of both smallest round trips in it."""

NO_ROUND_TRIP: Final = b""
"""Kept form before the first sample."""

SMOOTHED_GAIN: Final = 1 / 8
"""Weight of a new sample (alpha of RFC 6298, section 2)."""
DEVIATION_GAIN: Final = 1 / 4
"""Weight of a new deviation (beta of RFC 6298, section 2)."""

PERIOD_S: Final = 60.0
"""Length of a period: the smallest round trip is forgotten after one to two of them, as a route may change."""

MAX_ROUND_TRIP_S: Final = 3600.0
"""Longest round trip that is believed."""

NEAR_S: Final = 0.001
"""Round trip below which all peers are equally near."""


class RoundTrip(NamedTuple):
    """Round trip as it is known after some samples."""

    smoothed_s: float
    """Smoothed round trip: SRTT of RFC 6298."""
    deviation_s: float
    """Smoothed distance of a sample from it: RTTVAR of RFC 6298. It serves as the jitter."""
    smallest_s: float
    """Smallest sample of the last one to two minutes."""


def read_round_trip(kept: bytes) -> RoundTrip | None:
    """Return the round trip of a kept form; ``None`` before the first sample."""
    if not kept:
        return None
    smoothed_s, deviation_s, smallest_s, before_s, _ = _LAYOUT.unpack(kept)
    return RoundTrip(smoothed_s, deviation_s, min(smallest_s, before_s))


def distance_of(kept: bytes) -> int:
    """Return the distance of a peer: 0 if its smallest round trip is below :data:`NEAR_S`, or before the first sample;
    1 more each time that it doubles, so that small changes of a round trip seldom change it."""
    return int(min(_SMALLEST.unpack_from(kept, _SMALLEST_AT)) / NEAR_S).bit_length() if kept else 0


def sampled(kept: bytes, round_trip_ns: int, now_s: float) -> bytes:
    """Take one sample into account.

    Args:
        kept: the kept form so far; :data:`NO_ROUND_TRIP` before the first sample.
        round_trip_ns: the sample, without the time for which the peer says that it held the PING. A sample that cannot
            be is left out: the peer has claimed too long a time, or a clock was set.
        now_s: time of the sample, by a clock that nobody sets.

    Returns:
        The new kept form.
    """
    sample_s = round_trip_ns / 1e9
    if not 0 < sample_s <= MAX_ROUND_TRIP_S:
        return kept
    period = int(now_s / PERIOD_S) & 0xFFFF_FFFF
    if not kept:
        return _LAYOUT.pack(sample_s, sample_s / 2, sample_s, sample_s, period)
    smoothed_s, deviation_s, smallest_s, before_s, since = _LAYOUT.unpack(kept)
    if period != since:
        before_s = smallest_s if period == since + 1 else sample_s
        smallest_s = sample_s
    return _LAYOUT.pack(
        smoothed_s + SMOOTHED_GAIN * (sample_s - smoothed_s),
        deviation_s + DEVIATION_GAIN * (abs(sample_s - smoothed_s) - deviation_s),
        min(smallest_s, sample_s),
        before_s,
        period,
    )
