"""Learner: the parts of learning in a gateway, put together: policy, decider, and the file of decisions.

Decisions are followed while the process of shadow trials does its work. Without it nobody would see that the contents
have changed, so the baseline chooses again, until the process answers.
"""

from __future__ import annotations

import logging
from collections.abc import Generator, Iterable, Iterator
from pathlib import Path
from typing import Final

from gateway.connections.ports import Clock, DeliveryPolicy, Threads
from gateway.optimizer.decisions.decider import Decider, key_of
from gateway.optimizer.decisions.decision_file import DecisionFile
from gateway.optimizer.decisions.decision_table import DecisionTable
from gateway.optimizer.decisions.learned_policy import LearnedPolicy
from gateway.optimizer.decisions.learned_stream import LearnedStream
from gateway.optimizer.decisions.stats import DecisionStats, JudgedDecision
from gateway.optimizer.delivery_cost import EncodingFigures
from gateway.optimizer.history.record import ShadowTrial, TrafficRecord
from gateway.streams.stream import Stream

logger = logging.getLogger(__name__)

WRITE_S: Final = 60.0
"""Time from one writing of the table to the next."""


class Learner:
    """Learner of one gateway.

    Args:
        baseline: chooses encodings without learning.
        directory: that of the traffic history.
        clock: the time.
        threads: read and write the file of decisions.

    Attributes:
        policy: policy that follows the decisions.
    """

    def __init__(self, baseline: DeliveryPolicy, directory: Path, clock: Clock, threads: Threads) -> None:
        self.policy = LearnedPolicy(baseline, clock)
        self._decider = Decider(self.policy, clock)
        self._file = DecisionFile(directory)
        self._clock = clock
        self._threads = threads
        self._written_s = clock.monotonic_s()
        self._written_changes = 0
        self._is_read = False
        """Whether the decisions of an earlier start are known: until then nothing is written over them."""
        self._failure = ""
        self._write_failed = False

    def begin(self) -> None:
        """Have the decisions of an earlier start read."""

        def read(table: DecisionTable | BaseException) -> None:
            if isinstance(table, BaseException):
                logger.error("the decisions in %s cannot be read", self._file.path, exc_info=table)
            else:
                self._decider.adopt(table)
            self._is_read = True

        self._threads.submit(self._file.read, read)

    def tried(self, number: int, trial: ShadowTrial) -> None:
        """Take a shadow trial of the stream with this id: the process does its work."""
        self._recover()
        self._decider.tried(number, trial)

    def probed(self, number: int, trial: ShadowTrial) -> None:
        """Take a trial of probes alone."""
        self._recover()
        self._decider.probed(number, trial)

    def predicted(self, number: int, figures: Iterable[EncodingFigures]) -> None:
        """Take predictions for chains that were not tried on the stream with this id."""
        self._decider.predicted(number, figures)

    def _recover(self) -> None:
        """Follow decisions again."""
        if self._failure:
            logger.info("decisions about encodings are followed again: shadow trials are made")
            self._failure = ""
            self.policy.trust()

    def recorded(self, stream: Stream, record: TrafficRecord) -> None:
        """Take a traffic record of some receivers of a stream."""
        self._decider.recorded(stream, record)

    def fail(self, reason: str) -> None:
        """Follow no decision until the next trial: the process of shadow trials does not do its work.

        Args:
            reason: what it does instead, for the log.
        """
        if not self._failure:
            logger.warning("encodings are chosen by samples alone: the process of shadow trials %s", reason)
            self.policy.distrust()
        self._failure = reason

    def set_aside(self, number: int) -> None:
        """Follow no decision for the stream with this id until its next trial: its contents cannot be tried."""
        self.policy.distrust_stream(number)

    def sweep(self) -> Generator[None, None, None]:
        """Take the decisions that are due, and have them written from time to time. Yields for the loop."""
        yield from self._decider.sweep()
        now_s = self._clock.monotonic_s()
        if self._is_read and now_s - self._written_s >= WRITE_S:
            self._written_s = now_s
            changes = self._decider.changes + self.policy.taken_back
            if changes != self._written_changes:
                self._written_changes = changes
                table = self._table()
                self._threads.submit(lambda: self._file.write(table), self._wrote)

    def close(self) -> None:
        """Write the decisions; for any thread, once the core is not used any more."""
        if not self._is_read:
            return
        try:
            self._file.write(self._table())
        except OSError as error:
            self._wrote(error)

    def stats(self) -> DecisionStats:
        """Return the counts as they stand."""
        return DecisionStats(
            following=self.policy.trusted,
            failure=self._failure,
            streams=len(self.policy),
            in_force=sum([len(learned.chains) + len(learned.anew) for learned in self.policy]),
            table=len(self._decider.table),
            changes=self._decider.changes,
            taken_back=self.policy.taken_back,
        )

    def judged(self, number: int) -> tuple[JudgedDecision, ...]:
        """Return the decisions for the stream with this id."""
        learned = self.policy.get(number)
        return () if learned is None else tuple(self._judged(learned))

    def _judged(self, learned: LearnedStream) -> Iterator[JudgedDecision]:
        now_s = self._clock.monotonic_s()
        for profile, guarded in learned.decisions.items():
            if guarded.decision is not None:
                yield JudgedDecision(key_of(learned.stream, profile), guarded.decision, guarded.guard.verdict(now_s))

    def _table(self) -> DecisionTable:
        """Return the table with verdicts as they stand, which outlive their streams."""
        table = self._decider.table
        for learned in self.policy:
            for each in self._judged(learned):
                table.judge(each.key, each.verdict)
        return table.copy()

    def _wrote(self, result: object) -> None:
        """Log a failure to write, once until it works again."""
        failed = isinstance(result, BaseException)
        if failed and not self._write_failed:
            reason = result.strerror if isinstance(result, OSError) else result
            logger.warning("the decisions cannot be written to %s: %s", self._file.path, reason)
        self._write_failed = failed
