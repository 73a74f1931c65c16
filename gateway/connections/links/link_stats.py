"""Link stats: the links of all connections of one client type, counted by ranges of round trip and score."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate
from types import MappingProxyType
from typing import Final

from gateway.connections.links.bottleneck import Bottleneck
from gateway.protocol.messages import ClientType

RTT_BOUNDS_S: Final = (0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1.0, 3.0)
SCORE_BOUNDS: Final = (0.1, 0.25, 0.5, 0.75, 0.9, 1.0)
BEYOND: Final = "+Inf"
"""Range of values beyond all bounds."""


@dataclass(frozen=True, slots=True)
class Distribution:
    """Values of several connections."""

    buckets: Mapping[str, int]
    """Number of the values up to each bound; up to the last one, that of all."""
    total: float
    """Sum of the values."""


@dataclass(frozen=True, slots=True)
class LinkStats:
    """Links of one client type."""

    rtt_s: Distribution
    """Smoothed round trips of all connections that have been measured."""
    score: Distribution
    """Scores of the connections that lag, have lagged of late, or have reported."""
    bottlenecks: Mapping[Bottleneck, int]
    """Bottlenecks of the same."""


class _Tally:
    """Values that are counted."""

    __slots__ = ("_bounds", "_counts", "_total")

    def __init__(self, bounds: Sequence[float]) -> None:
        self._bounds = bounds
        self._counts = [0] * (len(bounds) + 1)
        self._total = 0.0

    def add(self, value: float) -> None:
        self._counts[bisect_left(self._bounds, value)] += 1
        self._total += value

    def distribution(self) -> Distribution:
        names = [*map(str, self._bounds), BEYOND]
        return Distribution(MappingProxyType(dict(zip(names, accumulate(self._counts), strict=True))), self._total)


class LinkCounter:
    """Counts of the links of all connections, which are added one by one."""

    def __init__(self) -> None:
        self._rtts = {client_type: _Tally(RTT_BOUNDS_S) for client_type in ClientType}
        self._scores = {client_type: _Tally(SCORE_BOUNDS) for client_type in ClientType}
        self._bottlenecks = {client_type: dict.fromkeys(Bottleneck, 0) for client_type in ClientType}

    def add_round_trip(self, client_type: ClientType, rtt_s: float) -> None:
        """Count the round trip of a connection."""
        self._rtts[client_type].add(rtt_s)

    def add_link(self, client_type: ClientType, score: float, bottleneck: Bottleneck) -> None:
        """Count the link of a connection that has one."""
        self._scores[client_type].add(score)
        self._bottlenecks[client_type][bottleneck] += 1

    def stats(self) -> Mapping[ClientType, LinkStats]:
        """Return what was counted, by client type."""
        return MappingProxyType(
            {
                client_type: LinkStats(
                    self._rtts[client_type].distribution(),
                    self._scores[client_type].distribution(),
                    MappingProxyType(self._bottlenecks[client_type]),
                )
                for client_type in ClientType
            }
        )
