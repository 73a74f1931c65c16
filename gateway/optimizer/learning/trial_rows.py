"""Rows: a trial and a chain as numbers, from which the outcome of the chain is predicted.

A row has the features of the payload, the ratios of probes as far as they are known, and the parts of the chain, so
that outcomes of one chain say something about others. The ratio is predicted as a factor to an estimate: the ratio of
the probe that is most like the chain, or else what the entropy of the bytes makes likely.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Final, NamedTuple

from gateway.optimizer.candidates import probes
from gateway.optimizer.decisions.advice import parsed_chain
from gateway.optimizer.history.record import PayloadFeatures, ShadowTrial
from gateway.protocol.encoding import Chain

UNKNOWN: Final = 1.0
"""Number for a logarithm of a ratio that is not known; known ones are 0 or less."""
MAX_PLANES: Final = 8
"""Bytes of an element that are looked at one by one: the last ones, which have sign and exponent."""
LEAST_RATIO: Final = 1e-4
"""Ratio below which no difference is made."""


class ChainKind(NamedTuple):
    """Chains that do much alike."""

    family: str
    """Codec, the fast ones together."""
    shuffle: bool
    """Whether bytes are shuffled."""
    delta: bool
    """Whether a delta is encoded."""


Ratios = dict[ChainKind, float]
"""Logarithms of the ratios of probes."""

FAST: Final = "fast"
KINDS: Final = (
    *[ChainKind(family, shuffle, False) for family in (FAST, "zstd") for shuffle in (False, True)],
    ChainKind("pco", False, False),
    *[ChainKind("zstd", shuffle, True) for shuffle in (False, True)],
)
"""Kinds of probes."""


def kind_of(chain: Chain) -> ChainKind:
    """Return the kind of a chain."""
    return ChainKind(FAST if chain.codec in ("lz4", "snappy") else chain.codec, chain.shuffle, bool(chain.delta))


def probed_ratios(trial: ShadowTrial) -> Ratios:
    """Return the ratios of the probes of a trial."""
    found = {chain: each.encoded_bytes for each in trial.tried if (chain := parsed_chain(each.chain)) is not None}
    return {kind_of(chain): log_ratio(found[chain] / max(1, trial.sample_bytes)) for chain in probes(found)}


def log_ratio(ratio: float) -> float:
    """Return the logarithm of a ratio, 0 at most."""
    return math.log(min(1.0, max(ratio, LEAST_RATIO)))


def estimate(chain: Chain, ratios: Ratios, features: PayloadFeatures) -> float:
    """Return about the logarithm of the ratio of a chain.

    Args:
        chain: the chain.
        ratios: those of probes, as far as they are known.
        features: of the payload.
    """
    kind = kind_of(chain)
    if kind in ratios:
        return ratios[kind]
    alike = [ratio for probe, ratio in ratios.items() if probe.delta == kind.delta and probe.family != "none"]
    if alike:
        return min(alike)
    planes = _finite(features.plane_entropy_bits)
    changed = 1 - _share(features.unchanged_share, 0.0) if kind.delta else 1.0
    return log_ratio(changed * sum(planes) / len(planes) / 8 if planes else 1.0)


def payload_row(trial: ShadowTrial, ratios: Ratios) -> list[float]:
    """Return the numbers of a payload: those that are the same for all chains."""
    features = trial.features
    planes = _finite(features.plane_entropy_bits)
    last = list(reversed(planes))[:MAX_PLANES]
    return [
        _share(features.zero_share),
        _share(features.unchanged_share),
        _share(features.repeated_share),
        sum(planes) / len(planes) if planes else -1.0,
        min(planes, default=-1.0),
        max(planes, default=-1.0),
        float(len(planes)),
        float(trial.dtype.startswith(("float", "bfloat"))),
        float(trial.dtype.startswith(("int", "uint"))),
        float(len(trial.shape)),
        math.log(max(1, math.prod(trial.shape))),
        *[*last, *[-1.0] * (MAX_PLANES - len(last))],
        *[ratios.get(kind, UNKNOWN) for kind in KINDS],
    ]


def chain_row(chain: Chain, estimated: float) -> list[float]:
    """Return the numbers of a chain."""
    codecs = [float(chain.codec == codec) for codec in ("lz4", "snappy", "zstd", "pco")]
    parts = float(chain.level or 0), float(chain.shuffle), float(bool(chain.delta)), float(chain.delta[:4] == "diff")
    return [*codecs, *parts, estimated]


def _share(value: float | None, unknown: float = -1.0) -> float:
    return value if value is not None and math.isfinite(value) else unknown


def _finite(values: Iterable[float]) -> list[float]:
    return [value for value in values if math.isfinite(value)]
