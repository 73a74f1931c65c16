"""Rates of streams: differences between two looks at the counters that streams keep anyway."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

from gateway.connections.ports import Clock
from gateway.streams.stream import Stream

LEAST_S: Final = 0.5
"""Shortest time that a rate is taken over: a single message more makes little of it."""
LONGEST_S: Final = 60.0
"""Longest time that a rate is taken over: it says what streams do now."""


class Rates(NamedTuple):
    """Rates of one stream."""

    messages_per_s: float
    bytes_per_s: float


class RateColumns(NamedTuple):
    """Rates of many streams, each with its own in the same place."""

    messages_per_s: npt.NDArray[np.float64]
    bytes_per_s: npt.NDArray[np.float64]

    def at(self, place: int) -> Rates:
        """Return the rates of one stream."""
        return Rates(float(self.messages_per_s[place]), float(self.bytes_per_s[place]))


class StreamCounters(NamedTuple):
    """Counters of many streams, in the order of their ids."""

    ids: npt.NDArray[np.int64]
    messages: npt.NDArray[np.int64]
    bytes: npt.NDArray[np.int64]

    def since(self, before: StreamCounters) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
        """Return how much messages and bytes have grown; a stream that was not there before has had all since."""
        if not len(before.ids):
            return self.messages, self.bytes
        at = np.minimum(np.searchsorted(before.ids, self.ids), len(before.ids) - 1)
        known = before.ids[at] == self.ids
        return self.messages - before.messages[at] * known, self.bytes - before.bytes[at] * known


class Look:
    """Counters of all streams at one time, and the rates since an earlier look. Takes 24 bytes a stream.

    Args:
        at_s: time of the look.
        before: the earlier look, complete; ``None``: there are no rates.

    Attributes:
        at_s: time of the look.
        counters: the counters, once it is complete.
    """

    def __init__(self, at_s: float, before: Look | None) -> None:
        self.at_s = at_s
        self.counters = _counters_of(())
        self._before = before
        self._parts: list[StreamCounters] = []

    def rates_of(self, streams: Sequence[Stream]) -> RateColumns | None:
        """Note the counters of the next streams, and return their rates; called with all in the order of their ids."""
        counters = _counters_of(streams)
        self._parts.append(counters)
        if self._before is None:
            return None
        messages, size = counters.since(self._before.counters)
        passed_s = self.at_s - self._before.at_s
        return RateColumns(messages / passed_s, size / passed_s)

    def close(self) -> None:
        """Take note that all streams have come, and forget the earlier look."""
        self._before = None
        if self._parts:
            self.counters = StreamCounters(*[np.concatenate(column) for column in zip(*self._parts, strict=True)])
            self._parts.clear()


def _counters_of(streams: Sequence[Stream]) -> StreamCounters:
    return StreamCounters(
        np.array([stream.id for stream in streams], np.int64),
        np.array([stream.next_offset for stream in streams], np.int64),
        np.array([stream.published_bytes for stream in streams], np.int64),
    )


class StreamRates:
    """The last looks of any client, by which the next one has rates at once.

    Args:
        clock: tells the time of a look.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._newest: Look | None = None
        self._older: Look | None = None
        """The look before the newest one."""

    def look(self) -> Look:
        """Begin a look; it has rates since the newest look that is old enough."""
        now_s = self._clock.monotonic_s()
        kept = [look for look in (self._newest, self._older) if look is not None]
        fitting = (look for look in kept if LEAST_S <= now_s - look.at_s <= LONGEST_S)
        return Look(now_s, next(fitting, None))

    def keep(self, look: Look) -> None:
        """Keep a look that is complete, unless the newest one is almost as new."""
        look.close()
        if self._newest is None or look.at_s - self._newest.at_s >= LEAST_S:
            self._newest, self._older = look, self._newest
