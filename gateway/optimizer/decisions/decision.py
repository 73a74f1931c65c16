"""Decision: the chains by which a stream is sent to one kind of receivers, and the reason for them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal, NamedTuple, get_args

from gateway.protocol.encoding import Chain

DecisionSource = Literal["baseline", "model", "probe", "probe and model", "trial", "trial and model"]
"""Source of a decision: the choice of the baseline, as none saves more; a trial of all candidates; of a few cheap ones,
with or without predictions for the others; of those that there was time for, with predictions; predictions alone."""
SOURCES: Final[tuple[DecisionSource, ...]] = get_args(DecisionSource)
"""All sources."""
PREDICTED: Final = "predicted from other streams: "
"""Beginning of the reason for a decision on a chain that was not tried."""


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
    source: DecisionSource = "trial"
    """Source of the figures by which it was chosen."""
    predicted_ratio: float | None = None
    """Predicted size sent over size of the payload; ``None``: of an earlier version of the gateway."""

    @property
    def sent_by(self) -> str:
        """Chain of the payloads that it costs: of deltas, if there are any."""
        return str(self.delta or self.chain)

    @property
    def saved_share(self) -> float:
        """Predicted saving as a share of the cost of the baseline, 0 to 1; below 0: the decision costs more."""
        return 1 - self.predicted_s / self.baseline_s if self.baseline_s > 0 else 0.0
