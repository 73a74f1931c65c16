"""Bounds and times of presence (spec section 16)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from gateway.connections.validation import check_positive
from gateway.errors import InvalidArgument

LEAST_SWEEP_S: Final = 0.01
MOST_SWEEP_S: Final = 1.0


@dataclass(frozen=True, slots=True)
class PresenceSettings:
    """Times of members and of those that watch them, and bounds on both.

    Raises:
        InvalidArgument: a value is out of range.
    """

    flush_window_s: float = 0.05
    """Least time between two frames about one scope to a client that watches it: changes in between go together."""
    grace_s: float = 5.0
    """Time for which a client that has lost its connection stays a member; 0: it leaves with the next sweep."""
    awareness_ttl_s: float = 30.0
    """Time after which the awareness of a member ends, unless it is sent again."""
    max_scopes: int = 64
    """Scopes that one connection attends; past it ``LIMIT_EXCEEDED``."""
    max_members: int = 20_000
    """Members of one scope; past it ``PRESENCE_FULL``."""
    max_places: int = 200_000
    """Members and watchers of all scopes together; past it ``PRESENCE_FULL``."""
    max_bytes: int = 64 * 1024 * 1024
    """Bytes of metadata and awareness of all members; past it ``PRESENCE_FULL``."""

    def __post_init__(self) -> None:
        check_positive(
            self, "flush_window_s", "awareness_ttl_s", "max_scopes", "max_members", "max_places", "max_bytes"
        )
        if not self.grace_s >= 0:
            raise InvalidArgument(f"grace_s is {self.grace_s}: it takes at least 0")

    @property
    def sweep_interval_s(self) -> float:
        """Interval of the checks for members whose grace, or whose awareness, is over."""
        return max(LEAST_SWEEP_S, min(MOST_SWEEP_S, self.grace_s / 4, self.awareness_ttl_s / 4))
