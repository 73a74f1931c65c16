"""Candidate model: predicts what chains would make of the payloads of a stream that was not tried, or only probed.

Extremely randomized trees, fitted to shadow trials of other streams. No model is saved: it is fitted anew at each
start, which takes 0.2 s. Chosen by measurement (30 streams of 20 kinds, each kind kept out of training in turn;
November 2026): with probes the mean regret is 9 %, and no less by gradient boosting, which takes four to ten times as
long to fit; by ridge regression and nearest neighbours it is more. Without probes it is some 30 %, by whatever model.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any, Final, NamedTuple

import numpy as np
import numpy.typing as npt
from sklearn.ensemble import ExtraTreesRegressor

from gateway.optimizer.decisions.advice import parsed_chain
from gateway.optimizer.delivery_cost import EncodingFigures
from gateway.optimizer.history.record import ShadowTrial
from gateway.optimizer.learning.trial_rows import chain_row, estimate, log_ratio, payload_row, probed_ratios
from gateway.protocol.encoding import PLAIN, Chain

MIN_TRIALS: Final = 8
"""Trials without which there is no model."""
MAX_ROWS: Final = 5000
"""Rows to which a model is fitted, those of the newest trials: some 200 trials, each with and without its probes."""
MAX_STREAM_TRIALS: Final = 6
"""Trials of one stream that are used, the newest: more say the same."""
TREES: Final = 24
LEAF_ROWS: Final = 3
"""Rows of a leaf, at least."""
ROW_SHARE: Final = 0.5
"""Share of the numbers of a row that are looked at for each split."""
LEAST_S_PER_BYTE: Final = 1e-11
MOST_S_PER_BYTE: Final = 1e-3
"""Bounds on times: 100 GB/s, and 1 KB/s."""


class CandidateModel:
    """Model that is fitted; deterministic for its trials and seed.

    Attributes:
        trials: number of trials to which it is fitted.
    """

    def __init__(self, trees: Any, trials: int) -> None:
        self._trees = trees
        self.trials = trials

    @classmethod
    def fitted(cls, trials: Iterable[ShadowTrial], seed: int = 0) -> CandidateModel | None:
        """Return the model of some trials; ``None``: there are too few, and only streams that were tried have figures.

        Args:
            trials: the trials, in any order; parts that make no sense are left out.
            seed: seed of the trees.
        """
        rows: list[list[float]] = []
        targets: list[list[float]] = []
        used = 0
        for trial in _newest(trials):
            examples = list(_examples(trial))
            if not examples:
                continue
            if len(rows) + len(examples) > MAX_ROWS:
                break
            used += 1
            rows += [example.row for example in examples]
            targets += [example.target for example in examples]
        if used < MIN_TRIALS:
            return None
        trees = ExtraTreesRegressor(TREES, min_samples_leaf=LEAF_ROWS, max_features=ROW_SHARE, random_state=seed)
        return cls(trees.fit(np.array(rows), np.array(targets)), used)

    def figures(self, trial: ShadowTrial, chains: Iterable[Chain]) -> tuple[EncodingFigures, ...]:
        """Return predicted figures of chains for the payloads of a stream; those of plain payloads are known.

        Args:
            trial: features of the stream, with outcomes of probes or without any.
            chains: the chains.
        """
        return self.predicted([(trial, list(chains))])[0]

    def predicted(self, asked: Iterable[tuple[ShadowTrial, Sequence[Chain]]]) -> list[tuple[EncodingFigures, ...]]:
        """Return the same for several streams, in one batch: it takes little longer than for one.

        Args:
            asked: trial and chains of each stream.
        """
        streams = list(asked)
        rows, estimates = list[list[float]](), list[float]()
        for trial, chains in streams:
            ratios = probed_ratios(trial)
            payload = payload_row(trial, ratios)
            for chain in chains:
                if chain != PLAIN:
                    estimates.append(estimate(chain, ratios, trial.features))
                    rows.append(payload + chain_row(chain, estimates[-1]))
        made = iter(self._predictions(rows, estimates))
        plain = EncodingFigures(str(PLAIN), 1.0, 0.0, 0.0)
        return [
            tuple([plain if chain == PLAIN else EncodingFigures(str(chain), *next(made)) for chain in chains])
            for _, chains in streams
        ]

    def _predictions(self, rows: list[list[float]], estimates: list[float]) -> list[list[float]]:
        """Return ratio, and times of encoding and decoding a byte, for each row."""
        if not rows:
            return []
        predicted: npt.NDArray[np.float64] = self._trees.predict(np.array(rows))
        predicted[:, 0] = np.minimum(0.0, predicted[:, 0] + estimates)
        return list(np.exp(predicted).tolist())


class _Example(NamedTuple):
    """Row with the outcome that is to be predicted by it."""

    row: list[float]
    target: list[float]


def _examples(trial: ShadowTrial) -> Iterable[_Example]:
    """Yield each outcome of a trial twice: as one that is predicted with probes, and without."""
    if trial.sample_bytes <= 0:
        return
    known = probed_ratios(trial)
    for ratios in (known, {}):
        payload = payload_row(trial, ratios)
        for each in trial.tried:
            chain = parsed_chain(each.chain)
            if chain is None or chain == PLAIN:
                continue
            estimated = estimate(chain, ratios, trial.features)
            ratio = log_ratio(each.encoded_bytes / trial.sample_bytes)
            times = [_log_time(seconds / trial.sample_bytes) for seconds in (each.encode_s, each.decode_s)]
            if all(map(math.isfinite, times)):
                yield _Example(payload + chain_row(chain, estimated), [ratio - estimated, *times])


def _log_time(s_per_byte: float) -> float:
    """Return the logarithm of a time within bounds; no number for one that is none."""
    return math.log(min(max(s_per_byte, LEAST_S_PER_BYTE), MOST_S_PER_BYTE)) if s_per_byte >= 0 else math.nan


def _newest(trials: Iterable[ShadowTrial]) -> Sequence[ShadowTrial]:
    """Return trials, the newest first, and few of each stream."""
    counts: Counter[tuple[str, str]] = Counter()
    kept = []
    for trial in sorted(trials, key=lambda each: (each.time_ns, each.stream, each.view), reverse=True):
        place = trial.stream, trial.view
        if counts[place] < MAX_STREAM_TRIALS:
            counts[place] += 1
            kept.append(trial)
    return kept
