"""Past streams: counters of streams that have ended, so that the sums over all streams never go back."""

from __future__ import annotations

from collections import Counter

from gateway.connections.consumers.consumer_fanout import ConsumerFanout
from gateway.connections.consumers.stats import ConsumerStats
from gateway.connections.fanout.fanout import Fanout
from gateway.connections.hub.stats import KindStats
from gateway.protocol.messages import EndReason, Kind
from gateway.streams.stream import Stream


class PastStreams:
    """Counters of streams that have ended.

    Attributes:
        kinds: by the kind of the streams.
        consumers: of the consumers of these streams.
        ended: number of these streams by the reason of their end.
    """

    def __init__(self) -> None:
        self.kinds = {kind: KindStats() for kind in Kind}
        self.consumers = ConsumerStats()
        self.ended: Counter[EndReason] = Counter(dict.fromkeys(EndReason, 0))

    def add(self, stream: Stream, fanout: Fanout, reason: EndReason) -> None:
        """Add the counters of a stream and of its fan-out, which has no receivers any more."""
        _, messages, nbytes, delivered = self.kinds[stream.kind]
        messages, nbytes = messages + stream.next_offset, nbytes + stream.published_bytes
        self.kinds[stream.kind] = KindStats(0, messages, nbytes, delivered + fanout.delivered_messages)
        if isinstance(fanout, ConsumerFanout):
            # Messages that are to become dead letters may be held for a while.
            self.consumers = self.consumers.plus(fanout.stats()._replace(held_bytes=0))
        self.ended[reason] += 1
