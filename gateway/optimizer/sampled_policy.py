"""The default :class:`~gateway.connections.ports.DeliveryPolicy`: encode what a sample says is worth it."""

from __future__ import annotations

import logging

from gateway.connections.ports import Sample, Workers
from gateway.errors import RequestRefused
from gateway.protocol.encoding import PLAIN, Chain, decode
from gateway.protocol.sampling import choose_chain, choose_delta
from gateway.protocol.wire import Buffer
from gateway.streams.stream import Stream

logger = logging.getLogger(__name__)

FIRST_RESAMPLE_MESSAGES = 64
"""A stream is sampled again after so many large messages: what compresses well may change as a model trains."""

LAST_RESAMPLE_MESSAGES = 4096
"""The interval doubles up to this while samples keep saying the same: looking costs 0.1 ms of a thread."""


Chosen = tuple[Chain, Chain]
"""How a payload is encoded, and how a delta."""


class _Choice:
    """What is known of one stream.

    Attributes:
        chains: by what receivers know, how they get a payload.
        deltas: the same for deltas to the version before.
        countdown: messages until the next sample.
        interval: from one sample to the next.
        compared: a sample with a base has been taken.
    """

    __slots__ = ("chains", "compared", "countdown", "deltas", "interval")

    def __init__(self) -> None:
        self.chains: dict[frozenset[str], Chain] = {}
        self.deltas: dict[frozenset[str], Chain] = {}
        self.countdown = 0
        self.interval = FIRST_RESAMPLE_MESSAGES
        self.compared = False


class SampledPolicy:
    """Remembers for each stream what :mod:`gateway.protocol.sampling` said of a recent payload.

    The sample is looked at in a thread, so what it says holds from one of the next messages on. The first message of
    a stream is delivered as it came.
    """

    def __init__(self, workers: Workers) -> None:
        self._workers = workers
        self._choices: dict[int, _Choice] = {}

    def chain_for(self, stream: Stream, codecs: frozenset[str]) -> Chain:
        """See the port."""
        return self._known(stream, codecs).chains[codecs]

    def delta_for(self, stream: Stream, codecs: frozenset[str]) -> Chain:
        """See the port."""
        return self._known(stream, codecs).deltas.get(codecs, PLAIN)

    def wants_sample(self, stream: Stream, *, based: bool) -> bool:
        """See the port."""
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
        """What is known of a stream; who has just come is looked at with the next sample, which is the next payload."""
        choice = self._choices.get(stream.id)
        if choice is None:
            choice = self._choices[stream.id] = _Choice()
        if codecs not in choice.chains:
            choice.chains[codecs] = PLAIN
            choice.countdown = 0
        return choice

    def observe(self, stream: Stream, sample: Sample) -> None:
        """See the port."""
        choice = self._choices[stream.id]
        known = {codecs: choice.deltas.get(codecs, PLAIN) for codecs in choice.chains}
        if sample.base is None:
            choice.compared = False

        def look() -> dict[frozenset[str], Chosen]:
            payload = sample.payload if sample.encoding is None else decode(sample.encoding, sample.payload)
            base = None if sample.base is None else sample.base()
            return {codecs: _choose(sample, payload, base, codecs, delta) for codecs, delta in known.items()}

        def learn(result: dict[frozenset[str], Chosen] | BaseException) -> None:
            if isinstance(result, RequestRefused):  # what was published cannot be decoded, by nobody
                return
            if isinstance(result, BaseException):
                logger.error("sampling %s failed", stream.name, exc_info=result)
                return
            same = all((choice.chains.get(key), choice.deltas.get(key)) == chosen for key, chosen in result.items())
            choice.interval = min(2 * choice.interval, LAST_RESAMPLE_MESSAGES) if same else FIRST_RESAMPLE_MESSAGES
            for codecs, (chain, delta) in result.items():
                choice.chains[codecs] = chain
                choice.deltas[codecs] = delta

        self._workers.submit(look, learn)

    def forget(self, stream: Stream) -> None:
        """See the port."""
        self._choices.pop(stream.id, None)


def _choose(sample: Sample, payload: Buffer, base: Buffer | None, codecs: frozenset[str], delta: Chain) -> Chosen:
    """The chain for receivers that know ``codecs``, and that for deltas; without a base that stays ``delta``."""
    if base is not None:
        delta = choose_delta(payload, base, sample.itemsize, codecs, codecs, integers=sample.integers)
    return choose_chain(payload, sample.itemsize, codecs, codecs), delta
