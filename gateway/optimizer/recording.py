"""Recording: port by which the wiring of a gateway uses its traffic history, whose modules load only if it has one."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Protocol

from gateway.connections.core import Core
from gateway.connections.ports import DeliveryPolicy
from gateway.optimizer.decisions.stats import DecisionStats
from gateway.optimizer.history.stats import PayloadStoreStats, TrafficHistoryStats
from gateway.optimizer.prediction.stats import PredictionStats
from gateway.optimizer.shadow.stats import ShadowTrialStats, TriedTraffic
from gateway.protocol.names import Pattern


class RecordingReport(Protocol):
    """Report on a recording, for monitoring."""

    def stats(self) -> TrafficHistoryStats:
        """Return the counts of the history as they stand."""

    def payload_stats(self) -> PayloadStoreStats | None:
        """Return the counts of stored payloads; ``None``: no stream has any."""

    def trial_stats(self) -> ShadowTrialStats | None:
        """Return the counts of shadow trials; ``None``: none are made."""

    def decision_stats(self) -> DecisionStats | None:
        """Return the counts of decisions by cost; ``None``: none are taken."""

    def prediction_stats(self) -> PredictionStats | None:
        """Return the counts of predictions; ``None``: nothing is predicted."""

    def busiest(self, most: int, pattern: Pattern | None = None) -> Sequence[TriedTraffic]:
        """Return the tried streams with the most bytes to their receivers, the first of them first.

        Args:
            most: number of streams at the most.
            pattern: pattern of the names of streams, or of those that views show; ``None``: of all.
        """


class Recording(RecordingReport, Protocol):
    """Recording of the decisions of a delivery policy."""

    policy: DeliveryPolicy
    """Policy for the core, which decides as the recorded one does."""

    def begin(self, core: Core) -> None:
        """Record the traffic of a core that has :attr:`policy`, whose sweeps have not begun."""

    def close_records(self) -> Iterator[None]:
        """Close all records, before receivers go; what comes later need not be. Yields behind each, for the loop."""

    def close(self, timeout_s: float) -> None:
        """Have all records written; for any thread, once the core is not used any more.

        Args:
            timeout_s: longest time.
        """
