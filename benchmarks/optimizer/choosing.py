"""Choosing: the cost of policies on measured payloads, over links of some rates."""

from __future__ import annotations

import enum
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Final

from benchmarks.optimizer.measuring import Measured
from gateway.connections.link_tier import TIERS, tier_of
from gateway.optimizer.history.record import ShadowTrial, TrafficRecord
from gateway.optimizer.learning.candidate_model import CandidateModel
from gateway.optimizer.learning.replay import (
    BASELINE,
    LEARNED,
    Chooser,
    LearnedChoice,
    Moment,
    Replayed,
    fixed_chain,
    replay,
)

LOAD: Final = 0.5
"""Part of the time for which a link would be busy with plain payloads. Each has the same work to do, so that slow links
do not decide alone."""
BETWEEN_TRIALS_S: Final = 10.0
"""Time from one trial of a stream to the next, as in the gateway."""
TIER_RATES: Final = tuple([tier.goodput_bytes_per_s for tier in TIERS])
"""Rates of links, one of each tier."""
OTHER_RATES: Final = (0.625e6, 7.5e6, 56e6, 400e6)
"""Rates of other links, far from those: 5, 60, 450 and 3,200 Mbit/s."""
FIXED: Final = (
    "none",
    "lz4",
    "shuffle+lz4",
    "zstd:1",
    "shuffle+zstd:1",
    "zstd:3",
    "shuffle+zstd:3",
    "pco:4",
    "pco:8",
    "zstd:9",
    "shuffle+zstd:9",
)
"""Chains that a gateway could be set to for all streams."""


class Knowledge(enum.Enum):
    """Knowledge of a stream before its messages are sent."""

    TRIED = "tried"
    """Outcomes of all candidates on a sample."""
    PROBED = "only probed"
    """Outcomes of probes on a short sample."""
    UNTRIED = "not tried"
    """Features alone."""

    def of(self, measured: Measured) -> ShadowTrial:
        """Return what is known of a payload, and so of the next one."""
        if self is Knowledge.UNTRIED:
            return replace(measured.sampled, tried=(), cpu_s=0.0)
        return measured.probed if self is Knowledge.PROBED else measured.sampled


def moments(
    measured: Iterable[Measured], names: frozenset[str], rates: Sequence[float], knowledge: Knowledge, load: float
) -> Iterator[Moment]:
    """Yield all payloads on their way over all links.

    Args:
        measured: the payloads.
        names: codecs and filters that receivers know.
        rates: rates of links, in bytes per second.
        knowledge: knowledge of the streams.
        load: part of the time for which a link would be busy with plain payloads.
    """
    for each in measured:
        known = knowledge.of(each)
        truth = replace(each.truth, cpu_s=known.cpu_s)
        size = truth.sample_bytes
        for rate in rates:
            interval_s = size / rate / load
            record = TrafficRecord(
                time_ns=truth.time_ns,
                stream=truth.stream,
                format="frys.v1",
                codecs=tuple(sorted(names)),
                chain="none",
                tier=tier_of(rate).name,
                # Links of one tier are told apart by it here: each has its own decision.
                sdk=f"{rate:g}",
                dtype=truth.dtype,
                shape=truth.shape,
                tensors=1,
                payload_bytes=size,
                messages=max(1, round(BETWEEN_TRIALS_S / interval_s)),
                arrival_interval_s=interval_s,
                receivers=1,
                goodput_bytes_per_s=rate,
                features=truth.features,
            )
            yield Moment(record, truth, known, len(rates))


def compared(
    measured: Sequence[Measured],
    names: frozenset[str],
    rates: Sequence[float] = TIER_RATES,
    knowledge: Knowledge = Knowledge.TRIED,
    model_for: Callable[[Measured], CandidateModel | None] = lambda measured: None,
    load: float = LOAD,
) -> Replayed:
    """Return the cost of the baseline, each fixed chain, decisions, and the oracle.

    Args:
        measured: the payloads.
        names: codecs and filters that receivers know.
        rates: rates of links, in bytes per second.
        knowledge: knowledge of the streams.
        model_for: returns the model that tells what is not known of a payload.
        load: part of the time for which a link would be busy with plain payloads.
    """
    by_payload = {(each.truth.stream, each.truth.time_ns): each for each in measured}

    def of(before: Moment) -> Measured:
        return by_payload[before.truth.stream, before.truth.time_ns]

    choices: dict[str, LearnedChoice] = {}

    def learned(before: Moment) -> str:
        stream = before.truth.stream
        if stream not in choices:
            choices[stream] = LearnedChoice(model_for(of(before)))
        return choices[stream](before)

    choosers: Mapping[str, Chooser] = {
        BASELINE: lambda before: of(before).sampled_rule[names],
        LEARNED: learned,
        **{chain: fixed_chain(chain) for chain in FIXED if "pco" in names or "pco" not in chain},
    }
    return replay(moments(measured, names, rates, knowledge, load), choosers)


def models_without_own_data(measured: Sequence[Measured], seed: int) -> Callable[[Measured], CandidateModel | None]:
    """Return the function that gives each payload the model that has seen nothing of its data set."""
    models = {
        name: CandidateModel.fitted([other.sampled for other in measured if other.data_set != name], seed)
        for name in {each.data_set for each in measured}
    }
    return lambda each: models[each.data_set]
