"""Predictor: a real process predicts, and whatever happens to it, the gateway goes on at once without predictions."""

from __future__ import annotations

import os
import resource
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from gateway.optimizer.candidates import candidates
from gateway.optimizer.child_process import FIRST_PAUSE_S
from gateway.optimizer.prediction.messages import Prediction
from gateway.optimizer.prediction.predictor import GIVEN_UP_S, MAX_WAITING, SILENT_S, Predictor
from tests.optimizer.learning.trials import CODECS, FLOATS, trial, trials
from tests.optimizer.prediction.histories import written

TIMEOUT_S = 60.0
CHAINS = candidates(FLOATS, CODECS, integers=False, based=False)
PROBED = trial(1000, 4.0, probed=True)


class Predicted:
    """A predictor whose clock stands where it is set."""

    def __init__(self, directory: Path) -> None:
        self.predictor = Predictor(directory)
        self.now_s = 0.0

    def pump_until(self, holds: Callable[[], bool]) -> list[Prediction]:
        found, end_s = list[Prediction](), time.monotonic() + TIMEOUT_S
        while not holds():
            assert time.monotonic() < end_s
            found += self.predictor.pump(self.now_s)
            time.sleep(0.005)  # for the other process
        return found

    def ready(self) -> Predicted:
        self.predictor.start(self.now_s)
        self.predictor.wake()
        self.pump_until(lambda: self.predictor.is_ready)
        return self

    def answered(self, number: int = 7) -> Prediction:
        before = self.predictor.stats().predicted
        self.predictor.ask(number, PROBED, CHAINS)
        (found,) = self.pump_until(lambda: self.predictor.stats().predicted > before)
        return found

    @property
    def pid(self) -> int:
        assert self.predictor._process is not None
        return self.predictor._process.pid


@pytest.fixture
def predicted(tmp_path: Path) -> Iterator[Predicted]:
    written(tmp_path, 30)
    found = Predicted(tmp_path)
    yield found
    found.predictor.close(TIMEOUT_S)


def has_library(pid: int) -> bool:
    return "sklearn" in Path(f"/proc/{pid}/maps").read_text()


def test_the_process_learns_from_the_history_once_there_is_traffic(predicted: Predicted) -> None:
    predictor = predicted.predictor
    predictor.start(0.0)
    assert predictor.pump(0.0) == []
    assert (predictor.is_ready, has_library(predicted.pid)) == (False, False)
    predicted.ready()
    stats = predictor.stats()
    assert (stats.model_trials, stats.fits, stats.process_starts, stats.working, stats.failure) == (30, 1, 1, True, "")
    assert stats.cpu_s > 0
    assert has_library(predicted.pid)


def test_predictions_come_for_what_was_asked(predicted: Predicted) -> None:
    predicted.ready()
    prediction = predicted.answered()
    assert (prediction.number, [each.chain for each in prediction.figures]) == (7, [str(chain) for chain in CHAINS])
    predictor = predicted.predictor
    predictor.ask(8, PROBED, ())
    for number in (1, 2, 2, 3):
        predictor.ask(number, PROBED, CHAINS)
    found = predicted.pump_until(lambda: predictor.stats().predicted == 5)
    assert sorted(each.number for each in found) == [1, 2, 2, 3]
    assert {each.figures for each in found} == {prediction.figures}


def test_a_gateway_without_history_gets_its_model_by_trials(tmp_path: Path) -> None:
    predicted = Predicted(tmp_path / "new")
    predicted.predictor.start(0.0)
    for each in trials(12):
        predicted.predictor.learn(each)
    predicted.pump_until(lambda: predicted.predictor.is_ready)
    assert predicted.answered().figures
    predicted.predictor.close(TIMEOUT_S)


def test_a_stream_that_was_asked_for_can_be_asked_for_again_behind_the_end_of_the_process(predicted: Predicted) -> None:
    predicted.ready()
    os.kill(predicted.pid, signal.SIGSTOP)
    predicted.predictor.ask(7, PROBED, CHAINS)
    predicted.predictor.pump(0.0)
    os.kill(predicted.pid, signal.SIGKILL)
    predicted.pump_until(lambda: not predicted.predictor.is_ready)
    predicted.now_s = FIRST_PAUSE_S
    predicted.pump_until(lambda: predicted.predictor.is_ready)
    assert predicted.answered(7).figures


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSEGV])
def test_another_one_takes_the_place_of_one_that_is_killed(
    predicted: Predicted, caplog: pytest.LogCaptureFixture, number: signal.Signals
) -> None:
    predicted.ready()
    predictor, cpu_s = predicted.predictor, predicted.predictor.stats().cpu_s
    os.kill(predicted.pid, number)
    predicted.pump_until(lambda: not predictor.is_ready)
    assert f"has ended with status -{number}" in caplog.text
    assert predictor.pump(FIRST_PAUSE_S / 2) == []
    assert predictor.stats().process_starts == 1
    predicted.now_s = FIRST_PAUSE_S
    predicted.pump_until(lambda: predictor.is_ready)
    assert predicted.answered().figures
    stats = predictor.stats()
    assert (stats.process_starts, stats.fits) == (2, 2)
    assert stats.cpu_s > cpu_s


def test_one_that_is_stopped_is_not_waited_for_and_then_replaced(
    predicted: Predicted, caplog: pytest.LogCaptureFixture
) -> None:
    predicted.ready()
    predictor = predicted.predictor
    os.kill(predicted.pid, signal.SIGSTOP)
    for number in range(2 * MAX_WAITING):
        predictor.ask(number, PROBED, CHAINS)
    states = []
    for passed_s in (0.0, SILENT_S / 2, SILENT_S, GIVEN_UP_S):
        predictor.pump(passed_s)  # would hang if it waited
        states.append((predictor.is_ready, predictor._process is not None))
    assert states == [(True, True), (True, True), (False, True), (False, False)]
    assert f"has answered nothing for {GIVEN_UP_S:g} s" in caplog.text
    predicted.now_s = 1000.0
    predicted.pump_until(lambda: predictor.is_ready)


def test_one_that_goes_on_after_a_stop_is_counted_on_again(predicted: Predicted) -> None:
    predicted.ready()
    os.kill(predicted.pid, signal.SIGSTOP)
    predicted.predictor.ask(7, PROBED, CHAINS)
    for now_s in (0.0, SILENT_S):
        predicted.predictor.pump(now_s)
    assert not predicted.predictor.is_ready
    predicted.now_s = SILENT_S
    os.kill(predicted.pid, signal.SIGCONT)
    predicted.pump_until(lambda: predicted.predictor.stats().predicted == 1)
    assert predicted.predictor.is_ready


def test_one_without_memory_fails_or_ends_and_the_gateway_goes_on(predicted: Predicted) -> None:
    predictor = predicted.predictor
    predictor.start(0.0)
    for kind in (resource.RLIMIT_DATA, resource.RLIMIT_AS):
        resource.prlimit(predicted.pid, kind, (1, 1))
    predictor.wake()
    predicted.pump_until(lambda: bool(predictor.stats().failure) or predictor._process is None)
    assert not predictor.is_ready


def test_one_that_writes_nonsense_is_replaced(predicted: Predicted, caplog: pytest.LogCaptureFixture) -> None:
    for line in (b"nonsense\n", Prediction(3, ()).line()):
        predicted.ready()
        assert predicted.predictor._process is not None
        predicted.predictor._process._line = line
        predicted.predictor.ask(7, PROBED, CHAINS)
        predicted.pump_until(lambda: predicted.predictor._process is None)
        predicted.now_s += 100.0
    assert "has written no prediction: b'nonsense'" in caplog.text
    assert "has written a prediction for stream 3, which it was not asked for" in caplog.text


def test_closing_does_not_wait_for_one_that_stands_still(predicted: Predicted) -> None:
    predicted.ready()
    os.kill(predicted.pid, signal.SIGSTOP)
    predicted.predictor.ask(7, PROBED, CHAINS)
    predicted.predictor.pump(0.0)
    predicted.predictor.close(TIMEOUT_S)
    assert not predicted.predictor.is_ready


def test_one_that_cannot_be_started_is_tried_again_ever_more_seldom(
    predicted: Predicted, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr("sys.executable", "/nowhere/python")
        predicted.predictor.start(0.0)
        predicted.predictor.wake()
        for now_s in (0.5, 1.0, 2.5, 3.0):
            predicted.predictor.pump(now_s)
    assert predicted.predictor.stats().process_starts == 3
    assert "the process of predictions cannot be started" in caplog.text
    predicted.now_s = 100.0
    predicted.ready()


def test_it_has_one_thread_and_is_the_first_that_the_system_kills_for_memory(predicted: Predicted) -> None:
    predicted.ready()
    predicted.answered()
    assert os.listdir(f"/proc/{predicted.pid}/task") == [str(predicted.pid)]
    assert int(Path(f"/proc/{predicted.pid}/oom_score_adj").read_text()) == 1000


def test_the_oldest_requests_make_room(predicted: Predicted) -> None:
    for number in range(MAX_WAITING + 10):
        predicted.predictor.ask(number, PROBED, CHAINS)
    waiting = [request.number for request in predicted.predictor._waiting]
    assert waiting == list(range(10, MAX_WAITING + 10))
