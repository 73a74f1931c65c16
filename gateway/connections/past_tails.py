"""Past tails: the past of some durable streams, from where clients begin to read it, in memory for those to join.

Behind a restart the past of a durable stream is in the store alone, and clients come back by hundreds. Each one that
reads it there waits for a thread; from memory it is served at once.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final, NamedTuple

from gateway.connections.ports import Clock, PastReader
from gateway.streams.history import KEEP_ALL, EntriesRead, Entry, History, HistoryBudget
from gateway.streams.span import held_bytes_of, offsets_of
from gateway.streams.stream import Stream

MAX_BYTES: Final = 64 * 1024 * 1024
"""Bytes of all tails."""
MAX_TAIL_BYTES: Final = 16 * 1024 * 1024
"""Bytes of one tail: what follows stays in the store."""
MAX_TAILS: Final = 256
"""Tails: all of them are looked at with each plan."""
PIECE_BYTES: Final = 1024 * 1024
"""Bytes that are loaded at a time."""

MAX_MISSED: Final = 1024
"""Streams whose reads from the store are counted."""
MISSED_S: Final = 10.0
"""Time without a further read after which those of a stream are forgotten."""
MAX_CONTINUED: Final = 64
"""Bound on the reads of one stream whose continuation is told from a new one."""


class PastStats(NamedTuple):
    """Numbers for monitoring."""

    hits: int = 0
    """Number of reads of durable streams that were answered from tails in memory."""
    misses: int = 0
    """Number of reads that had to be answered from the store."""
    held_bytes: int = 0
    """Bytes of all tails."""


class PastUse(NamedTuple):
    """Use of the past of one stream."""

    stream: Stream
    joins: int
    """Receivers that have begun to read it from the store, lately."""
    loaded: bool
    """Whether its tail is in memory."""
    idle_s: float
    """Time since it was read last."""


class _Reads:
    """Use of one stream in the store."""

    __slots__ = ("continued", "first", "joins", "last_s")

    def __init__(self, first: int) -> None:
        self.joins = 0
        self.first = first
        self.last_s = 0.0
        self.continued: set[int] = set()
        """Offsets at which reads go on."""


class _Tail:
    """Tail of one stream, as far as it is loaded."""

    __slots__ = ("history", "stream", "used_s")

    def __init__(self, stream: Stream, history: History, used_s: float) -> None:
        self.stream = stream
        self.history = history
        self.used_s = used_s


class PastTails:
    """The :class:`~gateway.connections.ports.PastReader` that has some tails in memory, before the one that has all.

    Args:
        store: reads the past of all streams.
        clock: tells what has not been used for a while.

    """

    def __init__(self, store: PastReader, clock: Clock) -> None:
        self._store = store
        self._clock = clock
        self._budget = HistoryBudget(2 * MAX_BYTES)
        self._tails: dict[str, _Tail] = {}
        """Tails by the names of the streams; one whose stream has ended is given up at the next look."""
        self._reads: dict[Stream, _Reads] = {}
        self._hits = self._misses = 0

    def __len__(self) -> int:
        """Return the number of tails."""
        return len(self._tails)

    def stats(self) -> PastStats:
        """Return the numbers of now."""
        return PastStats(self._hits, self._misses, self._budget.held_bytes)

    def read(self, stream: Stream, first: int, last: int, max_bytes: int, done: EntriesRead) -> None:
        """Read as :meth:`~gateway.connections.ports.PastReader.read` does."""
        if stream.stored_first is None or first >= stream.history.first:
            self._store.read(stream, first, last, max_bytes, done)
            return
        tail = self._tail_of(stream)
        if tail is not None and max(tail.history.first, stream.stored_first) <= first < tail.history.next_offset:
            self._hits += 1
            tail.used_s = self._clock.monotonic_s()
            done(tail.history.read(first, min(last, tail.history.next_offset - 1), max_bytes))
            return
        self._misses += 1
        reads = self._count(stream, first)
        if reads is None:
            self._store.read(stream, first, last, max_bytes, done)
            return

        def taken(entries: Sequence[Entry] | Exception) -> None:
            if not isinstance(entries, Exception) and entries and len(reads.continued) < MAX_CONTINUED:
                reads.continued.add(offsets_of(entries[-1])[1] + 1)
            done(entries)

        self._store.read(stream, first, last, max_bytes, taken)

    def uses(self) -> Iterator[PastUse]:
        """Yield the streams that have a tail, or could have one, and forget those whose past is not read any more."""
        now_s = self._clock.monotonic_s()
        for stream, reads in list(self._reads.items()):
            if stream.ended is not None or now_s - reads.last_s > MISSED_S:
                del self._reads[stream]
            elif self._tail_of(stream) is None and self._has_room:
                yield PastUse(stream, reads.joins, loaded=False, idle_s=now_s - reads.last_s)
        for name, tail in list(self._tails.items()):
            if tail.stream.ended is not None:
                self.drop(name)
            else:
                yield PastUse(tail.stream, 0, loaded=True, idle_s=now_s - tail.used_s)

    def _tail_of(self, stream: Stream) -> _Tail | None:
        """Return the tail of a stream, not of an earlier one of its name."""
        tail = self._tails.get(stream.name)
        return None if tail is None or tail.stream is not stream else tail

    @property
    def _has_room(self) -> bool:
        return len(self._tails) < MAX_TAILS and self._budget.held_bytes < MAX_BYTES

    def has(self, name: str) -> bool:
        """Return whether a stream has a tail."""
        return name in self._tails

    def load(self, name: str) -> bool:
        """Begin to load the tail of a stream that was read from the store; return whether it has one now."""
        for stream, reads in self._reads.items():
            if stream.name == name and stream.ended is None and self._tail_of(stream) is None and self._has_room:
                self.drop(name)  # that of an earlier stream
                history = History(KEEP_ALL, self._budget, max(reads.first, stream.stored_first or 0))
                self._tails[name] = tail = _Tail(stream, history, self._clock.monotonic_s())
                self._load_on(tail)
                break
        return self.has(name)

    def drop(self, name: str) -> None:
        """Give up the tail of a stream."""
        tail = self._tails.pop(name, None)
        if tail is not None:
            tail.history.close()

    def _count(self, stream: Stream, first: int) -> _Reads | None:
        """Count a read from the store; ``None``: very many streams are read."""
        reads = self._reads.get(stream)
        if reads is None:
            if len(self._reads) >= MAX_MISSED:
                return None
            reads = self._reads[stream] = _Reads(first)
        reads.last_s = self._clock.monotonic_s()
        if first in reads.continued:
            reads.continued.discard(first)
        else:
            reads.joins += 1
            reads.first = min(reads.first, first)
        return reads

    def _load_on(self, tail: _Tail) -> None:
        """Load the next piece."""
        stream, history = tail.stream, tail.history
        last = stream.history.first - 1
        if history.next_offset > last:
            return

        def taken(entries: Sequence[Entry] | Exception) -> None:
            if self._tail_of(stream) is not tail:
                return  # given up meanwhile
            if isinstance(entries, Exception) or not entries:
                return
            for entry in entries:
                size = held_bytes_of(entry)
                is_full = history.held_bytes + size > MAX_TAIL_BYTES or self._budget.held_bytes + size > MAX_BYTES
                if is_full or offsets_of(entry)[0] != history.next_offset:  # or the store has dropped what was to come
                    return
                history.append(entry)
            self._load_on(tail)

        self._store.read(stream, history.next_offset, last, PIECE_BYTES, taken)
