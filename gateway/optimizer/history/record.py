"""Records of a traffic history, as values: one decision of the delivery policy with its outcome, or one shadow trial.

A figure that is not known is ``None``. No record holds a payload, or a part of one.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True, kw_only=True)
class PayloadFeatures:
    """Features of a payload, from a small sample of its elements."""

    zero_share: float | None = None
    """Share of elements of which all bytes are zero."""
    unchanged_share: float | None = None
    """Share of elements that are as in the previous version of a state; the difference is zero there."""
    repeated_share: float | None = None
    """Share of pieces of 256 bytes that are as in the previous version of a state."""
    plane_entropy_bits: tuple[float, ...] = ()
    """Entropy of the first, second, ... bytes of all elements, 0 to 8 bits each; empty: not known."""


UNKNOWN_FEATURES: Final = PayloadFeatures()
"""Features of a payload that was not looked at."""


AS_PUBLISHED: Final = "published"
"""Chain of payloads that the publisher has encoded, and that the gateway leaves so."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TrafficRecord:
    """Decision of the delivery policy for one delivery class, and its outcome."""

    time_ns: int
    """Unix time of the record."""
    stream: str
    """Name of the stream; of a view, of the stream that it shows."""
    view: str = ""
    """The view, as text; empty: the stream itself."""
    format: str
    """Format of the delivery class, binary or JSON."""
    codecs: tuple[str, ...]
    """Codecs and filters that all its receivers know, sorted."""
    tier: str = ""
    """Name of the link tier of most of them; empty: of a gateway that did not tell tiers."""
    sdk: str = ""
    """SDK of most of them; empty: none that is known."""
    chain: str
    """Chain that was chosen, ``none`` for plain payloads; :data:`AS_PUBLISHED`: as the publisher has encoded it."""
    dtype: str = ""
    """Dtype of the first tensor; empty: the message has none."""
    shape: tuple[int, ...] = ()
    """Shape of the first tensor."""
    tensors: int = 0
    """Number of tensors."""
    payload_bytes: int = 0
    """Size of the payload, decoded."""
    published_encoding: str = ""
    """Codecs and filters by which the publisher has encoded the payload, in their order; empty: it is plain."""
    published_bytes: int | None = None
    """Size of the payload that was encoded, as it was published; ``None``: no outcome has come."""
    sent_bytes: int | None = None
    """Size of that payload as it was sent."""
    encode_s: float | None = None
    """CPU time that encoding took."""
    messages: int = 0
    """Messages of the stream while the record was open."""
    arrival_interval_s: float | None = None
    """Mean time from one of these messages to the next."""
    burstiness: float | None = None
    """Variance of the messages in short times over their mean: 1 at random, less at equal intervals, more in bursts."""
    cpu_headroom: float | None = None
    """Share of its time in which the loop's thread had nothing to do, 0 to 1, since the records before."""
    receivers: int = 0
    """Members of the delivery class."""
    client: str = ""
    """Type and software of most of them."""
    rtt_s: float | None = None
    """Round trip, the median of some receivers; as for all figures of links."""
    goodput_bytes_per_s: float | None = None
    """Rate at which a receiver takes bytes: while many wait for it, or else while its socket is busy."""
    queue_delay_s: float | None = None
    """Time for which a message waits for those before it."""
    decode_s_per_byte: float | None = None
    """Time that a receiver takes to decode a byte, as it has reported."""
    features: PayloadFeatures = UNKNOWN_FEATURES
    """Features of a payload of the stream."""

    @property
    def ratio(self) -> float | None:
        """Size sent over size published; ``None``: not known."""
        if self.sent_bytes is None or not self.published_bytes:
            return None
        return self.sent_bytes / self.published_bytes


@dataclass(frozen=True, slots=True)
class TriedChain:
    """Outcome of one chain in a shadow trial."""

    chain: str
    """The chain."""
    encoded_bytes: int
    """Size of the sample, encoded; that of the sample itself if the chain does not make it smaller."""
    encode_s: float
    """CPU time that encoding took."""
    decode_s: float
    """CPU time that decoding took."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ShadowTrial:
    """Outcomes of all candidates on one sample of a stream. The sample itself is gone."""

    time_ns: int
    """Unix time of the trial."""
    stream: str
    """Name of the stream; of a view, of the stream that it shows."""
    view: str = ""
    """The view, as text; empty: the stream itself."""
    dtype: str = ""
    """Dtype of the first tensor; empty: the message has none."""
    shape: tuple[int, ...] = ()
    """Shape of the first tensor."""
    sample_bytes: int
    """Size of the sample."""
    based: bool = False
    """Whether there was a previous version, for deltas."""
    drifted: bool = False
    """Whether the trial was made because the features of the stream had changed."""
    cpu_s: float = 0.0
    """CPU time of the whole trial."""
    tried: tuple[TriedChain, ...]
    """Outcome of each candidate."""
    features: PayloadFeatures = UNKNOWN_FEATURES
    """Features of a payload of the stream, as they were known last."""
