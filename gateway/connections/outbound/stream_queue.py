"""Queue of one stream (or inbox) towards one receiver: messages and signals in the order in which they are sent."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Collection, MutableSequence, Sequence
from dataclasses import dataclass, field
from typing import Final, Protocol

from gateway.connections.lagging.bulk import UNPACED, Bulk
from gateway.connections.lagging.cursor import ChunkReceiver, Cursor
from gateway.connections.lagging.pending_snapshot import PendingSnapshot, SnapshotReader
from gateway.connections.outbound.backfill import Backfill, BackfillReader, LargeForm
from gateway.errors import Code
from gateway.protocol.messages import Error, StreamInfo
from gateway.protocol.signals import Gap, Replay
from gateway.streams.large import LargeMessage, StoredChunk
from gateway.streams.run import Run, Source

CATCH_UP_BYTES = 64 * 1024
"""Small messages to a receiver that catches up are joined into WebSocket messages of about this size."""

SIGNALS: Final = (Gap, Replay, StreamInfo, Error)
SIZED: Final = (Run, Cursor)
AWAITED: Final = (Backfill, PendingSnapshot)

FEW_ENTRIES = 64
"""Entries of a queue that are kept in a list, and up to which its large messages are looked at one by one."""


class Receiver(BackfillReader, ChunkReceiver, SnapshotReader, Protocol):
    """Connection as its outbox needs it."""

    paused: bool
    """The transport holds more than high water."""

    def write_runs(self, runs: list[Run]) -> None:
        """Send runs as one WebSocket message."""

    def write_end(self, message: LargeMessage) -> None:
        """Send END."""

    def send_signal(self, source: Source, signal: Gap | Replay | StreamInfo | Error) -> None:
        """Send a signal about messages of a source, its end, or why a view of it does not fit."""


QueueEntry = Run | Cursor | PendingSnapshot | Gap | Replay | Backfill | StreamInfo | Error
"""Entry of a queue; STREAM tells the end of the stream, and is the last one."""


@dataclass(slots=True, eq=False)
class StreamQueue:
    """The queue of one stream (or inbox) towards this receiver."""

    source: Source
    """The stream or inbox."""
    resumes: dict[int, int] = field(default_factory=dict)
    """Numbers of chunks that the receiver has of large messages from an earlier connection, by transfer."""
    bulk: Bulk = UNPACED
    """Rule for the messages that wait for the link."""
    entries: MutableSequence[QueueEntry] = field(default_factory=list, init=False)
    """Messages and signals in order of offsets. A cursor is a large message that has its offset; entries behind it wait
    for its END. A backfill stands for messages that are to be read from history."""
    open: Sequence[Cursor] = field(default=(), init=False)
    """Large messages under way that have no offset yet: their chunks are sent as they come."""
    waiting_bytes: int = field(default=0, init=False)
    """Bytes of the messages in ``entries``, large ones at their full size."""
    again: int | None = field(default=None, init=False)
    """Offset of a message that the receiver has got before and asked for once more."""
    replayed: int = field(default=0, init=False)
    """Messages that were sent from history, and not counted by the outbox yet."""
    lost: int = field(default=0, init=False)
    """Messages that history had lost, and not counted by the outbox yet."""
    taken_bytes: int = field(default=0, init=False)
    """Bytes of messages and of chunks, decoded, that were sent, and not counted by the outbox yet."""
    counted_bytes: int = field(default=0, init=False)
    counted_backlog_bytes: int = field(default=0, init=False)
    counted_bounded_bytes: int = field(default=0, init=False)
    counted_left: bool = field(default=False, init=False)
    size_class: int = field(default=0, init=False)
    has_large: bool = field(default=False, init=False)
    """See :class:`~gateway.connections.lagging.event_backlog.EventQueue`."""
    _left: int = field(default=0, init=False)
    """Backfills in ``entries`` for messages that did not fit."""

    @property
    def idle(self) -> bool:
        """Whether everything that has come was sent."""
        return not self.entries and all(cursor.caught_up for cursor in self.open)

    @property
    def sends_runs(self) -> bool:
        """Whether small messages are next."""
        return bool(self.entries) and isinstance(self.entries[0], Run)

    @property
    def needs_link(self) -> bool:
        """Whether nothing can be sent before the link takes a chunk, or a message as large."""
        head = self.entries[0] if self.entries else None
        return isinstance(head, Cursor | PendingSnapshot) or self.bulk.holds(head) or (head is None and bool(self.open))

    @property
    def waits(self) -> bool | None:
        """Whether it has begun to wait for history, or for a version that is merged; ``None``: it need not."""
        head = self.entries[0] if self.entries else None
        return head.requested if isinstance(head, AWAITED) and not self.open else None

    @property
    def backlog_bytes(self) -> int:
        """Bytes of the messages behind the first one, which is being sent or is the next to be sent."""
        first = self._first()
        return 0 if first is None else self.waiting_bytes - _size_of(first)

    def bounded_bytes(self, *, waited_for: bool) -> int:
        """Return the bytes that count against the bound: all but those of some large messages.

        Two large messages do not count, the first one, and behind it the newest one, or the oldest one if that is
        larger: so the bound admits one message of any size while another is sent. While the receiver is waited for by
        publishers, the newest large message of each of them does not count. Small messages count in any case.
        """
        if not self.has_large:
            return self.waiting_bytes
        first = self._first()
        if first is None:
            return 0
        spared = self._spared() if waited_for else ()
        if spared:
            behind_bytes = sum([cursor.size for cursor in spared])
        elif self.entries[-1] is first:
            behind_bytes = 0
        else:
            at = self._oldest_waiting()
            oldest_bytes = 0 if at is None else _large_size_of(self.entries[at])
            behind_bytes = max(oldest_bytes, _large_size_of(self.entries[-1]))
        return self.waiting_bytes - _large_size_of(first) - behind_bytes

    @property
    def left_to_history(self) -> bool:
        """Whether messages that did not fit are still to be read from history."""
        return self._left > 0

    def put(self, entry: Run | Cursor | PendingSnapshot) -> None:
        """Add a message behind all others."""
        entries = self.entries
        if len(entries) >= FEW_ENTRIES and isinstance(entries, list):
            # A deque gives up its first entry at once, but takes 600 bytes when it is empty.
            self.entries = entries = deque(entries)
        entries.append(entry)
        self.waiting_bytes += _size_of(entry)
        if isinstance(entry, Cursor):
            self.has_large = True

    def put_gap(self, gap: Gap) -> None:
        """Add a gap behind all messages; one that goes on from the gap before it makes that longer."""
        last = self.entries[-1] if self.entries else None
        if isinstance(last, Gap) and last.last + 1 == gap.first and (last.stream, last.code) == (gap.stream, gap.code):
            self.entries[-1] = Gap(gap.stream, gap.code, last.first, gap.last)
        else:
            self.entries.append(gap)

    def withdraw(self, wanted: Callable[[Run | Cursor], bool]) -> Run | Cursor | None:
        """Remove and return the first message that is wanted back; ``None`` if none waits."""
        for entry in self.entries:
            if isinstance(entry, SIZED) and wanted(entry):
                self.entries.remove(entry)
                self.waiting_bytes -= entry.size
                return entry
        return None

    def send_some(self, receiver: Receiver) -> bool:
        """Send some runs, one signal or one chunk. Return False if nothing can be sent now."""
        entries = self.entries
        if entries:
            head = entries[0]
            if isinstance(head, PendingSnapshot):
                keyframe = head.take(receiver)
                if keyframe is None:
                    return self._advance_open(receiver)
                if isinstance(keyframe, LargeMessage):
                    head = Cursor(keyframe, keyframe.chunks, 0, started=False)
                    self.has_large = True
                else:
                    head = keyframe
                self.waiting_bytes += _size_of(head) - _size_of(entries[0])
                entries[0] = head
            if isinstance(head, Run):
                if self.bulk.holds(head) and not receiver.bulk_open:
                    return self._advance_open(receiver)
                receiver.write_runs(self.take_runs(CATCH_UP_BYTES))
                return True
            if isinstance(head, SIGNALS):
                del entries[0]
                receiver.send_signal(self.source, head)
                return True
            if isinstance(head, Backfill):
                return self._fill(head, receiver) or self._advance_open(receiver)
            if self._advance(head, receiver):
                return True
            if head.lacks_only_end:
                del entries[0]
                self.waiting_bytes -= head.size
                receiver.write_end(head.message)
                return True
        return self._advance_open(receiver)

    def drop_oldest(self, *, waited_for: bool, to_the_last: bool = False) -> int:
        """Replace the oldest message behind the first one by a backfill, which leaves the message to history.

        The first message stays, since it is being sent or is the next to be sent, and the newest one stays: a message
        larger than the bound gets through.

        Args:
            waited_for: whether publishers wait for the receiver; then the newest large message of each of them stays.
            to_the_last: whether the first message goes as well, unless it is under way, and the newest one.

        Returns:
            The size of the message; 0 if there is none.
        """
        entries = self.entries
        if to_the_last:
            at = next((at for at, entry in enumerate(entries) if _is_unsent(entry)), None)
        else:
            at = self._oldest_waiting(self._spared() if waited_for else ())
        if at is None:
            return 0
        entry = entries[at]
        size = _size_of(entry)
        last = _last_of(entry) or 0
        first = entry.first if isinstance(entry, Run) else last
        before = entries[at - 1] if at else None
        if isinstance(before, Backfill) and before.code == Code.QUEUE_FULL and before.last == first - 1:
            before.last = last
            del entries[at]
        else:
            entries[at] = Backfill(self.source, first, last, Code.QUEUE_FULL)
            self._left += 1
        self.waiting_bytes -= size
        return size

    def _first(self) -> QueueEntry | None:
        """Return the first entry that is no signal."""
        return next((entry for entry in self.entries if not isinstance(entry, SIGNALS)), None)

    def _spared(self) -> Collection[Cursor]:
        """Return the newest large message of each publisher behind the first one; none if there are many entries."""
        if not self.has_large or len(self.entries) > FEW_ENTRIES:
            return ()
        first = self._first()
        large = [entry for entry in self.entries if isinstance(entry, Cursor) and entry is not first]
        return {cursor.message.publisher: cursor for cursor in large}.values()

    def _oldest_waiting(self, spared: Collection[Cursor] = ()) -> int | None:
        """Return the index of the oldest message behind the first one that may be dropped; ``None``: there is none."""
        behind_first = False
        for at, entry in enumerate(self.entries):
            if at == len(self.entries) - 1:
                break
            if isinstance(entry, SIGNALS):
                continue
            if behind_first and _is_unsent(entry) and entry not in spared:
                return at
            behind_first = True
        return None

    def has_room_for_delta(self, size: int, keyframe_bytes: int) -> bool:
        """Return whether a delta of ``size`` bytes may wait; otherwise a keyframe replaces all waiting messages.

        Twice the size of a keyframe may wait: so a receiver can take deltas while the version to which they refer is
        still being sent, and a receiver that keeps up with deltas, but not with keyframes, catches up.
        """
        return self.waiting_bytes + size <= 2 * keyframe_bytes

    def conflate(self, newest: int | None = None, *, again: bool = False) -> int:
        """Drop all queued messages that are not under way, for a newer one.

        Args:
            newest: offset of the newer message, which may be queued already; it is not missed.
            again: the receiver has got the newer message before.

        Returns:
            The number of messages that the receiver will miss.
        """
        entries = self.entries
        if not entries:
            if again:
                self.again = newest
            return 0
        if len(entries) == 1 and isinstance(first := entries[0], Run):  # so it is nearly always
            if again and first.last != newest:
                self.again = newest
            entries.clear()
            self.waiting_bytes = 0
            return first.count - (first.last in (newest, self.again))
        waiting = [entry for entry in entries if not is_under_way(entry)]
        if again and not any(_last_of(entry) == newest for entry in waiting):
            self.again = newest
        coming = (newest, self.again)
        counts = [entry.count if isinstance(entry, Run) else 1 for entry in waiting]
        conflated = sum(counts) - sum([_last_of(entry) in coming for entry in waiting])
        self.entries = [entry for entry in entries if is_under_way(entry)]
        self.waiting_bytes = sum(map(_size_of, self.entries))
        self._left = 0
        return conflated

    def end(self, info: StreamInfo) -> list[int]:
        """Drop all messages, also those under way: the stream has ended, of which ``info`` tells in place of them.

        Returns:
            Transfers of large messages that the receiver has a part of.
        """
        cursors = [entry for entry in (*self.entries, *self.open) if isinstance(entry, Cursor) and entry.started]
        begun = [cursor.message.plan.transfer for cursor in cursors]
        self.open = ()
        self.entries = [info]
        self.waiting_bytes = self._left = 0
        self.has_large = False
        return begun

    def cursor(self, message: LargeMessage, form: list[StoredChunk]) -> Cursor:
        """Return a cursor at the first chunk of a large message that the receiver has not got."""
        return Cursor(message, form, min(self.resumes.pop(message.plan.transfer, 0), len(form)), started=False)

    def _fill(self, backfill: Backfill, receiver: Receiver) -> bool:
        """Replace the part of a backfill that history has given. Return False if nothing has come yet."""
        parts = backfill.take(receiver)
        entries = self.entries
        # The callback of a read that ended at once may have emptied the queue.
        if parts is None or not entries or entries[0] is not backfill:
            return False
        self.replayed, backfill.replayed = self.replayed + backfill.replayed, 0
        self.lost, backfill.lost = self.lost + backfill.lost, 0
        if backfill.over:
            del entries[0]
            self._left -= bool(backfill.code)
        for part in reversed(parts):
            if isinstance(part, LargeForm):
                entries.insert(0, self.cursor(part.message, part.form))
                self.waiting_bytes += part.message.plan.payload_bytes
                self.has_large = True
            else:
                entries.insert(0, part)
                self.waiting_bytes += part.size if isinstance(part, Run) else 0
        return True

    def _advance(self, cursor: Cursor, receiver: Receiver) -> bool:
        """Send the head or the next chunk of a large message. Return False if nothing can be sent now."""
        index = cursor.sent
        if not cursor.advance(receiver):
            return False
        if cursor.sent > index:
            self.taken_bytes += cursor.message.plan.chunk_size(index)
        return True

    def _advance_open(self, receiver: Receiver) -> bool:
        """Send a part of the first large message under way that has one. Return False if nothing can be sent now."""
        return any(self._advance(cursor, receiver) for cursor in self.open)

    def take_runs(self, most_bytes: int) -> list[Run]:
        """Remove and return small messages of about so many bytes, which are sent now."""
        entries = self.entries
        runs: list[Run] = []
        size, bulk = 0, self.bulk
        while entries and size < most_bytes and isinstance(run := entries[0], Run) and not (runs and bulk.holds(run)):
            del entries[0]
            runs.append(run)
            size += run.size
        self.waiting_bytes -= size
        self.taken_bytes += size
        return runs


def is_under_way(entry: QueueEntry) -> bool:
    """Return whether a receiver has got the beginning of an entry, or is about to, so that none may take its place."""
    return (isinstance(entry, Cursor) and entry.started) or (isinstance(entry, PendingSnapshot) and entry.requested)


def _is_unsent(entry: QueueEntry) -> bool:
    """Return whether an entry is a message of which the receiver has got nothing."""
    return isinstance(entry, Run) or (isinstance(entry, Cursor) and not entry.started)


def _last_of(entry: QueueEntry) -> int | None:
    """Return the offset of an entry's last message; ``None`` if the entry is no message."""
    if isinstance(entry, Run):
        return entry.last
    if isinstance(entry, Cursor):
        return entry.message.offset
    return entry.patch.offset if isinstance(entry, PendingSnapshot) else None


def _size_of(entry: QueueEntry) -> int:
    if isinstance(entry, SIZED):
        return entry.size
    return entry.patch.payload_bytes if isinstance(entry, PendingSnapshot) else 0


def _large_size_of(entry: QueueEntry) -> int:
    return entry.size if isinstance(entry, Cursor) else 0
