"""The default :class:`~gateway.connections.ports.DeliveryPolicy`: encode what a sample says is worth it."""

from __future__ import annotations

import logging

from gateway.connections.ports import Workers
from gateway.protocol.encoding import PLAIN, Chain
from gateway.protocol.sampling import choose_chain
from gateway.protocol.wire import Buffer
from gateway.streams.stream import Stream

logger = logging.getLogger(__name__)

FIRST_RESAMPLE_MESSAGES = 64
"""A stream is sampled again after so many large messages: what compresses well may change as a model trains."""

LAST_RESAMPLE_MESSAGES = 4096
"""The interval doubles up to this while samples keep saying the same: looking costs 0.1 ms of a thread."""


class _Choice:
    __slots__ = ("chains", "countdown", "interval")

    def __init__(self) -> None:
        self.chains: dict[frozenset[str], Chain] = {}
        self.countdown = 0
        self.interval = FIRST_RESAMPLE_MESSAGES


class SampledPolicy:
    """Remembers for each stream what :func:`~gateway.protocol.sampling.choose_chain` said of a recent payload.

    The sample is looked at in a thread, so what it says holds from one of the next messages on. The first message of
    a stream is delivered as it came.
    """

    def __init__(self, workers: Workers) -> None:
        self._workers = workers
        self._choices: dict[int, _Choice] = {}

    def chain_for(self, stream: Stream, codecs: frozenset[str]) -> Chain:
        """See the port."""
        choice = self._choices.get(stream.id)
        if choice is None:
            choice = self._choices[stream.id] = _Choice()
        return choice.chains.setdefault(codecs, PLAIN)

    def observe(self, stream: Stream, payload: Buffer, itemsize: int) -> None:
        """See the port."""
        choice = self._choices.get(stream.id)
        if choice is None:
            return
        if choice.countdown:
            choice.countdown -= 1
            return
        choice.countdown = choice.interval
        known = list(choice.chains)

        def sample() -> dict[frozenset[str], Chain]:
            return {codecs: choose_chain(payload, itemsize, codecs, codecs) for codecs in known}

        def learn(result: dict[frozenset[str], Chain] | BaseException) -> None:
            if isinstance(result, BaseException):
                logger.error("sampling %s failed", stream.name, exc_info=result)
                return
            same = all(choice.chains.get(codecs) == chain for codecs, chain in result.items())
            choice.interval = min(2 * choice.interval, LAST_RESAMPLE_MESSAGES) if same else FIRST_RESAMPLE_MESSAGES
            choice.chains.update(result)

        self._workers.submit(sample, learn)
