"""Trials for tests: made by a rule of which a model can learn, without encoding anything."""

from __future__ import annotations

from typing import Final

import numpy as np

from gateway.optimizer.candidates import candidates, probes
from gateway.optimizer.history.record import PayloadFeatures, ShadowTrial, TriedChain
from gateway.protocol.codecs import CODEC_NAMES, FILTER_NAMES
from gateway.protocol.encoding import Chain

CODECS: Final = frozenset((*CODEC_NAMES, *FILTER_NAMES))
FLOATS: Final = np.dtype(np.float32)
SPEED_S_PER_BYTE: Final = {"none": 0.0, "lz4": 1e-9, "zstd": 4e-9, "pco": 8e-9}


def ratio_by_rule(chain: Chain, entropy_bits: float) -> float:
    """Ratio of a chain on payloads whose bytes have some entropy."""
    part = {"none": 1.0, "lz4": 1.4, "zstd": 1.0, "pco": 0.6}[chain.codec]
    level = {None: 1.0, 1: 1.0, 8: 0.8}.get(chain.level, 0.95)
    return 1.0 if chain.codec == "none" else min(1.0, part * level * entropy_bits / 8 * (0.9 if chain.shuffle else 1))


def trial(number: int, entropy_bits: float, *, probed: bool = False, **fields: object) -> ShadowTrial:
    """A trial of the stream with this number, of which the bytes have some entropy."""
    chains = candidates(FLOATS, CODECS, integers=False, based=False)
    size = 32_768 if probed else 131_072
    tried = [
        TriedChain(
            str(chain),
            int(size * ratio_by_rule(chain, entropy_bits)),
            size * SPEED_S_PER_BYTE[chain.codec] * (3 if (chain.level or 0) > 3 else 1),
            size * SPEED_S_PER_BYTE[chain.codec] / 4,
        )
        for chain in (probes(chains) if probed else chains)
    ]
    values: dict[str, object] = {
        "time_ns": 1_700_000_000_000_000_000 + number,
        "stream": f"wf/{number}",
        "dtype": "float32",
        "shape": (65_536,),
        "sample_bytes": size,
        "tried": tuple(tried),
        "cpu_s": 1e-3,
        "features": PayloadFeatures(zero_share=0.0, plane_entropy_bits=(entropy_bits,) * 4),
    }
    return ShadowTrial(**(values | fields))  # type: ignore[arg-type]


def trials(count: int, seed: int = 0) -> list[ShadowTrial]:
    """Trials of so many streams, of all kinds of entropy."""
    draw = np.random.default_rng(seed)
    return [trial(number, float(draw.uniform(0.5, 7.9))) for number in range(count)]
