"""Shadow trials of a gateway: samples are taken where they say most, tried by a process, and the outcomes kept.

The loop does little for it: a sweep twice a second, and a look-up for each payload that opens a traffic record. A
sample is copied once, by a thread, into memory that the process shares. If the process is slow, stands still or is
gone, no samples are taken, or they are lost and counted.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass
from typing import Final

from gateway.connections.core import Core
from gateway.connections.link_tier import TIERS
from gateway.connections.ports import Clock, DeliveryPolicy, Sample, Threads
from gateway.connections.sweeps import Sweep
from gateway.errors import RequestRefused
from gateway.optimizer.candidates import PROBE_BYTES, candidates, probes
from gateway.optimizer.decisions.advice import figures_of
from gateway.optimizer.decisions.deciding import by_promise
from gateway.optimizer.decisions.learner import Learner
from gateway.optimizer.decisions.stats import DecisionStats
from gateway.optimizer.history.record import PayloadFeatures, ShadowTrial, TrafficRecord
from gateway.optimizer.history.stats import PayloadStoreStats, TrafficHistoryStats
from gateway.optimizer.history.traffic_history import TrafficHistory
from gateway.optimizer.history.trial_record import pack_trial
from gateway.optimizer.prediction.messages import Prediction
from gateway.optimizer.prediction.predictor import Predictor
from gateway.optimizer.prediction.stats import PredictionStats
from gateway.optimizer.shadow.cpu_budget import CpuBudget
from gateway.optimizer.shadow.sample_memory import TRIED_BYTES
from gateway.optimizer.shadow.stats import ShadowTrialStats, TriedTraffic
from gateway.optimizer.shadow.trial_messages import TrialAnswer, TrialRequest
from gateway.optimizer.shadow.trial_table import MAX_LOSSES, PROBES_FOR_A_TRIAL, TrialTable, TriedStream
from gateway.optimizer.shadow.trial_worker import SampleSlot, TrialWorker
from gateway.protocol.dtypes import dtype_name
from gateway.protocol.encoding import Chain, decode
from gateway.protocol.names import Pattern
from gateway.streams.stream import Stream

logger = logging.getLogger(__name__)

SWEEP_S: Final = 0.5
"""Time from one look for answers to the next."""
WORKER_END_S: Final = 1.0
"""Longest time to wait for the end of the worker, which is killed."""
MAX_FAILING: Final = 3
"""Streams whose trials have failed, and none has not since, from which it is the process that fails."""


@dataclass(frozen=True, slots=True)
class TakenSample:
    """Sample of a stream that was taken, and whose outcomes have not come yet."""

    tried: TriedStream
    """The stream."""
    slot: SampleSlot
    """Place of the sample."""
    based: bool
    """Whether the sample has a previous version."""
    drifted: bool
    """Whether it was taken because of a change."""
    sample_bytes: int
    """Size of the sample."""
    chains: tuple[Chain, ...]
    """Candidates that may be tried on it."""
    probed: bool
    """Whether only probes are."""


class ShadowTrials:
    """Shadow trials beside the traffic history of a gateway.

    Args:
        history: tells of payloads, and records the outcomes.
        cpu_share: share of a core that trials may take.
        clock: the time.
        threads: decode and copy samples.
        learner: takes decisions by the outcomes; ``None``: nothing does.
        predictor: predicts outcomes of candidates for which there is no time; ``None``: nothing does.

    Attributes:
        policy: policy for the core, that of the history.
    """

    def __init__(
        self,
        history: TrafficHistory,
        cpu_share: float,
        clock: Clock,
        threads: Threads,
        learner: Learner | None = None,
        predictor: Predictor | None = None,
    ) -> None:
        self.policy: DeliveryPolicy = history.policy
        self._learner = learner
        self._predictor = predictor
        self._history = history
        self._clock = clock
        self._threads = threads
        self._budget = CpuBudget(cpu_share, clock.monotonic_s())
        self._worker = TrialWorker()
        self._table = TrialTable()
        self._wanted: dict[int, bool] = {}
        """Streams of which the next payload is taken, and whether it is only probed."""
        self._changed: set[int] = set()
        """Streams of which it is taken because their chain does not achieve any more what it did before."""
        self._under_way: dict[int, TakenSample] = {}
        """Samples with the worker, by their slot."""
        self._copying = 0
        """Samples that are with a thread."""
        self._failing: set[int] = set()
        """Streams whose trials have failed since the last that has not."""
        self._closed = False
        self._tried = self._probed = self._failed = self._lost = self._dropped = self._drifts = 0
        self._failure = ""
        history.listen(self)

    def begin(self, core: Core) -> None:
        """Begin with a core that has :attr:`policy`, whose sweeps have not begun."""
        self._history.begin(core)
        # Before there is traffic, which a start would hold up.
        self._worker.pump(self._clock.monotonic_s())
        if self._predictor is not None:
            self._predictor.start(self._clock.monotonic_s())
        core.sweeps = (*core.sweeps, Sweep(lambda: SWEEP_S, self.sweep))
        if self._learner is not None:
            self._learner.begin()

    def close_records(self) -> Iterator[None]:
        """Close all records of the history, before receivers go; no sample is taken any more. Yields for the loop."""
        self._closed = True
        yield from self._history.close_records()

    def close(self, timeout_s: float) -> None:
        """End the worker, and have all records written; for any thread, once the core is not used any more."""
        self._worker.close(min(timeout_s, WORKER_END_S))
        if self._predictor is not None:
            self._predictor.close(min(timeout_s, WORKER_END_S))
        if self._learner is not None:
            self._learner.close()
        self._history.close(timeout_s)

    def stats(self) -> TrafficHistoryStats:
        """Return the counts of the history."""
        return self._history.stats()

    def payload_stats(self) -> PayloadStoreStats | None:
        """Return the counts of stored payloads; ``None``: none are stored."""
        return self._history.payload_stats()

    def trial_stats(self) -> ShadowTrialStats:
        """Return the counts of the trials."""
        return ShadowTrialStats(
            cpu_share=self._budget.share,
            cpu_s=self._budget.spent_s,
            tried=self._tried,
            probed=self._probed,
            failed=self._failed,
            lost=self._lost,
            dropped=self._dropped,
            drifts=self._drifts,
            streams=len(self._table),
            worker_starts=self._worker.starts,
            working=self._worker.running,
            failure=self._failure,
        )

    def decision_stats(self) -> DecisionStats | None:
        """Return the counts of decisions; ``None``: none are taken."""
        return None if self._learner is None else self._learner.stats()

    def prediction_stats(self) -> PredictionStats | None:
        """Return the counts of predictions; ``None``: nothing is predicted."""
        return None if self._predictor is None else self._predictor.stats()

    def busiest(self, most: int, pattern: Pattern | None = None) -> list[TriedTraffic]:
        """Return the tried streams of a pattern with the most bytes to their receivers, the first of them first."""
        found = []
        for tried in self._table.busiest(most, pattern):
            assert tried.trial is not None
            decisions = () if self._learner is None else self._learner.judged(tried.number)
            found.append(TriedTraffic(tried.trial, tuple(tried.records), tried.probed, decisions))
        return found

    def offered(self, stream: Stream, sample: Sample) -> None:
        """Take a payload that has opened a traffic record, if one of this stream is wanted."""
        number = stream.id
        if number in self._changed:
            self._changed.discard(number)
            self._take(self._table.get(number), sample, drifted=True)
        elif number in self._wanted:
            probed = self._wanted.pop(number)
            self._take(self._table.get(number), sample, drifted=False, probed=probed)

    def featured(self, stream: Stream, sample: Sample, features: PayloadFeatures) -> None:
        """Look at features that were computed anew, and take the payload at once if they have changed."""
        tried = self._table.get(stream.id)
        if tried is not None and tried.drifted(features):
            self._drifts += 1
            self._take(tried, sample, drifted=True)

    def recorded(self, stream: Stream, record: TrafficRecord) -> None:
        """Note the traffic of a delivery class; a ratio that has changed makes the next payload wanted."""
        if self._table.found(stream.id, self._clock.monotonic_s()).add(record):
            self._drifts += 1
            self._changed.add(stream.id)
        if self._learner is not None:
            self._learner.recorded(stream, record)
        if self._predictor is not None:
            self._predictor.wake()

    def forgotten(self, stream: Stream) -> None:
        """Forget a stream that has ended."""
        self._table.forget(stream.id)
        self._wanted.pop(stream.id, None)
        self._changed.discard(stream.id)

    def sweep(self) -> Generator[None, None, None]:
        """Take the answers that have come, and choose the streams that are wanted next; yields for the loop."""
        now_s = self._clock.monotonic_s()
        for answer in self._worker.pump(now_s):
            self._learn(self._under_way.pop(answer.slot), answer)
        self._note_lost(now_s)
        if self._learner is not None:
            fault = self._worker.fault(now_s)
            if fault:
                self._learner.fail(fault)
            for prediction in () if self._predictor is None else self._predictor.pump(now_s):
                self._complete(self._learner, prediction)
            yield from self._learner.sweep()
        count = self._budget.trials_at(now_s, len(self._under_way) + self._copying)
        self._changed = {number for number in self._changed if number in self._table}
        may_probe = self._predictor is not None and self._predictor.is_ready
        most = min(PROBES_FOR_A_TRIAL * count if may_probe else count, self._worker.free_slots)
        due = yield from self._table.due(most, now_s)
        self._wanted = self._table.shared_out(due, count, may_probe=may_probe)

    def _take(self, tried: TriedStream | None, sample: Sample, *, drifted: bool, probed: bool = False) -> None:
        """Have a sample of a payload copied by a thread, and then tried, or only probed."""
        if tried is None or self._closed or not sample.is_readable or tried.is_aside(self._clock.monotonic_s()):
            return
        if tried.under_way:
            if drifted:  # its sample may be of what was before
                self._changed.add(tried.number)
            return
        if drifted and not self._budget.may_borrow:
            return
        slot = self._worker.take_slot()
        if slot is None:
            self._dropped += 1
            return
        tried.under_way, tried.tried_s = True, self._clock.monotonic_s()
        self._copying += 1

        def copied(sizes: tuple[int, int] | BaseException) -> None:
            self._copying -= 1
            tried.under_way = False
            if isinstance(sizes, BaseException):
                self._worker.give_back(slot)
                self._dropped += 1
                if not isinstance(sizes, RequestRefused):  # the payload cannot be decoded by anybody
                    logger.error("a sample for a shadow trial cannot be taken", exc_info=sizes)
                return
            sample_bytes, base_bytes = sizes
            based, now_s = base_bytes > 0, self._clock.monotonic_s()
            possible = candidates(sample.element, tried.codecs, integers=sample.integers, based=based)
            chains = tuple([chain for chain in possible if not tried.is_aside(now_s, str(chain))])
            taken = TakenSample(tried, slot, based, drifted, sample_bytes, chains, probed)
            self._ask(taken, base_bytes, dtype_name(sample.element))

        self._threads.submit(_copy(sample, slot, PROBE_BYTES if probed else TRIED_BYTES), copied)

    def _ask(self, taken: TakenSample, base_bytes: int, dtype: str) -> None:
        """Ask the worker for a trial of a sample in its slot."""
        slot, order = taken.slot, {name: place for place, name in enumerate(taken.tried.promise)}
        names = [str(chain) for chain in (probes(taken.chains) if taken.probed else taken.chains)]
        names.sort(key=lambda name: order.get(name, len(order)))
        longest_s = self._budget.longest_s
        request = TrialRequest(slot.number, taken.sample_bytes, base_bytes, dtype, tuple(names), longest_s)
        if self._closed or not taken.sample_bytes:
            self._worker.give_back(slot)
        elif self._worker.ask(slot, request, self._clock.monotonic_s()):
            taken.tried.under_way = True
            self._under_way[slot.number] = taken
        else:
            self._lost += 1

    def _learn(self, taken: TakenSample, answer: TrialAnswer) -> None:
        """Keep and record the outcomes of a trial."""
        tried = taken.tried
        tried.under_way = False
        self._budget.spend(answer.cpu_s)
        if answer.error:
            if not self._failure:
                logger.warning("a shadow trial of %s has failed: %s", tried.records[-1].stream, answer.error)
            self._note_failure(tried, answer)
        self._failure = answer.error
        if not answer.says_something:
            return
        self._tried += 1
        self._failing.clear()
        tried.losses = 0
        record = tried.records[-1]
        tried.trial = ShadowTrial(
            time_ns=self._clock.time_ns(),
            stream=record.stream,
            view=record.view,
            dtype=record.dtype,
            shape=record.shape,
            sample_bytes=taken.sample_bytes,
            based=taken.based,
            drifted=taken.drifted,
            cpu_s=answer.cpu_s,
            tried=answer.tried,
            features=record.features,
        )
        tried.probed, tried.promise = taken.probed, ()
        self._probed += taken.probed
        if not taken.probed:
            self._history.put(pack_trial(tried.trial))
        if self._learner is not None:
            (self._learner.probed if taken.probed else self._learner.tried)(tried.number, tried.trial)
        if self._predictor is not None:
            if not taken.probed:
                self._predictor.learn(tried.trial)
            known = {each.chain for each in answer.tried} | set(answer.failed)
            missing = [chain for chain in taken.chains if str(chain) not in known]
            self._predictor.ask(tried.number, tried.trial, missing)

    def _complete(self, learner: Learner, prediction: Prediction) -> None:
        """Take figures of candidates that were not tried; those that promise most are the first to be tried next."""
        learner.predicted(prediction.number, prediction.figures)
        tried = self._table.get(prediction.number)
        if tried is not None and tried.trial is not None and prediction.figures:
            figures = (*figures_of(tried.trial), *prediction.figures)
            tried.promise = tuple(by_promise(figures, tried.records[-1].payload_bytes, TIERS))

    def _note_failure(self, tried: TriedStream, answer: TrialAnswer) -> None:
        """Set aside what has failed: chains, if others have not, or else the stream."""
        if answer.says_something:
            tried.set_aside(self._clock.monotonic_s(), answer.failed)
            return
        self._failed += 1
        self._set_aside(tried)
        self._failing.add(tried.number)
        if self._learner is not None and len(self._failing) >= MAX_FAILING:
            self._learner.fail(f"fails: {answer.error}")

    def _note_lost(self, now_s: float) -> None:
        """Note samples that the process has not answered before its end, of which the first one may be the cause."""
        lost = [(number, taken.tried) for number, taken in self._under_way.items() if not self._worker.has(taken.slot)]
        for number, tried in lost:
            del self._under_way[number]
            tried.under_way = False
        self._lost += len(lost)
        if lost:
            _, first = lost[0]
            first.losses += 1
            if first.losses >= MAX_LOSSES:
                first.losses = 0
                self._set_aside(first)

    def _set_aside(self, tried: TriedStream) -> None:
        """Leave a stream to the baseline until it is tried again, in a while."""
        tried.set_aside(self._clock.monotonic_s())
        if self._learner is not None:
            self._learner.set_aside(tried.number)


def _copy(sample: Sample, slot: SampleSlot, most_bytes: int) -> Callable[[], tuple[int, int]]:
    """Return the work of a thread that copies a sample into its slot."""

    def copy() -> tuple[int, int]:
        payload = decode(sample.encoding, sample.payload)
        try:
            base = None if sample.base is None else sample.base()
        except RequestRefused:  # there are no deltas to it
            base = None
        return slot.memory.fill(slot.number, payload, base, most_bytes)

    return copy
