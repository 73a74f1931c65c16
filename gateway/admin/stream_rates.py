"""Rates of streams: differences between two looks at the counters that streams keep anyway."""

from __future__ import annotations

from array import array
from typing import Final, NamedTuple

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


class Look:
    """Counters of all streams at one time, and the rates since an earlier look. Takes 24 bytes a stream.

    Args:
        at_s: time of the look.
        before: the earlier look; ``None``: there are no rates.

    Attributes:
        at_s: time of the look.
    """

    def __init__(self, at_s: float, before: Look | None) -> None:
        self.at_s = at_s
        self._before = before
        self._ids = array("q")
        self._messages = array("q")
        self._bytes = array("q")
        self._next = 0
        """Index in the earlier look of the first stream that has not been passed."""

    def rates_of(self, stream: Stream) -> Rates | None:
        """Note the counters of the next stream, and return its rates; called for all streams in the order of their ids.

        A stream that has begun since the earlier look has had all its messages since.
        """
        self._ids.append(stream.id)
        self._messages.append(stream.next_offset)
        self._bytes.append(stream.published_bytes)
        before = self._before
        if before is None:
            return None
        while self._next < len(before._ids) and before._ids[self._next] < stream.id:
            self._next += 1
        messages, size = stream.next_offset, stream.published_bytes
        if self._next < len(before._ids) and before._ids[self._next] == stream.id:
            messages -= before._messages[self._next]
            size -= before._bytes[self._next]
        passed_s = self.at_s - before.at_s
        return Rates(messages / passed_s, size / passed_s)

    def close(self) -> None:
        """Forget the earlier look."""
        self._before = None


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
