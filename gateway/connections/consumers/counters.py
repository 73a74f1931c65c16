"""What consumers count, added up: also of those that are gone, so that sums never go back."""

from __future__ import annotations

from collections.abc import Collection
from typing import NamedTuple, Protocol


class CountingConsumer(Protocol):
    """What a consumer counts."""

    delivered: int
    replayed: int
    expired: int
    dead_lettered: int


class ConsumerCounters(NamedTuple):
    """In messages, each consumer counted."""

    delivered: int = 0
    """For the first time."""
    redelivered: int = 0
    """Once more."""
    expired: int = 0
    """Not delivered, for their deadline had passed."""
    dead_lettered: int = 0
    """Delivered, or kept, in vain."""

    @property
    def deliveries(self) -> int:
        """All of them."""
        return self.delivered + self.redelivered

    def plus(self, consumers: Collection[CountingConsumer]) -> ConsumerCounters:
        """With what these have counted. Column by column: there may be thousands, and a scrape asks all of them."""
        return ConsumerCounters(
            self.delivered + sum([consumer.delivered for consumer in consumers]),
            self.redelivered + sum([consumer.replayed for consumer in consumers]),
            self.expired + sum([consumer.expired for consumer in consumers]),
            self.dead_lettered + sum([consumer.dead_lettered for consumer in consumers]),
        )
