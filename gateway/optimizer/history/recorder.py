"""Recorder: makes traffic records of the large messages of each stream, one a delivery class and interval.

A record is opened by a payload and closed by a sweep. Meanwhile a message costs a look-up, and an outcome is kept in a
dict. Chains, receivers and links are read when the record is closed.
"""

from __future__ import annotations

import logging
import math
from collections import OrderedDict, deque
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass, field
from itertools import islice
from typing import Final, Protocol

from gateway.connections.fanout.delivery_class import DeliveryClass
from gateway.connections.fanout.pubsub_fanout import PubSubFanout
from gateway.connections.fanout.recode import codec_names
from gateway.connections.ports import Clock, DeliveryPolicy, EncodingOutcome, Sample, Threads
from gateway.errors import RequestRefused
from gateway.optimizer.burstiness import Burstiness
from gateway.optimizer.history.features import features_of
from gateway.optimizer.history.layout import pack_record
from gateway.optimizer.history.link_figures import TakeRate, link_figures
from gateway.optimizer.history.quiet_links import QuietLinks
from gateway.optimizer.history.record import AS_PUBLISHED, UNKNOWN_FEATURES, PayloadFeatures, TrafficRecord
from gateway.protocol.dtypes import dtype_name
from gateway.protocol.encoding import PLAIN, Chain, Encoding, decode
from gateway.protocol.meta import parse_meta
from gateway.protocol.tensors import TensorSpec
from gateway.streams.derived import DerivedStream
from gateway.streams.stream import Stream

logger = logging.getLogger(__name__)

MAX_OPEN: Final = 1024
"""Records that are open at once; further streams are left out, and counted."""
MAX_OUTCOMES: Final = 16
"""Outcomes of one stream that are kept, the last ones. A message has one for each of its chains, and these are few."""
MAX_FEATURES: Final = 4096
"""Streams of which the features are kept; of more, those that were computed first are computed again."""
FEATURES_S: Final = 1.0
"""Age of the features of a stream at which they are computed anew, if there are few streams."""
MOST_FEATURES_PER_S: Final = 200.0
"""Features that are computed in a second, 1 % of a thread's time: those of many streams become older."""
MAX_COUNTED: Final = 64
"""Open records whose messages are counted at once, the oldest first: some 0.5 us each."""
MAX_COMPUTING: Final = 32
"""Payloads that wait for their features, or are in a thread for them; other streams keep those that they have."""

FanoutOf = Callable[[Stream], PubSubFanout | None]
"""Function that returns the fan-out of a stream or view; ``None``: it has ended."""


class TrafficListener(Protocol):
    """Listener to a recorder, called on the loop's thread; must return at once."""

    def offered(self, stream: Stream, sample: Sample) -> None:
        """Note a payload that has opened a record."""

    def featured(self, stream: Stream, sample: Sample, features: PayloadFeatures) -> None:
        """Note features that were computed anew, of a payload that has opened a record."""

    def recorded(self, stream: Stream, record: TrafficRecord) -> None:
        """Note a record that was closed."""

    def forgotten(self, stream: Stream) -> None:
        """Note that a stream has ended, whose id is not used again."""


@dataclass(slots=True, eq=False)
class OpenRecord:
    """Record of a stream that a sweep will close."""

    stream: Stream
    """The stream, or a view."""
    since_s: float
    """Time of the payload that has opened it."""
    since_offset: int
    """Offset of the next message at that time."""
    specs: tuple[TensorSpec, ...]
    """Descriptors of the payload."""
    encoding: Encoding | None
    """Encoding by its publisher; ``None``: it is plain."""
    sample_bytes: int
    """Size of the payload, or of its first chunk, as it was published."""
    counted_offset: int
    """Offset of the next message at the last count."""
    outcomes: deque[EncodingOutcome] = field(default_factory=lambda: deque(maxlen=MAX_OUTCOMES))
    """Last outcomes; by their order and not by chain, since a chain takes half a microsecond to hash."""

    @property
    def outcome_of(self) -> dict[Chain, EncodingOutcome]:
        """Last outcome of each chain."""
        return {outcome.chain: outcome for outcome in self.outcomes}


@dataclass(slots=True, eq=False)
class KeptFeatures:
    """Features of a stream, with their age."""

    specs: tuple[TensorSpec, ...]
    """Descriptors of the payload."""
    computed_s: float = -math.inf
    """Time at which computing began."""
    features: PayloadFeatures = UNKNOWN_FEATURES
    """The features; not known as long as they are computed."""
    burstiness: Burstiness = field(default_factory=Burstiness)
    """Burstiness of the messages while a record was open."""


class TrafficRecorder:
    """Recorder of one gateway.

    Args:
        policy: the policy whose decisions are recorded.
        interval_s: interval in which each stream is recorded once.
        clock: the time.
        threads: compute features.
        put: takes the bytes of each record.

    Attributes:
        interval_s: the same.
        unsampled_messages: messages of streams for which no record could be opened.
        listeners: are told of records and payloads.
        take_rate: is told of rates of receivers for which nothing waits.
        cpu_headroom: share of its time in which the loop's thread had nothing to do, for the next records.
    """

    def __init__(
        self,
        policy: DeliveryPolicy,
        interval_s: float,
        clock: Clock,
        threads: Threads,
        put: Callable[[bytes], object],
    ) -> None:
        self.interval_s = interval_s
        self.unsampled_messages = 0
        self.listeners: list[TrafficListener] = []
        self.take_rate: TakeRate = lambda member, bytes_per_s: None
        self.cpu_headroom: float | None = None
        self._policy = policy
        self._clock = clock
        self._threads = threads
        self._put = put
        self._open: dict[int, OpenRecord] = {}
        # The first of a dict is found behind all that were first before.
        self._features: OrderedDict[int, KeptFeatures] = OrderedDict()
        self._quiet_links = QuietLinks()
        self._computing = 0
        """Payloads whose features are being computed."""

    def is_due(self, stream: Stream) -> bool:
        """Return whether the next payload of a stream is to open a record."""
        if stream.id in self._open:
            return False
        if len(self._open) >= MAX_OPEN:
            self.unsampled_messages += 1
            return False
        return True

    def open(self, stream: Stream, sample: Sample) -> None:
        """Open a record of a stream by a payload, unless one is open."""
        if stream.id in self._open or len(self._open) >= MAX_OPEN:
            return
        now_s, specs = self._clock.monotonic_s(), parse_meta(sample.meta).specs
        self._open[stream.id] = OpenRecord(
            stream, now_s, stream.next_offset, specs, sample.encoding, len(sample.payload), stream.next_offset
        )
        for listener in self.listeners:
            listener.offered(stream, sample)
        kept = self._features.get(stream.id)
        if kept is None or kept.specs != specs:
            kept = self._features[stream.id] = KeptFeatures(specs)
            if len(self._features) > MAX_FEATURES:
                self._features.popitem(last=False)
        elif now_s - kept.computed_s < max(FEATURES_S, len(self._features) / MOST_FEATURES_PER_S):
            return
        if self._computing < MAX_COMPUTING and sample.is_readable:
            kept.computed_s = now_s
            self._compute(stream, sample, kept)

    def report(self, stream: Stream, outcome: EncodingOutcome) -> None:
        """Keep an outcome for the record of a stream that is open."""
        record = self._open.get(stream.id)
        if record is not None:
            record.outcomes.append(outcome)

    def count_messages(self) -> None:
        """Count the messages of streams whose records are open; to be called at equal intervals."""
        for number, record in islice(self._open.items(), MAX_COUNTED):
            kept, offset = self._features.get(number), record.stream.next_offset
            if kept is not None:
                kept.burstiness.add(offset - record.counted_offset)
            record.counted_offset = offset

    def forget(self, stream: Stream) -> None:
        """Forget a stream that has ended, whose id is not used again; its open record is lost."""
        self._open.pop(stream.id, None)
        self._features.pop(stream.id, None)
        for listener in self.listeners:
            listener.forgotten(stream)

    def close_records(self, fanout_of: FanoutOf, *, least_age_s: float = 0.0) -> Iterator[None]:
        """Close the records that are open, and put them. Yields behind each, for the loop.

        Args:
            fanout_of: finds the receivers.
            least_age_s: younger records stay open.
        """
        for number, record in list(self._open.items()):
            age_s = self._clock.monotonic_s() - record.since_s
            if age_s < least_age_s or self._open.get(number) is not record:
                continue
            del self._open[number]
            fanout = fanout_of(record.stream)
            for delivery in () if fanout is None else fanout.classes:
                if delivery.format.takes_chunks:
                    for chain in self._chains_of(record, delivery):
                        closed = self._record(record, delivery, chain, age_s)
                        self._put(pack_record(closed))
                        for listener in self.listeners:
                            listener.recorded(record.stream, closed)
            yield

    def _chains_of(self, record: OpenRecord, delivery: DeliveryClass) -> Collection[Chain | None]:
        """Return the decisions for a class: the chain of deltas, if they pay, and that of complete payloads if used.

        ``None``: as published. For encoded payloads the policy is not asked for deltas here: it would take the question
        for a new set of receivers.
        """
        if record.encoding is not None:
            if not codec_names(record.encoding.ids) <= delivery.profile.codecs:
                return (PLAIN,)
            anew = self._policy.anew_for(record.stream, delivery.profile)
            made = [chain for chain in record.outcome_of if chain.delta or chain == anew]
            return [chain for chain in made if chain.names <= delivery.profile.codecs] or (None,)
        chain = self._policy.chain_for(record.stream, delivery.profile)
        delta = PLAIN if delivery.versions is None else self._policy.delta_for(record.stream, delivery.profile)
        if delta == PLAIN:
            return (chain,)
        return (delta, chain) if chain in record.outcome_of else (delta,)

    def _record(self, opened: OpenRecord, delivery: DeliveryClass, chain: Chain | None, age_s: float) -> TrafficRecord:
        stream, specs = opened.stream, opened.specs
        figures = link_figures(delivery, self._quiet_links, self._clock.monotonic_s(), self.take_rate)
        payload_bytes = sum([spec.nbytes for spec in specs])
        outcome = None if chain is None else opened.outcome_of.get(chain)
        sent_bytes = None if outcome is None else outcome.sent_bytes
        published_bytes = None if outcome is None else outcome.published_bytes
        encode_s = None if outcome is None else outcome.seconds
        if chain is None:
            published_bytes, sent_bytes, encode_s = opened.sample_bytes, opened.sample_bytes, 0.0
        elif chain == PLAIN and opened.encoding is None:
            published_bytes, sent_bytes, encode_s = payload_bytes, payload_bytes, 0.0
        messages = stream.next_offset - opened.since_offset
        kept = self._features.get(stream.id)
        return TrafficRecord(
            time_ns=self._clock.time_ns(),
            stream=stream.name,
            view=str(stream.view) if isinstance(stream, DerivedStream) else "",
            format=delivery.format.name,
            codecs=tuple(sorted(delivery.profile.codecs)),
            tier=delivery.profile.tier.name,
            sdk=delivery.profile.sdk,
            chain=AS_PUBLISHED if chain is None else str(chain),
            dtype=dtype_name(specs[0].dtype) if specs else "",
            shape=specs[0].shape if specs else (),
            tensors=len(specs),
            payload_bytes=payload_bytes,
            published_encoding=_name_of(opened.encoding),
            published_bytes=published_bytes,
            sent_bytes=sent_bytes,
            encode_s=encode_s,
            messages=messages,
            arrival_interval_s=age_s / messages if messages > 0 else None,
            burstiness=None if kept is None else kept.burstiness.value,
            cpu_headroom=self.cpu_headroom,
            receivers=len(delivery),
            **figures._asdict(),
            features=UNKNOWN_FEATURES if kept is None else kept.features,
        )

    def _compute(self, stream: Stream, sample: Sample, kept: KeptFeatures) -> None:
        self._computing += 1

        def look() -> PayloadFeatures:
            payload = decode(sample.encoding, sample.payload)
            return features_of(payload, sample.element.itemsize, None if sample.base is None else sample.base())

        def learn(result: PayloadFeatures | BaseException) -> None:
            self._computing -= 1
            if isinstance(result, PayloadFeatures):
                kept.features = result
                for listener in self.listeners if stream.id in self._features else ():
                    listener.featured(stream, sample, result)
                return
            kept.features = UNKNOWN_FEATURES
            if not isinstance(result, RequestRefused):  # the payload, or its base, cannot be decoded by anybody
                logger.error("features of %s cannot be computed, they stay unknown", stream.name, exc_info=result)

        self._threads.submit(look, learn)


def _name_of(encoding: Encoding | None) -> str:
    """Return the codecs and filters of an encoding in their order; empty for a plain payload."""
    return "" if encoding is None else "+".join([name for step in encoding.steps for name in codec_names({step.id})])
