"""Prometheus metrics of the traffic history, of shadow trials and of decisions, for gateways that have them."""

from __future__ import annotations

from collections.abc import Iterator

from prometheus_client.core import CounterMetricFamily as Counter
from prometheus_client.core import GaugeMetricFamily as Gauge
from prometheus_client.core import Metric
from prometheus_client.registry import Collector

from gateway.optimizer.decisions.stats import DecisionStats
from gateway.optimizer.prediction.stats import PredictionStats
from gateway.optimizer.recording import RecordingReport
from gateway.optimizer.shadow.stats import ShadowTrialStats


class TrafficHistoryCollector(Collector):
    """Collector of the metric families of a traffic history.

    Args:
        recording: returns its counts.
    """

    def __init__(self, recording: RecordingReport) -> None:
        self._recording = recording

    def collect(self) -> Iterator[Metric]:
        """Yield all metric families."""
        stats, trials = self._recording.stats(), self._recording.trial_stats()
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
        if trials is not None:
            yield from _of_trials(trials)
        decisions = self._recording.decision_stats()
        if decisions is not None:
            yield from _of_decisions(decisions)
        predictions = self._recording.prediction_stats()
        if predictions is not None:
            yield from _of_predictions(predictions)


def _of_trials(stats: ShadowTrialStats) -> Iterator[Metric]:
    samples = Counter(
        "frys_traffic_trials", "Samples that were wanted for shadow trials, by their fate.", labels=["fate"]
    )
    for fate in ("tried", "failed", "lost", "dropped"):
        samples.add_metric([fate], getattr(stats, fate))
    yield samples
    yield Counter("frys_traffic_probes", "Samples on which only a few cheap candidates were tried.", stats.probed)
    yield Counter("frys_traffic_trial_cpu_seconds", "CPU time of shadow trials.", stats.cpu_s)
    yield Counter("frys_traffic_drifts", "Changes that were seen in the features of streams.", stats.drifts)
    yield Counter("frys_traffic_trial_worker_starts", "Starts of the process of shadow trials.", stats.worker_starts)


def _of_decisions(stats: DecisionStats) -> Iterator[Metric]:
    yield Gauge("frys_traffic_decisions_followed", "1 while decisions about encodings are followed.", stats.following)
    yield Gauge("frys_traffic_decisions_in_force", "Decisions that differ from the baseline now.", stats.in_force)
    yield Counter("frys_traffic_decision_changes", "Changes of the decisions for a stream.", stats.changes)
    yield Counter("frys_traffic_decisions_taken_back", "Decisions that the guard has taken back.", stats.taken_back)


def _of_predictions(stats: PredictionStats) -> Iterator[Metric]:
    yield Gauge("frys_traffic_model_trials", "Trials to which the model of encodings is fitted.", stats.model_trials)
    yield Counter("frys_traffic_model_fits", "Fits of the model.", stats.fits)
    yield Counter("frys_traffic_model_cpu_seconds", "CPU time of its process, up to the last fit.", stats.cpu_s)
    yield Counter("frys_traffic_model_starts", "Starts of its process.", stats.process_starts)
    yield Counter("frys_traffic_predictions", "Streams whose untried candidates were predicted.", stats.predicted)
