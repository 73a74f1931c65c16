"""Arrival watch: arrivals of messages of some busy streams, by samples.

A sample ends by itself after some turns of the loop in which the stream had messages. Streams that are not sampled cost
nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping
from heapq import nlargest
from typing import Final

from gateway.connections.arrivals import ArrivalModel, fitted_arrivals
from gateway.connections.fanout.fanout import Fanout
from gateway.connections.fanout.pubsub_fanout import PubSubFanout
from gateway.connections.outbound.no_entries import with_entry
from gateway.connections.planning.context import StreamFacts
from gateway.connections.planning.rules.flush_windows import LEAST_KEPT, one_by_one
from gateway.connections.ports import Clock
from gateway.streams.large import LargeMessage
from gateway.streams.run import Run
from gateway.streams.stream import Stream

MAX_SAMPLED: Final = 16
"""Streams that are sampled: the busiest ones."""
SAMPLED_TURNS: Final = 256
"""Number of turns in a sample: some 0.3 ms of the loop's time. One is taken between two looks."""


class _Sample:
    """Times of the turns in which a stream had messages."""

    __slots__ = ("_clock", "_fanout", "_in_turn", "_times_s", "model")

    def __init__(self, fanout: PubSubFanout, clock: Clock) -> None:
        self._fanout = fanout
        self._clock = clock
        self._times_s: list[float] = []
        self._in_turn = False
        self.model: ArrivalModel | None = None
        """Model of the last sample that told something."""

    def renew(self) -> None:
        """Take the model of the sample so far, and begin another one."""
        self.end()
        self.model = fitted_arrivals(self._times_s) or self.model
        self._times_s = []
        self._fanout.taps = with_entry(self._fanout.taps, self._came, None)

    def end(self) -> None:
        """Take no more."""
        self._fanout.taps.pop(self._came, None)

    def _came(self, _: Run | LargeMessage) -> None:
        if self._in_turn:
            return  # written together with the one before
        self._in_turn = True
        self._clock.call_soon(self._end_turn)
        self._times_s.append(self._clock.monotonic_s())
        if len(self._times_s) >= SAMPLED_TURNS:
            self.end()

    def _end_turn(self) -> None:
        self._in_turn = False


class ArrivalWatch:
    """Arrivals of messages of the busiest streams, from one look to the next.

    Args:
        fanout_of: returns the fan-out of a stream that has not ended.
        clock: the time, and the end of turns.
    """

    def __init__(self, fanout_of: Callable[[Stream], Fanout], clock: Clock) -> None:
        self._fanout_of = fanout_of
        self._clock = clock
        self._samples: dict[Stream, _Sample] = {}

    def look(self, streams: Mapping[Stream, StreamFacts]) -> Generator[None, None, list[StreamFacts]]:
        """Return the facts of streams with the models that are known, and sample the busiest until the next look.

        Yields behind each model, which takes some 0.3 ms, for the loop.

        Args:
            streams: facts of streams that have not ended and that nobody acknowledges.
        """
        busy = [stream for stream, each in streams.items() if one_by_one(each) >= LEAST_KEPT]
        wanted = nlargest(MAX_SAMPLED, busy, key=lambda stream: one_by_one(streams[stream]))
        samples = {
            stream: self._samples.pop(stream) if stream in self._samples else self._sample_of(stream)
            for stream in wanted
        }
        self.forget()
        self._samples = samples
        for stream, sample in samples.items():
            if stream.ended is None:
                sample.renew()
                yield
        return [
            each._replace(arrivals=samples[stream].model) if stream in samples else each
            for stream, each in streams.items()
            if stream.ended is None
        ]

    def forget(self) -> None:
        """Sample nothing any more."""
        for sample in self._samples.values():
            sample.end()
        self._samples = {}

    def _sample_of(self, stream: Stream) -> _Sample:
        fanout = self._fanout_of(stream)
        assert isinstance(fanout, PubSubFanout)
        return _Sample(fanout, self._clock)
