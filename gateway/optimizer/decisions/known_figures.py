"""Known figures of one stream: those that its shadow trials have measured, and predictions for the rest. Pure values.

Measured figures are means, which noise moves little. If a stream was only probed, or its trial had no time for all
candidates, predictions stand in for those that are missing.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import Final

from gateway.optimizer.decisions.advice import figures_of
from gateway.optimizer.decisions.decision import PREDICTED, Decision, DecisionSource
from gateway.optimizer.delivery_cost import EncodingFigures
from gateway.optimizer.history.record import ShadowTrial

WEIGHT: Final = 1 / 4
"""Share of the newest trial in the mean: noise of a trial moves it by a third of that, in the long run."""
ALIKE: Final = 1.25
"""Factor up to which ratios of two trials differ by noise. Past it contents are others, and the mean begins anew."""


@dataclass(slots=True)
class KnownFigures:
    """Figures of the chains of one stream. A chain that the last trial does not have is not known any more."""

    measured: dict[str, EncodingFigures] = field(default_factory=dict)
    """Means of what was tried, by chain."""
    predicted: dict[str, EncodingFigures] = field(default_factory=dict)
    """Predictions for further chains."""
    probed: bool = False
    """Whether the stream was only probed so far."""

    @property
    def source(self) -> DecisionSource:
        """Source of a decision by these figures."""
        if not self.measured:
            return "model"
        if self.predicted:
            return "probe and model" if self.probed else "trial and model"
        return "probe" if self.probed else "trial"

    def take(self, trial: ShadowTrial, *, probed: bool = False) -> None:
        """Take the outcomes of a trial.

        Args:
            trial: the trial.
            probed: whether it is one of probes alone.
        """
        newest = {each.chain: each for each in figures_of(trial)}
        like = all(_is_alike(self.measured.get(chain), each) for chain, each in newest.items())
        if trial.drifted or probed or self.probed or not like:
            self.measured = newest
        else:
            self.measured = {chain: _mean(self.measured.get(chain), each) for chain, each in newest.items()}
        self.predicted, self.probed = {}, probed

    def complete(self, figures: Iterable[EncodingFigures]) -> None:
        """Take predictions for chains that were not tried; those of others come too late."""
        self.predicted = {each.chain: each for each in figures if each.chain not in self.measured}

    def all(self) -> tuple[EncodingFigures, ...]:
        """Return the figures of all chains."""
        return (*self.measured.values(), *self.predicted.values())

    def told(self, decision: Decision) -> Decision:
        """Return a decision by these figures with its source; one for a chain that was not tried says so."""
        if decision.saved_share <= 0:
            return replace(decision, source="baseline")
        is_predicted = decision.sent_by in self.predicted
        reason = PREDICTED + decision.reason if is_predicted else decision.reason
        return replace(decision, source=self.source, reason=reason)


def _is_alike(before: EncodingFigures | None, newest: EncodingFigures) -> bool:
    """Return whether two trials of a chain may be of the same contents."""
    return before is None or before.ratio <= ALIKE * newest.ratio <= ALIKE * ALIKE * before.ratio


def _mean(before: EncodingFigures | None, newest: EncodingFigures) -> EncodingFigures:
    """Return the mean of the trials of a chain."""
    if before is None:
        return newest
    return EncodingFigures(
        newest.chain,
        before.ratio + WEIGHT * (newest.ratio - before.ratio),
        before.encode_s_per_byte + WEIGHT * (newest.encode_s_per_byte - before.encode_s_per_byte),
        before.decode_s_per_byte + WEIGHT * (newest.decode_s_per_byte - before.decode_s_per_byte),
    )
