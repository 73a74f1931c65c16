"""Program of the process that predicts: it learns from the disk and from trials that come, and refits as they grow."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from gateway.optimizer.candidates import candidates
from gateway.optimizer.history.record import PayloadFeatures, ShadowTrial
from gateway.optimizer.learning.candidate_model import MIN_TRIALS, CandidateModel
from gateway.optimizer.prediction import program
from gateway.optimizer.prediction.messages import ModelState, Prediction, PredictionRequest
from gateway.optimizer.prediction.program import FIT_SHARE, LEAST_TRIALS, REFIT_S, Predicting
from tests.connections.memory import ManualClock
from tests.optimizer.learning.trials import CODECS, FLOATS, trial, trials
from tests.optimizer.prediction.histories import written

CHAINS = tuple(map(str, candidates(FLOATS, CODECS, integers=False, based=False)))
NAN = float("nan")


class Process:
    """The process without its pipes, by a clock that is set."""

    def __init__(self, directory: Path) -> None:
        self.clock = ManualClock()
        self.predicting = Predicting(directory, self.clock.monotonic_s, lambda: 0.0)

    def answer(self, *requests: PredictionRequest) -> list[Prediction | ModelState]:
        return list(self.predicting.answers(requests))

    def fitted(self, *requests: PredictionRequest) -> list[int]:
        """The number of trials to which models were fitted."""
        return [answer.trials for answer in self.answer(*requests) if isinstance(answer, ModelState)]

    def figures(self, known: ShadowTrial) -> Prediction:
        (prediction,) = self.answer(PredictionRequest(known, 7, CHAINS))
        assert isinstance(prediction, Prediction)
        return prediction


def learning(*found: ShadowTrial) -> list[PredictionRequest]:
    return [PredictionRequest(each) for each in found]


def test_the_history_on_disk_makes_a_model_with_the_first_request(tmp_path: Path) -> None:
    written(tmp_path, 30)
    process = Process(tmp_path)
    assert process.fitted(PredictionRequest()) == [30]
    probed = trial(1000, 4.0, probed=True)
    assert [each.chain for each in process.figures(probed).figures] == list(CHAINS)


def test_the_same_history_gives_the_same_predictions(tmp_path: Path) -> None:
    written(tmp_path, 30)
    probed, found = trial(1000, 4.0, probed=True), []
    for _ in range(2):
        process = Process(tmp_path)
        process.answer(PredictionRequest())
        found.append(process.figures(probed))
    assert found[0] == found[1]


def test_a_gateway_without_history_learns_from_the_trials_that_come(tmp_path: Path) -> None:
    assert LEAST_TRIALS >= MIN_TRIALS
    process, found = Process(tmp_path / "nowhere"), trials(40)
    assert process.fitted(PredictionRequest(), *learning(*found[: LEAST_TRIALS - 1])) == []
    assert process.figures(trial(1000, 4.0, probed=True)).figures == ()
    assert process.fitted(*learning(found[LEAST_TRIALS - 1])) == [LEAST_TRIALS]
    assert process.figures(trial(1000, 4.0, probed=True)).figures


def test_the_model_is_fitted_anew_as_trials_grow_and_not_often(tmp_path: Path) -> None:
    process, found = Process(tmp_path), trials(200)
    assert process.fitted(*learning(*found[:80])) == [80]
    process.clock.advance(REFIT_S)
    assert process.fitted(*learning(*found[80:99])) == []
    assert process.fitted(*learning(found[99])) == [100]
    assert process.fitted(*learning(*found[100:150])) == []
    process.clock.advance(REFIT_S)
    assert process.fitted(PredictionRequest()) == [150]


def test_trials_that_are_on_disk_already_count_once(tmp_path: Path) -> None:
    found = written(tmp_path, 30)
    process = Process(tmp_path)
    process.answer(PredictionRequest())
    process.clock.advance(REFIT_S)
    assert process.fitted(*learning(*found)) == []


def test_the_oldest_trials_make_room(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(program, "MAX_TRIALS", 20)
    assert Process(tmp_path).fitted(*learning(*trials(50))) == [20]


def test_a_corrupt_history_is_passed_over(tmp_path: Path) -> None:
    written(tmp_path, 30)
    (path,) = tmp_path.iterdir()
    data = bytearray(path.read_bytes())
    data[1000:3000] = b"\xff" * 2000
    path.write_bytes(data)
    (count,) = Process(tmp_path).fitted(PredictionRequest())
    assert 20 < count < 30


def test_features_that_are_no_numbers_and_one_class_of_data_are_survived(tmp_path: Path) -> None:
    features = PayloadFeatures(zero_share=NAN, unchanged_share=NAN, plane_entropy_bits=(NAN,))
    odd = [replace(trial(number, 4.0), features=features) for number in range(20)]
    process = Process(tmp_path)
    assert process.fitted(*learning(*odd)) == [20]
    probed = replace(trial(99, 4.0, probed=True), features=features)
    assert {each.ratio <= 1 for each in process.figures(probed).figures} == {True}


def test_a_clock_that_jumps_back_only_delays_a_fit(tmp_path: Path) -> None:
    process, found = Process(tmp_path), trials(100)
    process.fitted(*learning(*found[:20]))
    process.clock.advance(-1000.0)
    assert process.fitted(*learning(*found[20:60])) == []
    process.clock.advance(1000.0 + REFIT_S)
    assert process.fitted(PredictionRequest()) == [60]


def test_a_fit_that_takes_long_is_followed_by_a_pause_in_proportion(tmp_path: Path) -> None:
    process, found = Process(tmp_path), trials(60)
    spent_s = iter([0.0, *[2.0] * 20])
    process.predicting = Predicting(tmp_path, process.clock.monotonic_s, lambda: next(spent_s))
    assert process.fitted(*learning(*found[:20])) == [20]
    process.clock.advance(2.0 / FIT_SHARE - 1)
    assert process.fitted(*learning(*found[20:])) == []
    process.clock.advance(1)
    assert process.fitted(PredictionRequest()) == [60]


def test_trials_of_which_none_can_be_used_leave_the_model_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    process, found = Process(tmp_path), trials(60)
    process.fitted(*learning(*found[:20]))
    monkeypatch.setattr(CandidateModel, "fitted", lambda *_: None)
    process.clock.advance(REFIT_S)
    assert process.fitted(*learning(*found[20:])) == [20]
    assert process.figures(trial(1000, 4.0, probed=True)).figures


def test_a_fit_that_fails_leaves_the_model_before(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    process, found = Process(tmp_path), trials(60)
    process.fitted(*learning(*found[:20]))

    def out_of_memory(*_: object) -> None:
        raise MemoryError

    monkeypatch.setattr(CandidateModel, "fitted", out_of_memory)
    process.clock.advance(REFIT_S)
    (state,) = process.answer(*learning(*found[20:]))
    assert state == ModelState(20, 0.0, "MemoryError")
    assert process.figures(trial(1000, 4.0, probed=True)).figures
    monkeypatch.setattr(CandidateModel, "predicted", out_of_memory)
    assert process.figures(trial(1000, 4.0, probed=True)).figures == ()


def test_several_streams_are_predicted_as_each_alone(tmp_path: Path) -> None:
    process = Process(tmp_path)
    process.fitted(*learning(*trials(30)))
    known = [trial(1000 + bits, float(bits), probed=True) for bits in range(1, 6)]
    together = process.answer(*[PredictionRequest(each, 7, CHAINS) for each in known])
    assert together == [process.figures(each) for each in known]


def test_scikit_learn_is_not_loaded_without_trials(tmp_path: Path) -> None:
    code = """
import sys
from pathlib import Path
from gateway.optimizer.prediction.messages import PredictionRequest
from gateway.optimizer.prediction.program import Predicting
list(Predicting(Path(sys.argv[1])).answers([PredictionRequest()]))
print("sklearn" in sys.modules)
"""
    command = [sys.executable, "-c", code, str(tmp_path)]
    assert subprocess.run(command, capture_output=True, text=True, check=True).stdout == "False\n"
