"""Latency of one stream of large messages, for as long as somebody wants to know it."""

from __future__ import annotations

from random import Random
from typing import Final, NamedTuple

from gateway.connections.fanout.pubsub_fanout import PubSubFanout
from gateway.connections.latency.followed_message import MAX_FOLLOWED_S, FollowedMessage, follow
from gateway.connections.latency.sampling import some_receivers
from gateway.connections.outbound.no_entries import with_entry
from gateway.connections.ports import Clock
from gateway.streams.large import LargeMessage
from gateway.streams.run import Run

LOOK_S: Final = 0.001
"""Time between two looks at a message that waits: some 5 us for each of at most eight receivers."""


class LargeContent(NamedTuple):
    """Properties of the newest large message of a stream."""

    publisher: int
    """Connection that has published it."""
    payload_bytes: int
    """Size of the decoded payload."""
    chunk_bytes: int
    encoded: bool
    """Whether its publisher has encoded it."""


class StreamLatency:
    """Latencies of the large messages of one stream, of which one is followed at a time.

    Args:
        fanout: delivers the stream.
        clock: the time, and the next look.
        chance: chooses receivers.

    Attributes:
        newest: properties of the newest large message; ``None``: none has come.
    """

    __slots__ = ("_chance", "_clock", "_fanout", "_is_following", "_number", "_sum_s", "newest")

    def __init__(self, fanout: PubSubFanout, clock: Clock, chance: Random) -> None:
        self.newest: LargeContent | None = None
        self._fanout = fanout
        self._clock = clock
        self._chance = chance
        self._is_following = False
        self._sum_s, self._number = 0.0, 0
        fanout.taps = with_entry(fanout.taps, self._came, None)

    def take(self) -> float | None:
        """Return the mean latency of the deliveries since the last call; ``None``: there was none."""
        mean_s = self._sum_s / self._number if self._number else None
        self._sum_s, self._number = 0.0, 0
        return mean_s

    def end(self) -> None:
        """Follow no further message."""
        self._fanout.taps.pop(self._came, None)

    def _came(self, message: Run | LargeMessage) -> None:
        if not isinstance(message, LargeMessage) or message.offset is None:
            return
        encoded = bool(message.chunks) and message.chunks[0].encoding is not None
        plan = message.plan
        self.newest = LargeContent(message.publisher, plan.payload_bytes, plan.chunk_bytes, encoded)
        followed = FollowedMessage(
            self._fanout.source, message.offset, message.timestamp_ns, some_receivers(self._fanout, self._chance)
        )
        if not self._is_following and followed.age_s(self._clock.time_ns()) < MAX_FOLLOWED_S:
            self._is_following = True
            self._clock.call_soon(lambda: follow(followed, self._clock, self._took, self._ended, lambda: LOOK_S))

    def _took(self, latency_s: float) -> None:
        self._sum_s += latency_s
        self._number += 1

    def _ended(self) -> None:
        self._is_following = False
