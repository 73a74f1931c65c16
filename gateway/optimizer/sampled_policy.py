"""Sampled policy: the default :class:`~gateway.connections.ports.DeliveryPolicy`, which encodes a stream by the chain
that made a sample of it small enough.
"""

from __future__ import annotations

import logging
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

from gateway.connections.ports import EncodingOutcome, Sample, Threads
from gateway.connections.receiver_profile import ReceiverProfile
from gateway.errors import RequestRefused
from gateway.protocol.encoding import PLAIN, Chain, decode
from gateway.protocol.sampling import choose_chain, choose_delta
from gateway.protocol.wire import Buffer
from gateway.streams.stream import Stream

logger = logging.getLogger(__name__)

FIRST_RESAMPLE_MESSAGES = 64
"""A stream is sampled again after so many large messages: the best chain may change as a model trains."""

LAST_RESAMPLE_MESSAGES = 4096
"""The interval doubles up to this while samples keep saying the same: looking costs 0.1 ms of a thread."""

PROMISED_RATIO = 0.7
"""Ratio, sent over plain, that a sample must reach for its chain to be chosen: see
:func:`~gateway.protocol.sampling.choose_chain`."""

FUTILE_RATIO = 0.9
"""A chain whose average ratio is above this is dropped before the next sample. The distance to the promised ratio keeps
a payload that is a little worse than its samples from being sampled and dropped in turn."""

MAX_CHANGED = 1024
"""Streams that are remembered to have changed."""

REPORT_WEIGHT = 1 / 8
"""Share of the newest outcome in the average: a chain that has just kept its promise is dropped after 9 messages that
it does not make smaller."""

Chosen = tuple[Chain, Chain]
"""Chain of complete payloads, and chain of deltas."""


@dataclass(slots=True, eq=False)
class _Choice:
    """Knowledge of one stream."""

    chains: dict[frozenset[str], Chain] = field(default_factory=dict)
    """Chain of complete payloads, by the codecs that receivers know."""
    deltas: dict[frozenset[str], Chain] = field(default_factory=dict)
    """Chain of deltas to the version before, by the same."""
    achieved: dict[Chain, float] = field(default_factory=dict)
    """Average ratio, sent over plain, of chains that were used since the last sample."""
    countdown: int = 0
    """Messages until the next sample."""
    interval: int = FIRST_RESAMPLE_MESSAGES
    """Messages from one sample to the next."""
    compared: bool = False
    """True if the last sample had a base."""


class SampledPolicy:
    """Policy that remembers for each stream which chains :mod:`gateway.protocol.sampling` chose for a recent payload.

    A sample is compressed in a thread, so its result holds from one of the next messages on. The first message of a
    stream is delivered as published.

    A chain that achieves much less on the messages than on the sample is dropped until the next sample, which is then
    taken soon.
    """

    def __init__(self, workers: Threads) -> None:
        self._workers = workers
        self._choices: dict[int, _Choice] = {}
        self._changed: dict[Stream, None] = {}

    def chain_for(self, stream: Stream, profile: ReceiverProfile) -> Chain:
        """Return the chain that was chosen last; plain before the first sample."""
        codecs = profile.codecs
        return self._known(stream, codecs).chains[codecs]

    def delta_for(self, stream: Stream, profile: ReceiverProfile) -> Chain:
        """Return the chain of deltas that was chosen last; plain before the first sample with a base."""
        codecs = profile.codecs
        return self._known(stream, codecs).deltas.get(codecs, PLAIN)

    def anew_for(self, stream: Stream, profile: ReceiverProfile) -> Chain | None:
        """Return None: what a publisher has encoded goes as it was published."""
        return None

    def tells_apart(self, stream: Stream) -> bool:
        """Return False: it chooses by codecs only."""
        return False

    def wants_sample(self, stream: Stream, *, based: bool) -> bool:
        """Count a payload, and return whether it is due to be sampled; the first one with a base always is."""
        choice = self._choices.get(stream.id)
        if choice is None:
            return False
        if choice.countdown and (choice.compared or not based):
            choice.countdown -= 1
            return False
        choice.countdown = choice.interval
        choice.compared = based
        return True

    def _known(self, stream: Stream, codecs: frozenset[str]) -> _Choice:
        """Return the choice of a stream; for codecs that are new there, the next payload is sampled."""
        choice = self._choices.get(stream.id)
        if choice is None:
            choice = self._choices[stream.id] = _Choice()
        if codecs not in choice.chains:
            choice.chains[codecs] = PLAIN
            choice.countdown = 0
        return choice

    def observe(self, stream: Stream, sample: Sample) -> None:
        """Take a sample, if it need not be decoded to too much: compress it in a thread, and choose chains by that."""
        if not sample.is_readable:
            return
        choice = self._choices[stream.id]
        known = {codecs: choice.deltas.get(codecs, PLAIN) for codecs in choice.chains}
        if sample.base is None:
            choice.compared = False

        def look() -> dict[frozenset[str], Chosen]:
            payload = decode(sample.encoding, sample.payload)
            base = None if sample.base is None else sample.base()
            return {codecs: _choose(sample, payload, base, codecs, delta) for codecs, delta in known.items()}

        def learn(result: dict[frozenset[str], Chosen] | BaseException) -> None:
            if isinstance(result, RequestRefused):  # the payload, or its base, cannot be decoded by anybody
                return
            if isinstance(result, BaseException):
                logger.error(
                    "sampling %s failed, its messages go out plain or as chosen before", stream.name, exc_info=result
                )
                return
            same = all((choice.chains.get(key), choice.deltas.get(key)) == chosen for key, chosen in result.items())
            choice.interval = min(2 * choice.interval, LAST_RESAMPLE_MESSAGES) if same else FIRST_RESAMPLE_MESSAGES
            choice.achieved.clear()
            if not same:
                self._note(stream)
            for codecs, (chain, delta) in result.items():
                choice.chains[codecs] = chain
                choice.deltas[codecs] = delta

        self._workers.submit(look, learn)

    def report(self, stream: Stream, outcome: EncodingOutcome) -> None:
        """Drop a chain that hardly makes messages smaller; the stream is sampled again soon."""
        choice = self._choices.get(stream.id)
        if choice is None:
            return
        chain, ratio = outcome.chain, outcome.sent_bytes / outcome.published_bytes
        before = choice.achieved.get(chain, PROMISED_RATIO)
        choice.achieved[chain] = average = before + (ratio - before) * REPORT_WEIGHT
        if average <= FUTILE_RATIO:
            return
        used = _drop(chain, choice.chains) + _drop(chain, choice.deltas)
        if used:
            self._note(stream)
            cost = f"{average:.0%} of the bytes for {outcome.seconds * 1e3:.1f} ms of CPU time"
            logger.debug("%s: %s is dropped until the next sample, it sends %s", stream.name, chain, cost)
            choice.interval = FIRST_RESAMPLE_MESSAGES
            choice.countdown = min(choice.countdown, FIRST_RESAMPLE_MESSAGES)

    def take_changed(self) -> Collection[Stream]:
        """Return streams whose chains have changed since the last call."""
        changed, self._changed = self._changed, {}
        return changed

    def _note(self, stream: Stream) -> None:
        if len(self._changed) < MAX_CHANGED:
            self._changed[stream] = None

    def in_use(self, stream: Stream, profile: ReceiverProfile) -> Mapping[Chain, float | None]:
        """Return the chains that were chosen last, with the average ratio since."""
        choice, codecs = self._choices.get(stream.id), profile.codecs
        if choice is None:
            return {}
        chosen = choice.deltas.get(codecs, PLAIN), choice.chains.get(codecs, PLAIN)
        return {chain: choice.achieved.get(chain) for chain in chosen if chain != PLAIN}

    def forget(self, stream: Stream) -> None:
        """Forget a stream, whose id is not used again."""
        self._choices.pop(stream.id, None)
        self._changed.pop(stream, None)


def _drop(chain: Chain, chains: dict[frozenset[str], Chain]) -> int:
    """Put plain in place of a chain; returns for how many sets of codecs it was used."""
    using = [codecs for codecs, used in chains.items() if used == chain]
    for codecs in using:
        chains[codecs] = PLAIN
    return len(using)


def _choose(sample: Sample, payload: Buffer, base: Buffer | None, codecs: frozenset[str], delta: Chain) -> Chosen:
    """Return the chains for receivers that know ``codecs``; without a base, that of deltas stays ``delta``."""
    if base is not None:
        delta = choose_delta(payload, base, sample.element, codecs, codecs, integers=sample.integers)
    return choose_chain(payload, sample.element, codecs, codecs), delta
