"""Numbers of the consumers of one stream, or of several streams, added up."""

from __future__ import annotations

from collections.abc import Collection
from typing import NamedTuple, Protocol


class CountingConsumer(Protocol):
    """Counters of one consumer, in messages."""

    delivered: int
    redelivered: int
    expired: int
    dead_lettered: int


class ConsumerStats(NamedTuple):
    """Numbers of consumers at one moment. Messages count once for each consumer."""

    present: int = 0
    """Consumers whose client is connected."""
    absent: int = 0
    """Consumers whose client is gone and waited for."""
    pending: int = 0
    """Units that are not acknowledged."""
    held_bytes: int = 0
    """Cost in memory of the units that are held, each counted once."""
    delivered_messages: int = 0
    """Messages delivered for the first time."""
    redelivered_messages: int = 0
    """Messages delivered once more."""
    expired_messages: int = 0
    """Messages whose deadline passed before they were delivered."""
    dead_lettered_messages: int = 0
    """Messages that became dead letters, delivered or kept in vain."""

    @property
    def deliveries(self) -> int:
        """All deliveries of messages."""
        return self.delivered_messages + self.redelivered_messages

    def plus(self, other: ConsumerStats) -> ConsumerStats:
        """Return the sums of two streams."""
        return ConsumerStats(*[mine + others for mine, others in zip(self, other, strict=True)])

    def counting(self, consumers: Collection[CountingConsumer]) -> ConsumerStats:
        """Return these numbers with the counters of some consumers added, so that sums never go back.

        Adds column by column: there may be thousands of consumers, and a scrape asks all of them.
        """
        return self._replace(
            delivered_messages=self.delivered_messages + sum([each.delivered for each in consumers]),
            redelivered_messages=self.redelivered_messages + sum([each.redelivered for each in consumers]),
            expired_messages=self.expired_messages + sum([each.expired for each in consumers]),
            dead_lettered_messages=self.dead_lettered_messages + sum([each.dead_lettered for each in consumers]),
        )
