"""Tier watch: the link tier of one connection, which follows the rates that are measured of it and does not flicker."""

from __future__ import annotations

from typing import Final

from gateway.connections.link_tier import TIERS, LinkTier, tier_of

CLEARLY: Final = 1.5
"""Factor by which a rate has to be beyond the border of two tiers, to show that the link is in the other one."""
FALL_RATES: Final = 2
"""Rates in sequence that show a slower link: one alone may be a reader that was not scheduled."""
RISE_S: Final = 5.0
"""Time for which all rates have to show a faster link."""
FORGOTTEN_S: Final = 300.0
"""Time without a rate after which the link counts as one tier faster: messages that were chosen for a slow link hardly
show a fast one. If the tier was right, this shows as soon as messages wait."""


class TierWatch:
    """Link tier of one connection. At first it is the fastest: nothing has waited.

    Attributes:
        tier: the tier.
    """

    __slots__ = ("_falls", "_measured_s", "_rise_since_s", "_slowest", "tier")

    def __init__(self) -> None:
        self.tier: LinkTier = TIERS[-1]
        self._falls: list[float] = []
        """Rates in sequence that are of slower links."""
        self._rise_since_s: float | None = None
        """Time since which all rates are of faster links; ``None``: the last one is not."""
        self._slowest = 0.0
        """The slowest of these."""
        self._measured_s = 0.0

    def take(self, bytes_per_s: float, now_s: float) -> None:
        """Take a rate at which the receiver took bytes while some waited; 0: none was measured."""
        if not bytes_per_s > 0:
            self._forget(now_s)
            return
        self._measured_s = now_s
        if _is_slower(tier_of(bytes_per_s * CLEARLY), self.tier):
            self._rise_since_s = None
            self._falls.append(bytes_per_s)
            if len(self._falls) == FALL_RATES:
                self._change(tier_of(max(self._falls)))
            return
        self._falls.clear()
        if not _is_slower(self.tier, tier_of(bytes_per_s / CLEARLY)):
            self._rise_since_s = None
        elif self._rise_since_s is None:
            self._rise_since_s, self._slowest = now_s, bytes_per_s
        else:
            self._slowest = min(self._slowest, bytes_per_s)
            if now_s - self._rise_since_s >= RISE_S:
                self._change(tier_of(self._slowest))

    def _forget(self, now_s: float) -> None:
        if self.tier == TIERS[-1] or now_s - self._measured_s < FORGOTTEN_S:
            return
        self._measured_s = now_s
        self._change(TIERS[TIERS.index(self.tier) + 1])

    def _change(self, tier: LinkTier) -> None:
        self.tier = tier
        self._rise_since_s = None
        self._falls.clear()


def _is_slower(tier: LinkTier, other: LinkTier) -> bool:
    return tier.goodput_bytes_per_s < other.goodput_bytes_per_s
