"""Traffic history of a gateway: its recorder, its writing process, and the sweeps that join them."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final, Protocol

from gateway.connections.core import Core
from gateway.connections.fanout.pubsub_fanout import PubSubFanout
from gateway.connections.hub.hub import Hub
from gateway.connections.ports import Clock, DeliveryPolicy, Threads
from gateway.connections.sweeps import Sweep, timed
from gateway.optimizer.history.recorder import TrafficListener, TrafficRecorder
from gateway.optimizer.history.recording_policy import RecordingPolicy
from gateway.optimizer.history.stats import PayloadStoreStats, TrafficHistoryStats
from gateway.optimizer.history.writer_process import PUMP_INTERVAL_S, WriterProcess
from gateway.optimizer.settings import OptimizerSettings
from gateway.protocol.names import Pattern
from gateway.streams.derived import DerivedStream
from gateway.streams.observed import ObservedStream
from gateway.streams.stream import Stream

logger = logging.getLogger(__name__)

SHARE: Final = 0.05
"""Part of one core that records may take: behind a long sweep none begins for so many times its length, and streams of
which a record is open are not recorded again meanwhile."""


class PayloadListener(TrafficListener, Protocol):
    """Listener that stores payloads."""

    def pump(self) -> None:
        """Pass payloads on; to be called at intervals."""

    def close(self, timeout_s: float) -> None:
        """Have all payloads written; for any thread, once the core is not used any more."""

    def stats(self) -> PayloadStoreStats:
        """Return the counts as they stand."""


class TrafficHistory:
    """Traffic history of one gateway.

    Args:
        path: directory of the files.
        settings: size of the files, and interval of samples.
        policy: the policy whose decisions are recorded.
        clock: the time.
        threads: compute features.
        payloads: stores payloads of some streams; ``None``: none are stored.
        thread_time_s: returns the CPU time of the loop's thread.

    Attributes:
        policy: policy for the core, which decides as the given one does.
    """

    def __init__(
        self,
        path: Path,
        settings: OptimizerSettings,
        policy: DeliveryPolicy,
        clock: Clock,
        threads: Threads,
        payloads: PayloadListener | None = None,
        thread_time_s: Callable[[], float] = time.thread_time,
    ) -> None:
        self._clock = clock
        self._thread_time_s = thread_time_s
        self._spent_s = 0.0
        """Time that the last sweep took."""
        self._process = WriterProcess(path, settings.history_bytes)
        self._recorder = TrafficRecorder(policy, settings.sample_interval_s, clock, threads, self._process.put)
        self.policy: DeliveryPolicy = RecordingPolicy(policy, self._recorder)
        self._looked_s = clock.monotonic_s(), thread_time_s()
        """The time, and the CPU time of the loop's thread, when records were closed last."""
        self._core: Core | None = None
        self._payloads = payloads
        if payloads is not None:
            self.listen(payloads)

    def begin(self, core: Core) -> None:
        """Record the traffic of a core that has :attr:`policy`, whose sweeps have not begun."""
        self._core = core
        self._recorder.take_rate = core.links.take_rate
        # Before there is traffic, which a start would hold up.
        self._process.pump(self._clock.monotonic_s())
        if self._payloads is not None:
            self._payloads.pump()
            core.sweeps = (*core.sweeps, Sweep(lambda: PUMP_INTERVAL_S, self._payloads.pump))
        # Apart: the pipe to the process takes less at once than a sweep may put, and an interval may last an hour.
        core.sweeps = (
            *core.sweeps,
            Sweep(lambda: max(self._recorder.interval_s, self._spent_s / SHARE), self._close_old),
            Sweep(lambda: PUMP_INTERVAL_S, self._pump),
        )

    def listen(self, listener: TrafficListener) -> None:
        """Have a listener told of records and payloads."""
        self._recorder.listeners.append(listener)

    def put(self, record: bytes) -> None:
        """Have a record of another kind written, as it was packed."""
        self._process.put(record)

    def payload_stats(self) -> PayloadStoreStats | None:
        """Return the counts of stored payloads; ``None``: none are stored."""
        return None if self._payloads is None else self._payloads.stats()

    def trial_stats(self) -> None:
        """Return the counts of shadow trials: none are made."""

    def decision_stats(self) -> None:
        """Return the counts of decisions: none are taken."""

    def prediction_stats(self) -> None:
        """Return the counts of predictions: nothing is predicted."""

    def busiest(self, most: int, pattern: Pattern | None = None) -> tuple[()]:
        """Return the streams that were tried: none."""
        return ()

    def close_records(self) -> Iterator[None]:
        """Close all records, before receivers go; what comes later need not be. Yields behind each, for the loop."""
        try:
            yield from self._recorder.close_records(self._fanout_of)
        except Exception:
            # A boundary: the gateway is stopping, and clients wait for their messages.
            logger.exception("the last records of the traffic history could not be made")

    def close(self, timeout_s: float) -> None:
        """Have all records written; for any thread, once the core is not used any more.

        Args:
            timeout_s: longest time; then the writing process is killed.
        """
        end_s = time.monotonic() + timeout_s
        self._process.close(timeout_s)
        if self._payloads is not None:
            self._payloads.close(max(0.0, end_s - time.monotonic()))

    def stats(self) -> TrafficHistoryStats:
        """Return the counts as they stand."""
        process = self._process
        return TrafficHistoryStats(
            directory=str(process.directory),
            sample_interval_s=self._recorder.interval_s,
            recorded=process.recorded,
            written=process.written,
            waiting=process.waiting,
            dropped=process.dropped,
            failed=process.failed,
            lost=process.lost,
            unsampled_messages=self._recorder.unsampled_messages,
            held_bytes=process.held_bytes,
            writer_starts=process.starts,
            writing=process.running,
            failure=process.failure,
        )

    def _pump(self) -> None:
        self._process.pump(self._clock.monotonic_s())
        self._recorder.count_messages()

    def _close_old(self) -> Iterator[None]:
        now_s, busy_s = self._clock.monotonic_s(), self._thread_time_s()
        since_s, since_busy_s = self._looked_s
        self._looked_s = now_s, busy_s
        if now_s > since_s:
            self._recorder.cpu_headroom = min(1.0, max(0.0, 1 - (busy_s - since_busy_s) / (now_s - since_s)))
        closing = self._recorder.close_records(self._fanout_of, least_age_s=self._recorder.interval_s / 2)
        return timed(closing, self._thread_time_s, self._swept)

    def _swept(self, spent_s: float) -> None:
        self._spent_s = spent_s

    def _fanout_of(self, stream: Stream) -> PubSubFanout | None:
        assert self._core is not None
        return fanout_of(self._core.hub, stream)


def fanout_of(hub: Hub, stream: Stream) -> PubSubFanout | None:
    """Return the fan-out of a stream, of a view, or of an observed stream; ``None``: it has ended."""
    if stream.ended is not None:
        return None
    match stream:
        case DerivedStream(parent=parent):
            return None if parent.ended else hub.views.by_id(parent, stream.id)
        case ObservedStream(parent=parent):
            return None if parent.ended else hub.observations.fanout_of(parent)
    return hub.fanouts.pubsub_of(stream)
