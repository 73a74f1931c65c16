"""Links: the sweep over the connections of which there is something to measure.

A connection is sampled while it lags, for some time after, and as long as its link counts as slow. A sweep costs
nothing for the others, however many there are.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Generator
from functools import partial
from typing import Final, Generic, Protocol, TypeVar

from gateway.connections.lagging.lag_changes import LagChanges
from gateway.connections.link_tier import TIERS, tier_of
from gateway.connections.links.link import Link, LinkCounts
from gateway.connections.ports import Clock
from gateway.connections.receiver_profile import ReceiverProfile, shared
from gateway.protocol.signals import ReceiverReport

SAMPLE_S: Final = 0.5
"""Time between two samples of a connection that lags."""
SETTLED_SAMPLE_S: Final = 5.0
"""The same of one that has kept up for long, on a link that was slow."""
STEP: Final = 32
"""Connections that are sampled between two chances for the loop, at some 10 us each."""
MOST_SAMPLED: Final = 2048
"""Connections that are sampled in a sweep; of more each has its turn."""


class Measured(Protocol):
    """A connection, as far as it is measured."""

    link: Link | None
    profile: ReceiverProfile
    lagging: bool
    closed: bool


C = TypeVar("C", bound=Measured)


class Links(Generic[C]):
    """The measured connections.

    Args:
        lag_changes: knows the connections that lag.
        read: reads the counters of one.
        next_offset: of a stream that a connection receives, by its number; ``None``: it receives none such.
        clock: the time of a sample.
    """

    def __init__(
        self,
        lag_changes: LagChanges[C],
        read: Callable[[C], LinkCounts],
        next_offset: Callable[[C, int], int | None],
        clock: Clock,
    ) -> None:
        self._lag_changes = lag_changes
        self._read = read
        self._next_offset = next_offset
        self._clock = clock
        # The first of a dict is found behind all that were first before.
        self._sampled: OrderedDict[C, None] = OrderedDict()
        """Connections that are sampled; the first one is the next."""

    def __len__(self) -> int:
        """Return the number of connections that are sampled."""
        return len(self._sampled)

    def report(self, connection: C, report: ReceiverReport) -> None:
        """Take a report of a receiver into account."""
        now_s = self._clock.monotonic_s()
        if connection.link is None:
            connection.link = Link(now_s)
        connection.link.report(report, now_s, partial(self._next_offset, connection))

    def take_rate(self, connection: C, bytes_per_s: float) -> None:
        """Take a rate into account at which a receiver took bytes while nothing waited for it."""
        if connection.closed or (connection.link is None and tier_of(bytes_per_s) == TIERS[-1]):
            return
        now_s = self._clock.monotonic_s()
        if connection.link is None:
            connection.link = Link(now_s)
        self._sampled.setdefault(connection)
        connection.link.take_rate(bytes_per_s, now_s)
        self._follow(connection, connection.link)

    def sweep(self) -> Generator[None, None, None]:
        """Sample the connections that lag or have lagged; to be called every :data:`SAMPLE_S`. Yields now and then."""
        for connection in self._lag_changes.lagging:
            self._sampled.setdefault(connection)
        for number in range(1, min(len(self._sampled), MOST_SAMPLED) + 1):
            connection, _ = self._sampled.popitem(last=False)
            if self._sample(connection):
                self._sampled[connection] = None
            if not number % STEP:
                yield

    def _follow(self, connection: C, link: Link) -> None:
        """Give a connection the tier of its link."""
        if link.tier != connection.profile.tier:
            connection.profile = shared(connection.profile._replace(tier=link.tier))
            self._lag_changes.tiers.add(connection)

    def _sample(self, connection: C) -> bool:
        """Sample one connection; return whether to go on with it."""
        if connection.closed:
            return False
        now_s = self._clock.monotonic_s()
        link = connection.link
        if link is None:
            link = connection.link = Link(now_s)
        slow = link.tier != TIERS[-1]
        if slow and not connection.lagging and link.settled(now_s) and now_s - link.sampled_s < SETTLED_SAMPLE_S:
            return True
        link.sample(self._read(connection), now_s)
        self._follow(connection, link)
        if link.tier != TIERS[-1] or not link.settled(now_s):
            return True
        if link.reported_s is None:
            connection.link = None
        return False
