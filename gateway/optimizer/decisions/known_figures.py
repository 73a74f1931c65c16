"""Known figures of one stream: what its shadow trials have measured, as a mean that noise moves little. Pure values."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

from gateway.optimizer.decisions.advice import figures_of
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

    def take(self, trial: ShadowTrial) -> None:
        """Take the outcomes of a trial."""
        newest = {each.chain: each for each in figures_of(trial)}
        if trial.drifted or not all(_is_alike(self.measured.get(chain), each) for chain, each in newest.items()):
            self.measured = newest
        else:
            self.measured = {chain: _mean(self.measured.get(chain), each) for chain, each in newest.items()}

    def all(self) -> tuple[EncodingFigures, ...]:
        """Return the figures of all chains."""
        return tuple(self.measured.values())


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
