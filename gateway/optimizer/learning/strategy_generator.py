"""Strategy generator: the decision for each delivery class, by trials of its stream and by a model for what they lack.

One of the four roles of the optimizer. It takes patterns from the communication pattern learner; the efficiency
evaluator tells what its decisions would have brought, and the adaptive adjuster changes them as traffic changes.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from copy import copy

from gateway.optimizer.candidates import candidates
from gateway.optimizer.decisions.advice import figures_of, may_decode
from gateway.optimizer.decisions.deciding import Chains, decide
from gateway.optimizer.decisions.decision import Decision
from gateway.optimizer.decisions.decision_table import DecisionTable
from gateway.optimizer.decisions.known_figures import KnownFigures
from gateway.optimizer.delivery_cost import Delivery, EncodingFigures, decode_factor
from gateway.optimizer.history.record import ShadowTrial
from gateway.optimizer.learning.candidate_model import CandidateModel
from gateway.optimizer.learning.communication_pattern_learner import CommunicationPattern
from gateway.optimizer.learning.sampled_rule import element_of, is_integer, usual_chains
from gateway.protocol.encoding import Chain


class StrategyGenerator:
    """Generator of decisions; deterministic for its trials and seed.

    Args:
        trials: shadow trials of a history, to which its model is fitted.
        seed: of the model, 0 or more.

    Attributes:
        model: the model; ``None``: there are too few trials, and decisions are taken by those of the own stream alone.
    """

    def __init__(self, trials: Iterable[ShadowTrial], seed: int = 0) -> None:
        kept = list(trials)
        self.model = CandidateModel.fitted(kept, seed)
        self._newest = _newest({}, kept)

    def with_trials(self, trials: Iterable[ShadowTrial]) -> StrategyGenerator:
        """Return a generator that decides streams by further trials, with the same model."""
        other = copy(self)
        other._newest = _newest(self._newest, trials)
        return other

    def trial_of(self, pattern: CommunicationPattern) -> ShadowTrial | None:
        """Return the newest trial of the stream of a pattern, or without one its features alone; ``None``: no figures
        can be had of either.
        """
        own = self._newest.get((pattern.key.stream, pattern.key.view))
        return own or (pattern.untried if self.model is not None and pattern.dtype else None)

    def strategy(self, patterns: Iterable[CommunicationPattern]) -> DecisionTable:
        """Return the decisions for some delivery classes; classes without figures have none, and stay as they are."""
        table = DecisionTable()
        for pattern in patterns:
            decision = self.decision(pattern)
            if decision is not None:
                table.put(pattern.key, decision)
        return table

    def decision(self, pattern: CommunicationPattern, held: Chains | None = None) -> Decision | None:
        """Return the decision for one delivery class; ``None``: nothing is known to decide by.

        Args:
            pattern: the class.
            held: decision that is in force, which stays unless another one saves enough.
        """
        trial = self.trial_of(pattern)
        return None if trial is None else decision_by(trial, pattern, self.model, held)


def _newest(
    known: Mapping[tuple[str, str], ShadowTrial], trials: Iterable[ShadowTrial]
) -> dict[tuple[str, str], ShadowTrial]:
    """Return the newest trial of each stream."""
    found = dict(known)
    for trial in trials:
        place = trial.stream, trial.view
        if place not in found or trial.time_ns >= found[place].time_ns:
            found[place] = trial
    return found


def decision_by(
    trial: ShadowTrial, pattern: CommunicationPattern, model: CandidateModel | None, held: Chains | None = None
) -> Decision | None:
    """Return the decision for a delivery class by one trial of its stream.

    Args:
        trial: of the stream; the model is asked for candidates that it lacks.
        pattern: the class.
        model: ``None``: there is none, and only chains that were tried can be chosen.
        held: decision that is in force.
    """
    known = KnownFigures()
    known.take(trial)
    figures = known_figures(trial, pattern.key.codecs, model)
    known.complete(figures)
    baseline = usual_chains(figures, trial, pattern.key.codecs)
    decision = decide(figures, delivery_by(pattern, figures), pattern.tier, baseline, held)
    return None if decision is None else known.told(decision)


def known_figures(
    trial: ShadowTrial, codecs: Collection[str], model: CandidateModel | None
) -> tuple[EncodingFigures, ...]:
    """Return the figures of all candidates for some receivers: as tried, else as predicted.

    Args:
        trial: of the stream.
        codecs: codecs and filters that the receivers know.
        model: ``None``: nothing is predicted.
    """
    tried = [each for each in figures_of(trial) if may_decode(codecs, each.chain)]
    if model is None:
        return tuple(tried)
    names = {each.chain for each in tried}
    missing = [chain for chain in candidates_of(trial, codecs) if str(chain) not in names]
    return (*tried, *model.figures(trial, missing))


def candidates_of(trial: ShadowTrial, codecs: Collection[str]) -> tuple[Chain, ...]:
    """Return the candidates for the payloads of a trial, and receivers that know some codecs."""
    return candidates(element_of(trial), codecs, integers=is_integer(trial), based=trial.based)


def delivery_by(pattern: CommunicationPattern, figures: Iterable[EncodingFigures]) -> Delivery:
    """Return a payload of a delivery class on its way to a receiver."""
    used = next((each for each in figures if each.chain == pattern.chain), None)
    factor = decode_factor(pattern.decode_s_per_byte, None if used is None else used.decode_s_per_byte)
    return Delivery(
        payload_bytes=pattern.payload_bytes,
        goodput_bytes_per_s=pattern.goodput_bytes_per_s,
        interval_s=pattern.interval_s,
        burstiness=pattern.burstiness,
        decode_factor=factor,
        receivers=pattern.receivers,
    )
