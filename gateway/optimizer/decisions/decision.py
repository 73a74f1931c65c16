"""Decision: the chains by which a stream is sent to one kind of receivers, and the reason for them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from gateway.protocol.encoding import Chain


class DecisionKey(NamedTuple):
    """Stream and receivers for which a decision holds."""

    stream: str
    """Name of the stream; of a view, of the stream that it shows."""
    codecs: frozenset[str]
    """Codecs and filters that all these receivers know."""
    tier: str
    """Name of their link tier."""
    sdk: str
    """SDK of the receivers; empty: not known, or any."""
    view: str = ""
    """The view, as text; empty: the stream itself."""


@dataclass(frozen=True, slots=True)
class Decision:
    """Choice of chains by their predicted cost."""

    chain: Chain
    """Chain of complete payloads."""
    delta: Chain | None
    """Chain of deltas to the version before; ``None``: a delta costs as much as a complete payload, or more."""
    predicted_s: float
    """Predicted delivery cost of a payload by the cheaper of both, 0 or more: see
    :mod:`gateway.optimizer.delivery_cost`."""
    baseline_s: float
    """The same by the chain that the baseline would choose."""
    reason: str
    """Reason for the choice, for people."""

    @property
    def saved_share(self) -> float:
        """Predicted saving as a share of the cost of the baseline, 0 to 1; below 0: the decision costs more."""
        return 1 - self.predicted_s / self.baseline_s if self.baseline_s > 0 else 0.0
