"""Prometheus metrics of the traffic history, for gateways that record one."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from prometheus_client.core import CounterMetricFamily as Counter
from prometheus_client.core import GaugeMetricFamily as Gauge
from prometheus_client.core import Metric
from prometheus_client.registry import Collector

from gateway.optimizer.history.stats import TrafficHistoryStats


class TrafficHistoryCollector(Collector):
    """Collector of the metric families of a traffic history.

    Args:
        history: returns its counts.
    """

    def __init__(self, history: Callable[[], TrafficHistoryStats]) -> None:
        self._history = history

    def collect(self) -> Iterator[Metric]:
        """Yield all metric families."""
        stats = self._history()
        records = Counter("frys_traffic_records", "Records of the traffic history, by their fate.", labels=["fate"])
        for fate in ("written", "dropped", "failed", "lost"):
            records.add_metric([fate], getattr(stats, fate))
        yield records
        yield Gauge("frys_traffic_records_waiting", "Records that are not written yet.", stats.waiting)
        yield Counter(
            "frys_traffic_unsampled_messages",
            "Large messages of streams for which no record could be opened, because so many are open.",
            stats.unsampled_messages,
        )
        yield Gauge("frys_traffic_history_bytes", "Size of all files of the traffic history.", stats.held_bytes)
        yield Gauge("frys_traffic_history_failing", "1 while records cannot be written.", bool(stats.failure))
        yield Counter("frys_traffic_writer_starts", "Starts of the process that writes.", stats.writer_starts)
