"""Program of the process that predicts: fits a model to the trials on disk, and anew as further ones are made.

It does nothing until its first request comes, so that neither the start of a gateway nor one without traffic pays for
it. Then it reads the history, and loads scikit-learn once there are trials enough. No model is saved.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final

from gateway.optimizer.background import stand_back
from gateway.optimizer.decisions.advice import parsed_chain
from gateway.optimizer.history.reading import newest_trials
from gateway.optimizer.history.record import ShadowTrial
from gateway.optimizer.prediction.messages import ModelState, Prediction, PredictionRequest

if TYPE_CHECKING:
    from gateway.optimizer.learning.candidate_model import CandidateModel

MAX_TRIALS: Final = 2000
"""Trials that are kept to be learned from, the newest: some 4 MB. A model is fitted to some 200."""
LEAST_TRIALS: Final = 8
"""Trials without which no model is fitted, and none anew."""
GROWTH: Final = 0.25
"""Share by which trials have grown since the last fit when the model is fitted anew."""
REFIT_S: Final = 60.0
"""Least time from one fit to the next."""
FIT_SHARE: Final = 0.01
"""Share of a core that fits may take in the long run."""
MAX_DATA_BYTES: Final = 1024 * 1024 * 1024
"""Memory of the process beyond its programs, past which a fit fails."""
READ_BYTES: Final = 1024 * 1024
"""Bytes of requests that are read, and answered together, at once."""


class Predicting:
    """Model of one gateway, with the trials that it learns from.

    Args:
        directory: that of the traffic history.
        clock_s: a monotonic time.
        cpu_s: CPU time of the process.
    """

    def __init__(
        self,
        directory: Path,
        clock_s: Callable[[], float] = time.monotonic,
        cpu_s: Callable[[], float] = time.process_time,
    ) -> None:
        self._directory = directory
        self._clock_s = clock_s
        self._cpu_s = cpu_s
        self._trials: dict[tuple[str, str, int], ShadowTrial] | None = None
        """Trials by stream, view and time, the last that came at the end; ``None``: the history is not read yet."""
        self._unused = 0
        """Trials that have come since the last fit."""
        self._model: CandidateModel | None = None
        self._next_fit_s = 0.0

    def answers(self, requests: Iterable[PredictionRequest]) -> Iterator[Prediction | ModelState]:
        """Yield the answers to requests that have come together: they are predicted in one batch."""
        if self._trials is None:
            self._trials = {}
            for trial in newest_trials(self._directory, MAX_TRIALS):
                self._keep(trial)
        asked = list[tuple[int, ShadowTrial, Sequence[str]]]()
        for request in requests:
            if request.number is None and request.trial is not None:
                self._keep(request.trial)
            elif request.number is not None and request.trial is not None:
                asked.append((request.number, request.trial, request.chains))
        if self._is_due():
            yield self._fitted()
        yield from self._predicted(asked)

    def _keep(self, trial: ShadowTrial) -> None:
        """Keep a trial, unless it is known from the disk, in place of the oldest."""
        assert self._trials is not None
        key = trial.stream, trial.view, trial.time_ns
        if key not in self._trials:
            self._trials[key] = trial
            self._unused += 1
            if len(self._trials) > MAX_TRIALS:
                del self._trials[next(iter(self._trials))]

    def _is_due(self) -> bool:
        assert self._trials is not None
        fitted = 0 if self._model is None else len(self._trials) - self._unused
        return self._unused >= max(LEAST_TRIALS, GROWTH * fitted) and self._clock_s() >= self._next_fit_s

    def _fitted(self) -> ModelState:
        """Fit the model anew; where that fails, the one before stays."""
        assert self._trials is not None
        begin_s, error = self._cpu_s(), ""
        try:
            # Two seconds of CPU, and 80 MB: not before they are needed.
            from gateway.optimizer.learning.candidate_model import CandidateModel  # noqa: PLC0415

            self._model = CandidateModel.fitted(self._trials.values()) or self._model
        except Exception as failure:  # noqa: BLE001 - without a model the gateway goes on by its trials
            error = str(failure) or type(failure).__name__
        self._unused = 0
        self._next_fit_s = self._clock_s() + max(REFIT_S, (self._cpu_s() - begin_s) / FIT_SHARE)
        return ModelState(0 if self._model is None else self._model.trials, self._cpu_s(), error)

    def _predicted(self, asked: Sequence[tuple[int, ShadowTrial, Sequence[str]]]) -> Iterator[Prediction]:
        """Yield the prediction for each stream; one without figures if there is no model, or it fails."""
        found: Sequence[Prediction] = [Prediction(number, ()) for number, _, _ in asked]
        if self._model is not None and asked:
            parsed = [
                (trial, [chain for name in chains if (chain := parsed_chain(name)) is not None])
                for _, trial, chains in asked
            ]
            try:
                batches = self._model.predicted(parsed)
                found = [Prediction(number, figures) for (number, _, _), figures in zip(asked, batches, strict=True)]
            except MemoryError:
                pass  # a later one may find room
        yield from found


def main() -> None:
    """Answer requests until the standard input ends; the last argument is the directory of the history."""
    stand_back(MAX_DATA_BYTES)
    predicting, rest = Predicting(Path(sys.argv[-1])), b""
    while read := os.read(sys.stdin.fileno(), READ_BYTES):
        *lines, rest = (rest + read).split(b"\n")
        for answer in predicting.answers([PredictionRequest.parse(line) for line in lines]):
            sys.stdout.buffer.write(answer.line())
        sys.stdout.buffer.flush()
