"""Large-stream watch: latencies of some streams of large messages, and what their messages and receivers are like."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from heapq import nlargest
from itertools import chain, islice
from random import Random
from typing import Final

from gateway.connections.collaboration.traffic import StreamRate
from gateway.connections.fanout.delivery_class import DeliveryClass
from gateway.connections.fanout.fanout import Fanout
from gateway.connections.fanout.pubsub_fanout import PubSubFanout
from gateway.connections.latency.stream_latency import StreamLatency
from gateway.connections.link_tier import TIERS
from gateway.connections.planning.context import LargeStreamFacts
from gateway.connections.ports import Clock
from gateway.connections.sessions.pool import Pool
from gateway.ids import PeerId
from gateway.protocol.names import workflow_of
from gateway.streams.stream import Stream

MAX_WATCHED: Final = 8
"""Streams that are watched: those with the most bytes a second."""

LEAST_BYTES: Final = 1024 * 1024
"""Mean size of a message, as published, from which a stream is watched."""

FORGOTTEN_S: Final = 10.0
"""Time without messages after which a stream is watched no more."""

MAX_RECEIVERS: Final = 64
"""Receivers whose links are looked at; a stream with more counts as one with a receiver that is far."""


class LargeStreamWatch:
    """Measurements of streams of large messages, from one look to the next.

    Args:
        pool: connections.
        fanout_of: returns the fan-out of a stream that has not ended.
        encodes: returns whether the gateway encodes payloads of a stream for a delivery class.
        clock: the time.
    """

    def __init__(
        self,
        pool: Pool,
        fanout_of: Callable[[Stream], Fanout],
        encodes: Callable[[Stream, DeliveryClass], bool],
        clock: Clock,
    ) -> None:
        self._pool = pool
        self._fanout_of = fanout_of
        self._encodes = encodes
        self._clock = clock
        self._chance = Random()
        self._watched: dict[Stream, tuple[StreamLatency, float]] = {}
        """Measurements, and the time at which the stream had messages last."""

    def read(self, rates: Mapping[Stream, StreamRate]) -> Iterator[LargeStreamFacts]:
        """Yield the facts of the streams that are watched.

        Args:
            rates: those of the streams that had messages lately.
        """
        now_s = self._clock.monotonic_s()
        large = [stream for stream, rate in rates.items() if _is_large(stream, rate)]
        for stream in nlargest(MAX_WATCHED, large, key=lambda each: rates[each].bytes_per_s):
            known = self._watched.get(stream)
            if known is not None:
                self._watched[stream] = known[0], now_s
            elif len(self._watched) < MAX_WATCHED and isinstance(fanout := self._fanout_of(stream), PubSubFanout):
                self._watched[stream] = StreamLatency(fanout, self._clock, self._chance), now_s
        for stream, (latency, seen_s) in list(self._watched.items()):
            if stream.ended is not None or now_s - seen_s >= FORGOTTEN_S:
                latency.end()
                del self._watched[stream]
                continue
            facts = self._facts_of(stream, latency)
            if facts is not None:
                yield facts

    def forget(self) -> None:
        """Watch nothing any more."""
        for latency, _ in self._watched.values():
            latency.end()
        self._watched = {}

    def _facts_of(self, stream: Stream, latency: StreamLatency) -> LargeStreamFacts | None:
        """Return the facts of a stream; ``None``: its publisher is not known, or cuts by no advice."""
        newest, wait_s = latency.newest, latency.take()
        session = None if newest is None else self._pool.get(PeerId(newest.publisher))
        if newest is None or session is None or not session.peer.takes_chunk_advice:
            return None
        fanout = self._fanout_of(stream)
        assert isinstance(fanout, PubSubFanout)
        return LargeStreamFacts(
            stream.name,
            workflow_of(stream.name),
            session.peer.id,
            session.peer.client_id,
            newest.payload_bytes,
            newest.encoded or any(self._encodes(stream, delivery) for delivery in fanout.classes),
            self._all_near(fanout),
            wait_s,
        )

    def _all_near(self, fanout: PubSubFanout) -> bool:
        members = list(islice(chain.from_iterable(fanout.classes), MAX_RECEIVERS + 1))
        near = all(member.profile.tier == TIERS[-1] and not member.lagging for member in members)
        return 0 < len(members) <= MAX_RECEIVERS and near


def _is_large(stream: Stream, rate: StreamRate) -> bool:
    mean_bytes = rate.bytes_per_s / rate.messages_per_s if rate.messages_per_s else 0.0
    return stream.ended is None and not stream.kind.acknowledged and mean_bytes >= LEAST_BYTES
