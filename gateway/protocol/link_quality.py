"""Quality of a link: values that one side has measured of a connection, and their score (spec section 15).

Gateway and SDK use the same formula. The module knows no clock and no connection.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

SCORED_BYTES: Final = 64 * 1024
"""Size of the message whose delay is scored."""
HALF_SCORE_S: Final = 0.25
"""Delay of that message at which the score is one half."""
DEVIATIONS: Final = 4
"""Deviations of the round trip that count beside it, as in the retransmission timeout of RFC 6298, section 2."""
CONFLATED_WEIGHT: Final = 0.5
"""Weight of a conflated version beside that of a lost message: the receiver gets a newer one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LinkQuality:
    """Measured values of one link. A value that is not known is ``None``, and leaves the score as it is."""

    rtt_s: float | None = None
    """Round trip, smoothed."""
    jitter_s: float | None = None
    """Deviation of the round trip, smoothed."""
    goodput_bytes_per_s: float | None = None
    """Rate at which the receiver takes bytes when many wait for it."""
    queue_delay_s: float | None = None
    """Time for which a message waits for those before it."""
    gap_share: float | None = None
    """Share of the messages that were dropped and announced as gaps, 0 to 1."""
    conflated_share: float | None = None
    """Share of the versions of states that newer ones have replaced, 0 to 1."""
    decode_s_per_byte: float | None = None
    """Time that the receiver takes to decode a byte, as it has reported."""
    unread_s: float | None = None
    """Age of the oldest message that the receiver's program has not taken yet."""

    @property
    def delay_s(self) -> float:
        """Time from the sender to the receiver's program for a message of :data:`SCORED_BYTES`; may be infinite."""
        seconds_a_byte = _of(self.decode_s_per_byte)
        if self.goodput_bytes_per_s is not None:
            goodput = _of(self.goodput_bytes_per_s)
            seconds_a_byte += 1 / goodput if goodput else float("inf")
        one_way_s = (_of(self.rtt_s) + DEVIATIONS * _of(self.jitter_s)) / 2
        return one_way_s + _of(self.queue_delay_s) + SCORED_BYTES * seconds_a_byte + _of(self.unread_s)

    @property
    def score(self) -> float:
        """Score of the link, 0 to 1 (spec section 15); 1 if nothing is known."""
        gaps, conflated = min(1.0, _of(self.gap_share)), min(1.0, _of(self.conflated_share))
        return quality_score(self.delay_s, (1 - gaps) * (1 - CONFLATED_WEIGHT * conflated))


def quality_score(delay_s: float, delivered: float = 1.0) -> float:
    """Return the score of a link, 0 to 1 (spec section 15).

    Args:
        delay_s: :attr:`LinkQuality.delay_s`, at least 0; may be infinite.
        delivered: part of the messages that the receiver gets, 0 to 1.
    """
    return delivered * (HALF_SCORE_S / (HALF_SCORE_S + delay_s))


def _of(value: float | None) -> float:
    """Return a value that counts; 0 for one that is not known or that cannot be."""
    # In this order a value that is no number gives 0.
    return 0.0 if value is None else max(0.0, value)
