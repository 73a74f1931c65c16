"""Messages that a receiver has not got and history still has: a hole in its queue that is filled when its turn comes.

So what a slow receiver misses costs no memory of its own, and one that comes back is served like one that was slow.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple, Protocol

from gateway.errors import Code
from gateway.protocol.signals import Gap, Replay
from gateway.streams.large import LargeMessage, StoredChunk
from gateway.streams.run import Run, Source

STEP_BYTES = 256 * 1024
"""What is read from history at a time: a few writes to the transport."""


class LargeForm(NamedTuple):
    """A large message, and its chunks in an encoding that the receiver knows."""

    message: LargeMessage
    form: list[StoredChunk]


Found = Run | LargeForm | Gap
"""What history gives to a receiver, in order; a gap stands for what this one cannot take."""

Taken = Callable[[Sequence[Found]], object]
Read = Callable[[int, int, int, Taken], object]
"""Reads (first offset, last offset, about so many bytes) and calls back with what there is: at once, or later."""


class BackfillReader(Protocol):
    """What a hole needs of the connection that it is a hole for."""

    max_message_bytes: int
    """The payload of the largest message that it takes."""

    def read_backfill(self, source: Source, first: int, last: int, max_bytes: int, taken: Taken) -> None:
        """Read from the history of a source what the connection can take."""

    def drain(self) -> None:
        """Go on sending."""


class Backfill:
    """The messages ``first .. last`` of a source.

    Args:
        code: why they were not sent when they were published; 0: the receiver asked for them.

    Attributes:
        replayed: how many of them were found so far.
        lost: how many were not.
    """

    __slots__ = ("_announced", "_found", "_reading", "code", "first", "last", "lost", "replayed", "source")

    def __init__(self, source: Source, first: int, last: int, code: int) -> None:
        self.source = source
        self.first = first
        self.last = last
        self.code = code
        self.replayed = 0
        self.lost = 0
        self._announced = False
        self._reading = False
        self._found: Sequence[Found] | None = None

    @property
    def over(self) -> bool:
        """Whether everything was taken."""
        return self.first > self.last

    def take(self, reader: BackfillReader) -> list[Found | Replay] | None:
        """The next part, to be sent in this order; ``None`` while it is read: ``reader`` is drained when it came."""
        if self._found is None and not self._reading:
            self._read(reader)
        found, self._found = self._found, None
        return None if found is None else self._in_order(found, reader.max_message_bytes)

    def _read(self, reader: BackfillReader) -> None:
        at_once = self._reading = True

        def taken(found: Sequence[Found]) -> None:
            self._reading = False
            self._found = found
            if not at_once:
                reader.drain()

        reader.read_backfill(self.source, self.first, self.last, STEP_BYTES, taken)
        at_once = False

    def _in_order(self, found: Sequence[Found], max_message_bytes: int) -> list[Found | Replay]:
        parts: list[Found | Replay] = []
        for entry in found:
            first, last = _offsets_of(entry)
            if first > self.first:
                parts.append(self._lose(first - 1))
            if isinstance(entry, LargeForm) and entry.message.plan.payload_bytes > max_message_bytes:
                entry = Gap(self.source.id, Code.MESSAGE_TOO_BIG, first, last)
            if isinstance(entry, Gap):
                self.lost += last - first + 1
            else:
                if not self._announced:
                    self._announced = True
                    parts.append(Replay(self.source.id, self.code, self.first, self.last))
                # A record batch may reach over both ends: what the receiver has already is not replayed.
                self.replayed += min(last, self.last) - self.first + 1
            parts.append(entry)
            self.first = last + 1
        if not found:
            parts.append(self._lose(self.last))
        return parts

    def _lose(self, last: int) -> Gap:
        gap = Gap(self.source.id, self.code or Code.HISTORY_LOST, self.first, last)
        self.lost += last - self.first + 1
        self.first = last + 1
        return gap


def _offsets_of(entry: Found) -> tuple[int, int]:
    if isinstance(entry, LargeForm):
        offset = entry.message.offset or 0
        return offset, offset
    return entry.first, entry.last
