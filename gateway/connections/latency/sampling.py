"""Sampling of deliveries: some messages of some streams, and some receivers of each, chosen at random.

Streams that are not sampled cost nothing; the others have a tap, which their next message takes away.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator, Sequence
from itertools import islice
from random import Random
from typing import Final

from gateway.connections.fanout.fanout import Fanout
from gateway.connections.fanout.pubsub_fanout import PubSubFanout
from gateway.connections.latency.followed_message import MAX_FOLLOWED_S, FollowedMessage, follow
from gateway.connections.latency.latencies import Latencies
from gateway.connections.outbound.connection import Connection
from gateway.connections.outbound.no_entries import with_entry
from gateway.connections.ports import Clock
from gateway.connections.sweeps import Sweep
from gateway.protocol.wire import TIMESTAMP_AT
from gateway.streams.large import LargeMessage
from gateway.streams.run import Run

SWEEP_S: Final = 0.1
"""Time between two looks at the streams: of each at most one message is sampled meanwhile."""

MAX_STREAMS: Final = 16
"""Streams and views from which a message is awaited at a time. Streams that had none lately have half of the places."""

MAX_RECEIVERS: Final = 8
"""Receivers to which a message is followed."""

MAX_FOLLOWED: Final = 128
"""Messages that are followed at a time; for a receiver that takes nothing, one is followed for a minute."""

PATIENCE_S: Final = 1.0
"""Longest time for which a stream has its place."""

SEEN_AT_ONCE: Final = 1024
"""Streams that are looked at in one sweep, for those that have had a message since the sweep before."""

LOOK_S: Final = 0.002
"""Time between two looks at messages that wait, whatever their number: a look takes some 5 us for each receiver."""

_TIMESTAMP: Final = struct.Struct("<q")


class _Tap:
    """Tap on one stream, for its next message."""

    __slots__ = ("_came", "ends_s", "fanout", "is_waiting")

    def __init__(
        self, fanout: PubSubFanout, ends_s: float, came: Callable[[PubSubFanout, Run | LargeMessage], object]
    ) -> None:
        self.fanout = fanout
        self.ends_s = ends_s
        self.is_waiting = False
        self._came = came

    def wait(self) -> None:
        if not self.is_waiting:
            self.is_waiting = True
            self.fanout.taps = with_entry(self.fanout.taps, self._take, None)

    def end(self) -> None:
        self.fanout.taps.pop(self._take, None)

    def _take(self, message: Run | LargeMessage) -> None:
        self.is_waiting = False
        self.end()
        self._came(self.fanout, message)


class LatencySampling:
    """Samples of the delivery latency of all streams whose receivers do not acknowledge, and of their views.

    Args:
        fanouts: returns the fan-outs of all streams and views.
        clock: the time, and the end of turns.
        chance: chooses receivers.

    Attributes:
        latencies: latencies so far.
        sweep: its recurring work.
    """

    def __init__(self, fanouts: Callable[[], Sequence[Fanout]], clock: Clock, chance: Random) -> None:
        self.latencies = Latencies()
        self.sweep = Sweep(lambda: SWEEP_S, self.look)
        self._fanouts = fanouts
        self._clock = clock
        self._chance = chance
        self._taps: dict[PubSubFanout, _Tap] = {}
        self._followed = 0
        self._round: Iterator[Fanout] = iter(())
        """Fan-outs that are to be looked at until all have been."""
        self._seen: list[PubSubFanout] = []
        """Fan-outs that were looked at in the sweep before."""
        self._delivered: list[int] = []
        """Offsets behind their last messages, then."""

    def look(self) -> None:
        """Wait for a message of each stream that is sampled, and choose those that are sampled from now on."""
        now_s, taps = self._clock.monotonic_s(), self._taps
        for tap in [tap for tap in taps.values() if now_s >= tap.ends_s]:
            tap.end()
            del taps[tap.fanout]
        busy: list[PubSubFanout] = []
        idle: list[PubSubFanout] = []
        for fanout, before in zip(self._seen, self._delivered, strict=True):
            if fanout not in taps:
                (idle if fanout.delivered == before else busy).append(fanout)
        for others, places in ((busy, MAX_STREAMS), (idle, MAX_STREAMS // 2)):
            free = max(0, places - len(taps))
            for fanout in self._chance.sample(others, min(free, len(others))):
                # Not all for the same time: the streams that are looked at in turn would meet the same sweeps again.
                taps[fanout] = _Tap(fanout, now_s + self._chance.uniform(PATIENCE_S / 2, PATIENCE_S), self._came)
        for tap in taps.values():
            tap.wait()
        self._see()

    def _see(self) -> None:
        """Note where the next streams stand."""
        part = list(islice(self._round, SEEN_AT_ONCE))
        if not part:
            self._round = iter(self._fanouts())
            part = list(islice(self._round, SEEN_AT_ONCE))
        self._seen = [fanout for fanout in part if isinstance(fanout, PubSubFanout)]
        self._delivered = [fanout.delivered for fanout in self._seen]

    def _came(self, fanout: PubSubFanout, message: Run | LargeMessage) -> None:
        last = message.last if isinstance(message, Run) else message.offset
        published_ns = published_ns_of(message)
        age_s = (self._clock.time_ns() - published_ns) / 1e9
        # The time may be that of a publish that is repeated after an outage, or of a clock that nobody sets.
        if last is not None and abs(age_s) < MAX_FOLLOWED_S and self._followed < MAX_FOLLOWED:
            self._followed += 1
            # Behind the flush of the delivery classes: most receivers have the message then.
            self._clock.call_soon(lambda: self._begin(fanout, last, published_ns))

    def _begin(self, fanout: PubSubFanout, last: int, published_ns: int) -> None:
        receivers = some_receivers(fanout, self._chance)
        followed = FollowedMessage(fanout.source, last, published_ns, receivers)
        follow(followed, self._clock, self._took, self._ended, lambda: LOOK_S * self._followed)

    def _took(self, latency_s: float) -> None:
        self.latencies.add(self._clock.monotonic_s(), latency_s)

    def _ended(self) -> None:
        self._followed -= 1


def some_receivers(fanout: PubSubFanout, chance: Random) -> list[Connection]:
    """Return up to :data:`MAX_RECEIVERS` receivers of a fan-out, each with the same chance.

    A delivery class that has had nothing but large messages does not tell fast members from slow ones, and to look at
    all of very many would take long: only the first ones have a chance there.
    """
    groups: list[Sequence[Connection]] = []
    for delivery in fanout.classes:
        is_sorted = delivery.fast or delivery.slow
        groups += (delivery.fast, delivery.slow) if is_sorted else (list(islice(delivery, MAX_RECEIVERS)),)
    count = sum(map(len, groups))
    found: list[Connection] = []
    for place in chance.sample(range(count), min(count, MAX_RECEIVERS)):
        for members in groups:
            if place < len(members):
                found.append(members[place])
                break
            place -= len(members)
    return found


def published_ns_of(message: Run | LargeMessage) -> int:
    """Return the Unix time in ns at which a message was published, or the last one of a run."""
    if isinstance(message, LargeMessage):
        return message.timestamp_ns
    published_ns: int
    (published_ns,) = _TIMESTAMP.unpack_from(message.buffers[0], message.last_at + TIMESTAMP_AT)
    return published_ns
