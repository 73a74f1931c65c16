"""The learner: what it keeps on disk, and that it follows decisions only while shadow trials are made."""

from __future__ import annotations

from pathlib import Path

import pytest

from gateway.connections.link_tier import TIERS
from gateway.connections.receiver_profile import ReceiverProfile
from gateway.ids import Epoch, StreamId, StreamName
from gateway.optimizer.decisions.decision_file import NAME
from gateway.optimizer.decisions.learner import WRITE_S, Learner
from gateway.protocol.encoding import PLAIN, Chain
from gateway.protocol.messages import Kind
from gateway.streams.stream import Stream
from tests.connections.memory import FixedPolicy, ManualClock, StepWorkers
from tests.optimizer.history.records import record, shadow_trial

CODECS = ("lz4", "pco", "zstd")
SLOW = ReceiverProfile(frozenset(CODECS), TIERS[1])
STREAM = Stream(StreamId(1), StreamName("wf/1"), Kind.EVENT, Epoch(1))
PCO = Chain(False, "pco", 8)
THRESHOLD_PAIRS = 2
"""Pairs of twice the cost that take a decision back."""


class Learning:
    """A learner in a directory, which has read what is there."""

    def __init__(self, directory: Path) -> None:
        self.clock, self.workers = ManualClock(), StepWorkers()
        self.learner = Learner(FixedPolicy(), directory, self.clock, self.workers)
        self.learner.begin()
        self.settle()

    def settle(self) -> None:
        while len(self.workers):
            self.workers.step()

    def sweep(self) -> None:
        for _ in self.learner.sweep():
            pass
        self.settle()

    @property
    def chain(self) -> Chain:
        return self.learner.policy.chain_for(STREAM, SLOW)

    def learn(self) -> None:
        assert self.chain == PLAIN
        self.learner.recorded(STREAM, record(codecs=CODECS, tier=SLOW.tier.name, sdk="", payload_bytes=524_288))
        self.learner.tried(STREAM.id, shadow_trial())
        self.sweep()
        assert self.chain == PCO


def test_decisions_outlive_the_gateway(tmp_path: Path) -> None:
    learning = Learning(tmp_path)
    learning.learn()
    learning.learner.close()
    again = Learning(tmp_path)
    assert again.chain == PLAIN
    again.sweep()
    assert again.chain == PCO


def test_decisions_are_written_from_time_to_time_if_they_have_changed(tmp_path: Path) -> None:
    learning = Learning(tmp_path)
    learning.clock.advance(WRITE_S)
    learning.sweep()
    assert not (tmp_path / NAME).exists()
    learning.learn()
    assert not (tmp_path / NAME).exists()
    learning.clock.advance(WRITE_S)
    learning.sweep()
    assert "wf/1" in (tmp_path / NAME).read_text()


def test_a_disk_that_fails_is_told_once(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / NAME).mkdir()
    learning = Learning(tmp_path)
    learning.learn()
    for _ in range(2):
        learning.learner.close()
    assert caplog.text.count("the decisions cannot be written") == 1
    assert caplog.text.endswith(f"{NAME}: Is a directory\n")
    assert learning.chain == PCO


def test_a_corrupt_table_is_set_aside_and_learning_starts_anew(tmp_path: Path) -> None:
    (tmp_path / NAME).write_bytes(b"\x00" * 100)
    learning = Learning(tmp_path)
    learning.learn()


def test_without_shadow_trials_the_baseline_chooses_until_there_is_one(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    learning = Learning(tmp_path)
    learning.learn()
    for _ in range(3):
        learning.learner.fail("has ended")
    learning.sweep()
    assert learning.chain == PLAIN
    stats = learning.learner.stats()
    assert (stats.following, stats.failure, stats.in_force) == (False, "has ended", 0)
    assert caplog.text.count("the process of shadow trials has ended") == 1
    learning.learner.tried(STREAM.id, shadow_trial())
    learning.sweep()
    assert learning.chain == PCO
    stats = learning.learner.stats()
    assert (stats.following, stats.failure, stats.in_force, stats.streams, stats.table) == (True, "", 1, 1, 1)


def test_decisions_to_encode_anew_are_counted_as_well(tmp_path: Path) -> None:
    learning = Learning(tmp_path)
    assert learning.learner.policy.anew_for(STREAM, SLOW) is None
    slow = record(codecs=CODECS, tier=SLOW.tier.name, sdk="", payload_bytes=524_288, published_encoding="lz4")
    learning.learner.recorded(STREAM, slow)
    learning.learner.tried(STREAM.id, shadow_trial())
    learning.sweep()
    assert learning.learner.policy.anew_for(STREAM, SLOW) == PCO
    assert learning.learner.stats().in_force == 1


def test_decisions_are_told_with_their_verdicts(tmp_path: Path) -> None:
    learning = Learning(tmp_path)
    assert learning.learner.judged(STREAM.id) == ()
    learning.learn()
    (judged,) = learning.learner.judged(STREAM.id)
    assert (judged.key.stream, judged.key.tier, judged.decision.chain) == ("wf/1", "20 Mbit/s", PCO)
    assert judged.verdict.words == "not compared with the baseline yet"


def test_a_stop_before_the_decisions_are_read_leaves_them(tmp_path: Path) -> None:
    learning = Learning(tmp_path)
    learning.learn()
    learning.learner.close()
    kept = (tmp_path / NAME).read_bytes()
    clock, workers = ManualClock(), StepWorkers()
    early = Learner(FixedPolicy(), tmp_path, clock, workers)
    early.begin()
    clock.advance(WRITE_S)
    for _ in early.sweep():
        pass
    early.close()
    assert (tmp_path / NAME).read_bytes() == kept


def test_what_is_taken_back_is_written_and_outlives_its_stream(tmp_path: Path) -> None:
    learning = Learning(tmp_path)
    learning.learn()
    learning.clock.advance(WRITE_S)
    learning.sweep()
    learned = learning.learner.policy.get(STREAM.id)
    assert learned is not None
    learning.clock.advance(WRITE_S)
    for _ in range(THRESHOLD_PAIRS):
        learned.decisions[SLOW].guard.compare(2.0, 1.0, learning.clock.monotonic_s())
    learning.learner.policy.taken_back += 1
    learning.sweep()
    assert '"in_force": true' not in (tmp_path / NAME).read_text()
    learning.learner.policy.forget(STREAM)
    learning.sweep()
    assert learning.chain == PLAIN
    learning.sweep()
    assert learning.chain == PLAIN  # by the table it would be PCO again
    learning.learner.close()
    again = Learning(tmp_path)
    assert again.chain == PLAIN
    again.sweep()
    assert again.chain == PLAIN
