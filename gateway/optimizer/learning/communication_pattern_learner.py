"""Communication pattern learner: what is sent to whom, how often and over which links, by a traffic history.

One of the four roles of the optimizer. Its patterns are the ground on which the strategy generator decides.
"""

from __future__ import annotations

import math
from collections import Counter, deque
from dataclasses import dataclass, field
from typing import Final

from gateway.connections.arrivals import MAX_ARRIVALS, ArrivalModel, fitted_arrivals
from gateway.connections.link_tier import TIERS, LinkTier, tier_named, tier_of, tier_of_class
from gateway.optimizer.decisions.decision import DecisionKey
from gateway.optimizer.decisions.switchback import BLOCK_MESSAGES
from gateway.optimizer.delivery_cost import EncodingFigures
from gateway.optimizer.history.record import AS_PUBLISHED, PayloadFeatures, ShadowTrial, TrafficRecord
from gateway.protocol.encoding import PLAIN

RECENT: Final = 0.25
"""Share of the newest record in the mean of intervals: traffic of an hour ago says little."""
USE_MESSAGES: Final = 8 * BLOCK_MESSAGES
"""Messages of the last records, of which most tell the chain in use: the last record may be of a block that goes by the
baseline to check a decision."""
USE_RECORDS: Final = 8
"""Records that are looked at in any case: one may have more messages than that, and tells a single chain."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CommunicationPattern:
    """Traffic of one delivery class, as it was last."""

    key: DecisionKey
    """Stream and receivers."""
    tier: LinkTier
    """Link tier of the receivers."""
    goodput_bytes_per_s: float
    """Rate by which decisions are taken, above 0: as it was measured last, or of the tier if that is another one's."""
    chain: str
    """Chain in use: that of most messages of the last records."""
    dtype: str
    """Dtype of the first tensor; empty: there is none."""
    shape: tuple[int, ...]
    """Shape of the first tensor."""
    payload_bytes: int
    """Size of a payload, decoded; 0 or more."""
    interval_s: float | None
    """Mean time from one payload to the next, above 0, the last records most; ``None``: not known."""
    burstiness: float
    """Variance of the payloads in short times over their mean, as it was known last; 1: as at random, or not known."""
    receivers: int
    """Members of the class, 0 or more."""
    messages: int
    """Messages of all records."""
    decode_s_per_byte: float | None
    """Time in which receivers decode, as they have reported last; ``None``: they have not."""
    measured: EncodingFigures | None
    """Figures of the chain in use, as they were measured last; ``None``: they were not."""
    features: PayloadFeatures
    """Features of the payloads, as they were known last."""
    arrivals: ArrivalModel | None
    """Arrivals of the messages of a stream that has less than one an interval of samples: each is a record; ``None``:
    there are more, or too few."""

    @property
    def bytes_per_s(self) -> float:
        """Decoded bytes a second to all receivers; 0: not known."""
        return self.payload_bytes * self.receivers / self.interval_s if self.interval_s else 0.0

    @property
    def untried(self) -> ShadowTrial:
        """Features of the stream as a trial of no chain, for a model."""
        return ShadowTrial(
            time_ns=0,
            stream=self.key.stream,
            view=self.key.view,
            dtype=self.dtype,
            shape=self.shape,
            sample_bytes=self.payload_bytes,
            tried=(),
            features=self.features,
        )


@dataclass(slots=True, eq=False)
class _WatchedClass:
    """Records of one delivery class, added up."""

    newest: TrafficRecord
    goodput_bytes_per_s: float | None = None
    decode_s_per_byte: float | None = None
    measured: dict[str, EncodingFigures] = field(default_factory=dict)
    """Figures of each chain, as they were measured last."""
    interval_s: float | None = None
    messages: int = 0
    last: deque[tuple[str, int]] = field(default_factory=deque)
    """Chains of the last records, with the messages of each."""
    uses: Counter[str] = field(default_factory=Counter)
    """Messages of these records by chain."""
    times_s: deque[float] = field(default_factory=lambda: deque(maxlen=MAX_ARRIVALS))
    is_sparse: bool = True

    def use(self, record: TrafficRecord) -> None:
        """Note the chain of a record, and its figures if they were measured."""
        self.newest = record
        self.messages += record.messages
        self.last.append((record.chain, record.messages))
        self.uses[record.chain] += record.messages
        while len(self.last) > USE_RECORDS and self.uses.total() > USE_MESSAGES:
            chain, messages = self.last.popleft()
            self.uses[chain] -= messages
        figures = _measured(record)
        if figures is not None:
            self.measured[record.chain] = figures

    @property
    def chain(self) -> str:
        """Chain in use."""
        return self.uses.most_common(1)[0][0]


class CommunicationPatternLearner:
    """Learner of the patterns of a history. Records without messages are no outcomes, and are left out."""

    def __init__(self) -> None:
        self._classes: dict[DecisionKey, _WatchedClass] = {}

    def add(self, record: TrafficRecord) -> None:
        """Take a record; of payloads that go as they were published there is no decision."""
        if not record.messages or not is_decided(record):
            return
        key = key_of_record(record)
        known = self._classes.pop(key, None) or _WatchedClass(record)
        self._classes[key] = known
        known.use(record)
        if record.goodput_bytes_per_s is not None:
            known.goodput_bytes_per_s = record.goodput_bytes_per_s
        if record.decode_s_per_byte is not None:
            known.decode_s_per_byte = record.decode_s_per_byte
        interval_s = _positive(record.arrival_interval_s)
        if interval_s is not None:
            before_s = interval_s if known.interval_s is None else known.interval_s
            known.interval_s = before_s + RECENT * (interval_s - before_s)
        known.times_s.append(record.time_ns / 1e9)
        known.is_sparse &= record.messages == 1

    def patterns(self) -> tuple[CommunicationPattern, ...]:
        """Return the pattern of each delivery class, the one that was recorded last at the end."""
        return tuple([_pattern(key, watched) for key, watched in self._classes.items()])


def pattern_of(record: TrafficRecord) -> CommunicationPattern:
    """Return the pattern of one record alone."""
    watched = _WatchedClass(
        record,
        record.goodput_bytes_per_s,
        record.decode_s_per_byte,
        interval_s=_positive(record.arrival_interval_s),
        is_sparse=False,
    )
    watched.use(record)
    return _pattern(key_of_record(record), watched)


def is_decided(record: TrafficRecord) -> bool:
    """Return whether the policy decides how the payloads of a record go."""
    return record.chain != AS_PUBLISHED and not record.published_encoding


def key_of_record(record: TrafficRecord) -> DecisionKey:
    """Return the stream and receivers of a record."""
    tier = record.tier or _tier(record.tier, record.goodput_bytes_per_s).name
    return DecisionKey(record.stream, frozenset(record.codecs), tier, record.sdk, record.view)


def _tier(name: str, goodput_bytes_per_s: float | None) -> LinkTier:
    """Return the tier with this name, if it is not the fastest, else that of the rate, else the fastest."""
    return tier_of_class(tier_named(name), goodput_bytes_per_s) or TIERS[-1]


def _pattern(key: DecisionKey, watched: _WatchedClass) -> CommunicationPattern:
    newest, chain = watched.newest, watched.chain
    tier = _tier(key.tier, watched.goodput_bytes_per_s)
    goodput_bytes_per_s = _positive(watched.goodput_bytes_per_s)
    if goodput_bytes_per_s is None or tier_of(goodput_bytes_per_s) != tier:  # of a class that others share
        goodput_bytes_per_s = tier.goodput_bytes_per_s
    return CommunicationPattern(
        key=key,
        tier=tier,
        goodput_bytes_per_s=goodput_bytes_per_s,
        chain=chain,
        dtype=newest.dtype,
        shape=newest.shape,
        payload_bytes=newest.payload_bytes,
        interval_s=watched.interval_s,
        burstiness=1.0 if newest.burstiness is None else max(0.0, newest.burstiness),
        receivers=newest.receivers,
        messages=watched.messages,
        decode_s_per_byte=watched.decode_s_per_byte,
        measured=watched.measured.get(chain),
        features=newest.features,
        arrivals=fitted_arrivals(watched.times_s) if watched.is_sparse else None,
    )


def _measured(record: TrafficRecord) -> EncodingFigures | None:
    """Return the figures of the chain of a record, as they were measured; ``None``: there is no outcome."""
    ratio, encode_s, published_bytes = record.ratio, record.encode_s, record.published_bytes
    if ratio is None or encode_s is None or not published_bytes:
        return None
    # Receivers report one time of decoding for all their messages; plain payloads have no part in it.
    decode_s_per_byte = 0.0 if record.chain == str(PLAIN) else record.decode_s_per_byte or 0.0
    return EncodingFigures(record.chain, ratio, encode_s / published_bytes, decode_s_per_byte)


def _positive(value: float | None) -> float | None:
    """Return a value that is a number above 0; ``None`` for any other."""
    return value if value is not None and value > 0 and math.isfinite(value) else None
