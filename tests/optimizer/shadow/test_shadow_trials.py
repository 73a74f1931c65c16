"""Shadow trials: samples of the traffic are tried by a real process, and the outcomes kept, recorded and counted."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest

from gateway.connections.ports import Sample
from gateway.optimizer.decisions.decision import Decision
from gateway.optimizer.decisions.learned_stream import LearnedStream
from gateway.optimizer.decisions.learner import Learner
from gateway.optimizer.history.reading import ReadingTally, read_history
from gateway.optimizer.history.record import PayloadFeatures, ShadowTrial, TriedChain
from gateway.optimizer.history.traffic_history import TrafficHistory
from gateway.optimizer.prediction.predictor import Predictor
from gateway.optimizer.settings import OptimizerSettings
from gateway.optimizer.shadow.sample_memory import SLOTS
from gateway.optimizer.shadow.shadow_trials import MAX_FAILING, ShadowTrials, TakenSample
from gateway.optimizer.shadow.trial_messages import TrialAnswer
from gateway.optimizer.shadow.trial_table import ASIDE_S, LEAST_AGE_S, MAX_LOSSES
from gateway.optimizer.shadow.trial_worker import SILENT_S
from gateway.protocol.encoding import Chain
from gateway.protocol.messages import Kind
from tests.connections.memory import EVERY_CODEC, FixedPolicy, ManualClock, StepWorkers, World
from tests.optimizer.prediction.histories import written

TIMEOUT_S = 30.0
TOKENS = np.arange(16_384, dtype=np.int64)
NOISE = np.random.default_rng(1).standard_normal(16_384)


class TriedWorld(World):
    """A world whose traffic is recorded and tried."""

    def __init__(self, directory: Path, share: float = 0.5) -> None:
        clock, workers = ManualClock(), StepWorkers()
        settings = OptimizerSettings(history_dir=str(directory))
        self.learner = Learner(FixedPolicy(), directory, clock, workers)
        history = TrafficHistory(directory, settings, self.learner.policy, clock, workers)
        self.directory = directory
        self.predictor = Predictor(directory)
        self.trials = ShadowTrials(history, share, clock, workers, self.learner, self.predictor)
        super().__init__(self.trials.policy, clock=clock, workers=workers)
        before = len(self.core.sweeps)
        self.trials.begin(self.core)
        self.swept = self.core.sweeps[before:]

    def sweep(self) -> None:
        """Do all sweeps of the history and the trials, a second later."""
        self.clock.advance(1.0)
        for sweep in self.swept:
            for _ in sweep.work() or ():
                pass

    def sweep_until(self, holds: Callable[[], bool]) -> None:
        end_s = time.monotonic() + TIMEOUT_S
        while not holds():
            assert time.monotonic() < end_s
            for _ in self.trials.sweep():
                pass
            time.sleep(0.005)  # for the other process

    def stop(self) -> None:
        for _ in self.trials.close_records():
            pass

    def closed(self) -> tuple[list[ShadowTrial], ReadingTally]:
        """Stop, and return the trials that were recorded."""
        self.stop()
        self.trials.close(TIMEOUT_S)
        found, tally = list[ShadowTrial](), ReadingTally()
        list(read_history(self.directory, tally, found.append))
        return found, tally


@pytest.fixture
def world(tmp_path: Path) -> Iterator[TriedWorld]:
    tried = TriedWorld(tmp_path)
    yield tried
    tried.trials.close(TIMEOUT_S)


def published(world: TriedWorld, array: np.ndarray = TOKENS, *, times: int = 1, name: str = "wf/ids") -> None:
    """Publish to a stream with a receiver, and let a second pass after each message."""
    publisher = world.publisher(name, codecs=())
    world.subscriber(name, codecs=EVERY_CODEC)
    for _ in range(times):
        publisher.publish_array(0, array)
        world.settle()
        world.sweep()


def test_a_sample_of_a_stream_that_was_recorded_is_tried(world: TriedWorld) -> None:
    published(world, times=3)
    world.sweep_until(lambda: world.trials.trial_stats().tried == 1)
    stats = world.trials.trial_stats()
    assert (stats.cpu_share, stats.failed, stats.lost, stats.dropped, stats.drifts) == (0.5, 0, 0, 0, 0)
    assert (stats.streams, stats.worker_starts, stats.working, stats.failure) == (1, 1, True, "")
    assert stats.cpu_s > 0
    (traffic,) = world.trials.busiest(1)
    trial = traffic.trial
    assert (trial.stream, trial.dtype, trial.shape, trial.based) == ("wf/ids", "int64", TOKENS.shape, False)
    assert trial.sample_bytes == TOKENS.nbytes
    assert {"none", "lz4", "shuffle+zstd:1"} < {each.chain for each in trial.tried}
    assert trial.features.plane_entropy_bits
    assert [record.stream for record in traffic.classes] == ["wf/ids"]
    found, tally = world.closed()
    assert [(each.stream, [tried.chain for tried in each.tried]) for each in found] == [
        ("wf/ids", [tried.chain for tried in trial.tried])
    ]
    assert (tally.trials, tally.damaged_bytes) == (1, 0)
    assert not world.trials.trial_stats().working


def test_deltas_of_states_are_tried(world: TriedWorld) -> None:
    publisher = world.publisher("wf/state", kind=Kind.STATE, codecs=())
    world.subscriber("wf/state", codecs=EVERY_CODEC)
    for number in range(3):
        publisher.publish_array(0, TOKENS + number)
        world.settle()
        world.sweep()
    world.sweep_until(lambda: world.trials.trial_stats().tried == 1)
    (traffic,) = world.trials.busiest(1)
    assert traffic.trial.based
    assert "diff64:1+zstd:1" in {each.chain for each in traffic.trial.tried}


def test_another_trial_waits_until_the_last_one_is_old(world: TriedWorld) -> None:
    published(world, times=3)
    world.sweep_until(lambda: world.trials.trial_stats().tried == 1)
    published(world, times=int(LEAST_AGE_S) - 3)
    assert not world.trials._under_way
    published(world, times=4)
    world.sweep_until(lambda: world.trials.trial_stats().tried == 2)


def test_features_that_change_have_the_payload_tried_at_once(world: TriedWorld) -> None:
    published(world, times=3)
    world.sweep_until(lambda: world.trials.trial_stats().tried == 1)
    published(world, NOISE.view(np.int64), times=6)
    world.sweep_until(lambda: world.trials.trial_stats().tried == 2)
    stats = world.trials.trial_stats()
    assert stats.drifts >= 1
    (traffic,) = world.trials.busiest(1)
    assert traffic.trial.drifted
    assert max(each.encoded_bytes for each in traffic.trial.tried) == TOKENS.nbytes


def test_streams_without_receivers_are_not_tried(world: TriedWorld) -> None:
    publisher = world.publisher("wf/alone", codecs=())
    for _ in range(4):
        publisher.publish_array(0, TOKENS)
        world.settle()
        world.sweep()
    assert (world.trials.trial_stats().streams, len(world.trials._under_way)) == (0, 0)


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSTOP])
def test_samples_are_lost_with_a_process_that_is_killed_or_stopped_and_counted(
    world: TriedWorld, number: signal.Signals
) -> None:
    process = world.trials._worker._process
    assert process is not None
    os.kill(process.pid, signal.SIGSTOP)
    published(world, times=3)
    assert len(world.trials._under_way) == 1
    if number == signal.SIGKILL:
        os.kill(process.pid, number)
    else:
        world.clock.advance(100.0)  # it has answered nothing for so long
    world.sweep_until(lambda: world.trials.trial_stats().lost == 1)
    stats = world.trials.trial_stats()
    assert (stats.tried, stats.working) == (0, False)
    world.clock.advance(LEAST_AGE_S)
    world.sweep_until(lambda: world.trials.trial_stats().worker_starts == 2)  # not before the other one has ended
    published(world, times=3)
    world.sweep_until(lambda: world.trials.trial_stats().tried == 1)


def follows(world: TriedWorld) -> bool:
    stats = world.trials.decision_stats()
    assert stats is not None
    return stats.following


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSTOP])
def test_no_decision_is_followed_while_the_process_is_gone_or_stands_still(
    world: TriedWorld, number: signal.Signals
) -> None:
    published(world, times=3)
    world.sweep_until(lambda: world.trials.trial_stats().tried == 1)
    assert follows(world)
    process = world.trials._worker._process
    assert process is not None
    os.kill(process.pid, number)
    world.clock.advance(LEAST_AGE_S)
    published(world, times=3)
    world.clock.advance(SILENT_S)
    world.sweep_until(lambda: not follows(world))
    with suppress(ProcessLookupError):
        os.kill(process.pid, signal.SIGCONT)
    world.clock.advance(LEAST_AGE_S)
    while not follows(world):
        published(world)
        world.sweep_until(lambda: not world.trials._under_way)


def fail(world: TriedWorld, learned: LearnedStream, *failed: str, tried: tuple[TriedChain, ...] = ()) -> None:
    """Have a trial of a stream fail, as a process without memory tells."""
    found, slot = world.trials._table.get(learned.stream.id), world.trials._worker.take_slot()
    assert found is not None
    assert slot is not None
    taken = TakenSample(found, slot, based=False, drifted=False, sample_bytes=1, chains=(), probed=False)
    world.trials._learn(taken, TrialAnswer(slot.number, 0.5, tried, failed, "MemoryError"))
    world.trials._worker.give_back(slot)


def followed(world: TriedWorld, name: str) -> LearnedStream:
    """Publish to a stream until it was tried, and return its decisions, of which one is in force."""
    before = world.trials.trial_stats().tried
    published(world, times=3, name=name)
    world.sweep_until(lambda: world.trials.trial_stats().tried > before)
    (learned,) = [each for each in world.learner.policy if each.stream.name == name]
    (profile,) = learned.decisions
    learned.put(profile, Decision(Chain(False, "lz4"), None, 0.1, 0.2, "half the bytes"), None)
    world.learner.policy.apply(learned, changed=False)
    assert learned.chains
    return learned


def try_again(world: TriedWorld, name: str, after_s: float = LEAST_AGE_S) -> None:
    """Let a time pass, and publish until the stream was tried again."""
    before = world.trials.trial_stats().tried
    world.clock.advance(after_s)
    published(world, times=4, name=name)
    world.sweep_until(lambda: world.trials.trial_stats().tried > before)


def test_a_stream_whose_trial_fails_is_set_aside_and_the_others_go_on(world: TriedWorld) -> None:
    other, failing = followed(world, "wf/other"), followed(world, "wf/failing")
    fail(world, failing, "none", "lz4")
    assert follows(world)
    assert (bool(other.chains), bool(failing.chains), failing.trusted) == (True, False, False)
    world.clock.advance(LEAST_AGE_S)
    published(world, times=6, name="wf/failing")
    assert not world.trials._under_way
    try_again(world, "wf/failing", ASIDE_S)
    again = world.learner.policy.get(failing.stream.id)
    assert again is not None
    assert again.trusted


def test_a_chain_that_fails_on_a_stream_is_set_aside(world: TriedWorld) -> None:
    learned = followed(world, "wf/ids")
    fail(world, learned, "pco:8", tried=(TriedChain("lz4", 100, 1e-4, 1e-4),))
    stats = world.trials.trial_stats()
    assert (learned.trusted, stats.tried, stats.failed, stats.failure) == (True, 2, 0, "MemoryError")
    for after_s, has_failing_chain in ((LEAST_AGE_S, False), (ASIDE_S, True)):
        try_again(world, "wf/ids", after_s)
        (traffic,) = world.trials.busiest(1)
        found = {each.chain for each in traffic.trial.tried}
        assert ("pco:4" in found, "pco:8" in found) == (True, has_failing_chain)


def test_no_decision_is_followed_while_all_trials_fail(world: TriedWorld) -> None:
    streams = [followed(world, f"wf/{number}") for number in range(MAX_FAILING)]
    for learned in streams:
        assert follows(world)
        fail(world, learned)
    assert not follows(world)
    followed(world, "wf/more")
    assert follows(world)


def test_a_stream_with_whose_sample_the_process_ends_time_and_again_is_set_aside(world: TriedWorld) -> None:
    learned = followed(world, "wf/ids")
    for losses in range(1, MAX_LOSSES + 1):
        world.clock.advance(100.0)
        world.sweep_until(lambda: world.trials._worker.running)
        process = world.trials._worker._process
        assert process is not None
        os.kill(process.pid, signal.SIGSTOP)
        published(world, times=4)
        assert world.trials._under_way
        os.kill(process.pid, signal.SIGKILL)
        world.sweep_until(lambda: not world.trials._under_way)
        assert learned.trusted == (losses < MAX_LOSSES)
    world.clock.advance(100.0)
    published(world, times=4)
    assert not world.trials._under_way


def test_decisions_are_shown_with_the_streams_that_were_tried(world: TriedWorld) -> None:
    published(world, times=3)
    world.sweep_until(lambda: world.trials.trial_stats().tried == 1)
    (learned,) = world.learner.policy
    (profile,) = learned.decisions
    learned.put(profile, Decision(Chain(False, "lz4"), None, 0.1, 0.2, "half the bytes"), None)
    (traffic,) = world.trials.busiest(1)
    assert [(each.key.stream, each.decision.reason) for each in traffic.decisions] == [("wf/ids", "half the bytes")]


def test_samples_that_find_no_place_are_dropped(world: TriedWorld) -> None:
    published(world, times=1)
    for _ in range(SLOTS):
        assert world.trials._worker.take_slot() is not None
    (tried,) = world.trials._table._streams.values()
    for _ in range(5):
        tried.drifted(PayloadFeatures(zero_share=0.0))
    (stream,) = world.core.streams
    sample = Sample(TOKENS.data.cast("B"), TOKENS.dtype)
    world.trials.featured(stream, sample, PayloadFeatures(zero_share=1.0))
    assert (world.trials.trial_stats().drifts, world.trials.trial_stats().dropped) == (1, 1)


def test_a_trial_that_fails_is_counted_and_its_reason_told(world: TriedWorld, caplog: pytest.LogCaptureFixture) -> None:
    published(world, times=3)
    (learned,) = world.learner.policy
    fail(world, learned)
    stats = world.trials.trial_stats()
    assert (stats.failed, stats.tried, stats.cpu_s, stats.failure) == (1, 0, 0.5, "MemoryError")
    assert "a shadow trial of wf/ids has failed: MemoryError" in caplog.text


def test_a_stream_that_has_ended_is_forgotten(world: TriedWorld) -> None:
    published(world, times=2)
    stream = next(iter(world.trials._table._streams))
    (found,) = [each for each in world.core.streams if each.id == stream]
    world.trials.policy.forget(found)
    assert world.trials.trial_stats().streams == 0


def test_no_sample_is_taken_once_the_gateway_stops(world: TriedWorld) -> None:
    published(world, times=1)
    world.stop()
    published(world, times=3)
    assert not world.trials._under_way


@pytest.fixture
def scarce(tmp_path: Path) -> Iterator[TriedWorld]:
    """A world with a model, where a hundredth of a core is for trials."""
    written(tmp_path, 30)
    tried = TriedWorld(tmp_path, 0.01)
    published(tried)
    tried.sweep_until(lambda: tried.predictor.is_ready)
    yield tried
    tried.trials.close(TIMEOUT_S)


def settle(world: TriedWorld) -> None:
    """Wait until both processes have answered."""
    world.sweep_until(lambda: not world.trials._under_way)
    world.sweep_until(lambda: not world.predictor._waiting and not world.predictor._asked)


def probe(world: TriedWorld) -> LearnedStream:
    """Publish to more streams than may be tried, until what was not tried of one is predicted; return that."""
    end_s = time.monotonic() + TIMEOUT_S
    while True:
        for number in range(4):
            published(world, name=f"wf/{number}")
            settle(world)
        found = [learned for learned in world.learner.policy if learned.figures.predicted]
        if found:
            return found[0]
        assert time.monotonic() < end_s


def test_new_streams_for_which_there_is_no_time_are_probed_and_the_rest_is_predicted(scarce: TriedWorld) -> None:
    learned = probe(scarce)
    stats = scarce.trials.prediction_stats()
    assert stats is not None
    assert (stats.model_trials, stats.predicted >= 1, scarce.trials.trial_stats().probed >= 1) == (30, True, True)
    figures, sources = learned.figures, [learned.figures.source]
    assert "zstd:1" in figures.measured
    assert "pco:8" in figures.predicted
    assert any(traffic.probed for traffic in scarce.trials.busiest(1))
    found = scarce.trials._table.get(learned.stream.id)
    assert found is not None
    promise = found.promise
    assert set(promise) == {*figures.measured, *figures.predicted}
    scarce.clock.advance(100.0)
    while found.probed:
        published(scarce, name=learned.stream.name)
        settle(scarce)
    assert [*sources, figures.source] == ["probe and model", "trial"]
    assert found.trial is not None
    order = [each.chain for each in found.trial.tried]
    assert order == [chain for chain in promise if chain in order]
    recorded, _ = scarce.closed()
    assert all("pco:8" in {each.chain for each in trial.tried} for trial in recorded)


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSTOP])
def test_decisions_outlive_the_process_of_the_model(scarce: TriedWorld, number: signal.Signals) -> None:
    learned = probe(scarce)
    process = scarce.predictor._process
    assert process is not None
    os.kill(process.pid, number)
    scarce.clock.advance(LEAST_AGE_S)
    published(scarce, times=3)
    assert learned.figures.predicted
    assert follows(scarce)
    scarce.predictor.close(TIMEOUT_S)
    scarce.clock.advance(100.0)
    before = scarce.trials.trial_stats().tried
    while scarce.trials.trial_stats().tried == before:
        published(scarce, name="wf/new")
        scarce.sweep_until(lambda: not scarce.trials._under_way)
    assert follows(scarce)
