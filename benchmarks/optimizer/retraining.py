"""Program ``python -m benchmarks.optimizer.retraining``: fits models to made trials without end, as a worker might."""

from __future__ import annotations

import os

import numpy as np

from gateway.optimizer.background import NICENESS
from gateway.optimizer.candidates import candidates
from gateway.optimizer.history.record import PayloadFeatures, ShadowTrial, TriedChain
from gateway.optimizer.learning.candidate_model import CandidateModel
from gateway.protocol.codecs import CODEC_NAMES, SHUFFLE

TRIALS = 250


def made_trials() -> list[ShadowTrial]:
    """Return trials of streams of random features, as many as a model is fitted to."""
    rng = np.random.default_rng(1)
    chains = candidates(np.dtype(np.float32), {*CODEC_NAMES, SHUFFLE.name}, integers=False, based=False)
    return [
        ShadowTrial(
            time_ns=number,
            stream=f"optimizer/{number}",
            dtype="float32",
            shape=(32_768,),
            sample_bytes=131_072,
            tried=tuple([TriedChain(str(each), int(rng.integers(1, 131_072)), 1e-4, 1e-4) for each in chains]),
            features=PayloadFeatures(
                zero_share=float(rng.random()), plane_entropy_bits=tuple((8 * rng.random(4)).tolist())
            ),
        )
        for number in range(TRIALS)
    ]


if __name__ == "__main__":
    os.nice(NICENESS)
    trials = made_trials()
    print("fitting", flush=True)
    while True:
        CandidateModel.fitted(trials)
