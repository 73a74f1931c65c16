"""Replay: what delivery policies would have cost on a recorded history, without look-ahead.

Shadow trials tell the outcome of every candidate, so a replay is exact for the choice of chains. A policy chooses by
the trial and the record *before*; its choice is charged with the outcomes of the next trial, for all messages between
both. The oracle chooses by the outcomes that it is charged with. It pays for the trials as the learned policy does;
the baseline's own samples are not charged. Messages that the gateway sends by the baseline, to check decisions, are
charged as the others.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Final, NamedTuple

from gateway.optimizer.decisions.advice import figures_of, may_decode
from gateway.optimizer.decisions.deciding import Chains
from gateway.optimizer.decisions.decision import DecisionKey
from gateway.optimizer.delivery_cost import CPU_PRICE, best_of, delivery_cost
from gateway.optimizer.history.record import ShadowTrial, TrafficRecord
from gateway.optimizer.learning.candidate_model import CandidateModel
from gateway.optimizer.learning.communication_pattern_learner import is_decided, key_of_record, pattern_of
from gateway.optimizer.learning.sampled_rule import usual_chains
from gateway.optimizer.learning.strategy_generator import decision_by, delivery_by
from gateway.protocol.encoding import PLAIN

ORACLE: Final = "oracle"
LEARNED: Final = "learned"
BASELINE: Final = "baseline"
"""Policies that are told apart from fixed chains, by name."""
SHUFFLED: Final = "shuffle+"
"""Beginning of the name of a chain that shuffles."""


class Moment(NamedTuple):
    """Messages of a delivery class from one trial of its stream to the next."""

    record: TrafficRecord
    """Last record of these messages, with the number of all of them."""
    truth: ShadowTrial
    """Outcomes of all candidates on them."""
    sampled: ShadowTrial
    """The same as a policy knows them afterwards, from a sample."""
    classes: int = 1
    """Delivery classes that share the cost of the trial."""


Chooser = Callable[[Moment], str]
"""Function that chooses the chain for messages by the moment before."""


@dataclass(slots=True)
class PolicyTally:
    """Cost of the messages of a replay by one policy."""

    cost_s: float = 0.0
    """Delivery cost of all messages to all receivers, and of trials."""
    oracle_s: float = 0.0
    """The same of the oracle."""
    excess: float = 0.0
    """Sum over all moments of the cost over that of the oracle, less 1."""
    moments: int = 0
    """Number of moments."""

    @property
    def regret(self) -> float:
        """Cost beyond that of the oracle, as a share of that."""
        return self.cost_s / self.oracle_s - 1 if self.oracle_s else 0.0

    @property
    def mean_regret(self) -> float:
        """Mean of the same over all moments, of which each counts alike."""
        return self.excess / self.moments if self.moments else 0.0


@dataclass(slots=True)
class Replayed:
    """Result of a replay."""

    policies: dict[str, PolicyTally] = field(default_factory=dict)
    """Each policy, by name."""
    tiers: dict[tuple[str, str], PolicyTally] = field(default_factory=dict)
    """Each policy on each link tier, by both names."""
    trials_s: float = 0.0
    """Part of the cost of decisions, and of the oracle, that is the CPU time of trials."""
    messages: int = 0
    """Messages of all moments that were charged."""
    unknown_messages: int = 0
    """Messages before the first trial of their stream with receivers of their kind, which are left out: no policy but
    the oracle knows anything."""

    @property
    def best_fixed(self) -> str:
        """Fixed chain of the least cost; empty: none was replayed."""
        fixed = [name for name in self.policies if name not in (ORACLE, LEARNED, BASELINE)]
        return min(fixed, key=lambda name: self.policies[name].cost_s, default="")

    def saving(self, policy: str, other: str) -> float:
        """Return the cost that a policy saves against another one, as a share of the cost of that."""
        other_s = self.policies[other].cost_s
        return 1 - self.policies[policy].cost_s / other_s if other_s else 0.0


def moments_in(history: Iterable[TrafficRecord | ShadowTrial]) -> Iterator[Moment]:
    """Yield the moments of a history, in the order of their trials. Records without messages are no outcomes."""
    waiting: dict[tuple[str, str], dict[DecisionKey, TrafficRecord]] = {}
    for event in history:
        place = event.stream, event.view
        if isinstance(event, ShadowTrial):
            records = waiting.pop(place, {})
            for record in records.values():
                yield Moment(record, event, event, len(records))
        elif event.messages and is_decided(event):
            classes = waiting.setdefault(place, {})
            known = classes.get(key := key_of_record(event))
            before = known.messages if known is not None else 0
            classes[key] = replace(event, messages=before + event.messages)


def replay(moments: Iterable[Moment], choosers: Mapping[str, Chooser]) -> Replayed:
    """Return what policies, and the oracle, would have cost.

    Args:
        moments: in their order.
        choosers: the policies by name; only :data:`LEARNED` pays for trials.
    """
    result, last = Replayed(), dict[DecisionKey, Moment]()
    for moment in moments:
        key = key_of_record(moment.record)
        before, last[key] = last.get(key), moment
        if before is None:
            result.unknown_messages += moment.record.messages
            continue
        chains = {name: choose(before) for name, choose in choosers.items()}
        if _charge(result, moment, chains):
            result.messages += moment.record.messages
    return result


def _charge(result: Replayed, moment: Moment, chains: Mapping[str, str]) -> bool:
    """Charge all policies with a moment; return whether there are outcomes to do so by."""
    record, pattern = moment.record, pattern_of(moment.record)
    figures = {each.chain: each for each in figures_of(moment.truth) if may_decode(record.codecs, each.chain)}
    delivery = delivery_by(pattern, figures.values())
    best = best_of(figures.values(), delivery)
    if best is None or str(PLAIN) not in figures:
        return False
    weight = record.messages * max(1, record.receivers)
    sampling_s = CPU_PRICE * moment.truth.cpu_s / moment.classes
    oracle_s = weight * best[1].total_s + sampling_s
    result.trials_s += sampling_s
    for name, chain in {**chains, ORACLE: best[0].chain}.items():
        # Single bytes are not shuffled. A chain that was not tried, such as a delta without a base, leaves them plain.
        used = figures.get(chain) or figures.get(chain.removeprefix(SHUFFLED)) or figures[str(PLAIN)]
        cost_s = weight * delivery_cost(used, delivery).total_s + (sampling_s if name in (ORACLE, LEARNED) else 0.0)
        for tally in (
            result.policies.setdefault(name, PolicyTally()),
            result.tiers.setdefault((name, pattern.tier.name), PolicyTally()),
        ):
            tally.cost_s += cost_s
            tally.oracle_s += oracle_s
            tally.excess += cost_s / oracle_s - 1 if oracle_s else 0.0
            tally.moments += 1
    return True


def fixed_chain(chain: str) -> Chooser:
    """Return a policy that sends everything by one chain, which payloads that it does not make smaller leave plain."""
    return lambda before: chain


def baseline(before: Moment) -> str:
    """Return the chain that the sampled policy chooses for the messages behind a moment."""
    codecs = before.record.codecs
    figures = [each for each in figures_of(before.sampled) if may_decode(codecs, each.chain)]
    usual = usual_chains(figures, before.sampled, codecs)
    return str(usual.delta or usual.chain)


class LearnedChoice:
    """Policy that decides as the gateway does, by the last trial of the stream; a model completes trials of probes.

    Args:
        model: ``None``: only chains that were tried are chosen.
    """

    def __init__(self, model: CandidateModel | None = None) -> None:
        self._model = model
        self._held: dict[DecisionKey, Chains] = {}

    def __call__(self, before: Moment) -> str:
        """Return the chain for the messages behind a moment."""
        pattern = pattern_of(before.record)
        decision = decision_by(before.sampled, pattern, self._model, self._held.get(pattern.key))
        if decision is None:
            return str(PLAIN)
        self._held[pattern.key] = Chains(decision.chain, decision.delta)
        return str(decision.delta or decision.chain)
