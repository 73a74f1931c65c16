"""What waits for one receiver of one stream (or inbox), in the order in which it is sent."""

from __future__ import annotations

from collections import deque
from typing import Protocol

from gateway.connections.outbound.backfill import Backfill, BackfillReader, LargeForm
from gateway.connections.outbound.pending_snapshot import PendingSnapshot, SnapshotReader
from gateway.errors import Code
from gateway.protocol.signals import Gap, Replay
from gateway.streams.large import LargeMessage, StoredChunk
from gateway.streams.run import Run, Source

CATCH_UP_BYTES = 64 * 1024
"""Small messages are sent to a catching-up receiver in WebSocket messages of about this size."""


class Receiver(BackfillReader, SnapshotReader, Protocol):
    """What an outbox needs of its connection."""

    paused: bool
    """More than high water is waiting in the transport."""

    def write_runs(self, runs: list[Run]) -> None:
        """Send runs as one WebSocket message."""

    def write_head(self, message: LargeMessage) -> None:
        """Send the data frame of a large message."""

    def write_chunk(self, message: LargeMessage, chunk: StoredChunk, index: int) -> None:
        """Send one chunk."""

    def write_end(self, message: LargeMessage) -> None:
        """Send END."""

    def send(self, message: Gap | Replay) -> None:
        """Send a signal."""


class Cursor:
    """How far a large message has come on its way to this receiver."""

    __slots__ = ("form", "message", "sent", "size", "started")

    def __init__(
        self, message: LargeMessage, form: list[StoredChunk], sent: int, started: bool, size: int | None = None
    ) -> None:
        self.message = message
        self.size = message.plan.payload_bytes if size is None else size
        self.form = form
        self.sent = sent
        self.started = started

    @property
    def caught_up(self) -> bool:
        """Whether every chunk that there is has been sent."""
        return self.started and self.sent == len(self.form)

    def advance(self, receiver: Receiver) -> bool:
        """Send the head or the next chunk; ``False`` if there is none yet, or the link takes none."""
        if not receiver.bulk_open:
            return False
        if not self.started:
            self.started = True
            receiver.write_head(self.message.as_resumed() if self.sent else self.message)
            return True
        if self.sent == len(self.form):
            return False
        index = self.sent
        self.sent += 1
        receiver.write_chunk(self.message, self.form[index], index)
        return True


Entry = Run | Cursor | PendingSnapshot | Gap | Replay | Backfill


class StreamQueue:
    """The queue of one stream (or inbox) towards this receiver.

    Attributes:
        entries: in order of offsets. A cursor among them is a large message that has its offset; those behind it wait
            for its END. Where messages were left out stands what is to be read from history.
        open: large messages under way that have no offset yet: their chunks flow as they come.
        resumes: by transfer, how many chunks the receiver has of large messages from an earlier connection.
        again: the offset of a message that the receiver has got before and asked for once more.
        replayed: messages that were sent from history.
        lost: messages that history had lost.
    """

    __slots__ = ("again", "entries", "lost", "open", "replayed", "resumes", "source", "waiting_bytes")

    def __init__(self, source: Source, resumes: dict[int, int] | None = None) -> None:
        self.source = source
        self.resumes = {} if resumes is None else resumes
        self.entries: deque[Entry] = deque()
        self.open: list[Cursor] = []
        self.waiting_bytes = 0
        self.again: int | None = None
        self.replayed = 0
        self.lost = 0

    @property
    def idle(self) -> bool:
        """Whether there is nothing to send that exists."""
        return not self.entries and all(cursor.caught_up for cursor in self.open)

    def send_some(self, receiver: Receiver) -> bool:
        """Send one turn's worth: some runs, or one chunk. ``False`` if nothing can be sent now."""
        entries = self.entries
        if entries:
            head = entries[0]
            if isinstance(head, PendingSnapshot):
                whole = head.take(receiver)
                if whole is None:
                    return any(cursor.advance(receiver) for cursor in self.open)
                head = Cursor(whole, whole.chunks, 0, started=False) if isinstance(whole, LargeMessage) else whole
                entries[0] = head
                self.waiting_bytes = sum(map(_size_of, entries))
            if isinstance(head, Run):
                receiver.write_runs(self._take_runs())
                return True
            if isinstance(head, Gap | Replay):
                entries.popleft()
                receiver.send(head)
                return True
            if isinstance(head, Backfill):
                return self._fill(head, receiver) or any(cursor.advance(receiver) for cursor in self.open)
            if head.advance(receiver):
                return True
            if head.message.offset is not None and head.sent == head.message.plan.chunk_count:
                entries.popleft()
                self.waiting_bytes -= head.size
                receiver.write_end(head.message)
                return True
        return any(cursor.advance(receiver) for cursor in self.open)

    def drop_oldest(self) -> int:
        """Leave the oldest entry that is not under way to history; its size, 0 if there is none.

        The newest entry stays, so that a message larger than the bound gets through.
        """
        entries = self.entries
        for at in range(len(entries) - 1):
            entry = entries[at]
            if isinstance(entry, Run):
                first, last, size = entry.first, entry.last, entry.size
            elif isinstance(entry, Cursor) and not entry.started:
                first = last = entry.message.offset or 0
                size = entry.size
            else:
                continue
            before = entries[at - 1] if at else None
            if isinstance(before, Backfill) and before.code == Code.QUEUE_FULL and before.last == first - 1:
                before.last = last
                del entries[at]
            else:
                entries[at] = Backfill(self.source, first, last, Code.QUEUE_FULL)
            self.waiting_bytes -= size
            return size
        return 0

    def has_room_for_delta(self, size: int, whole_bytes: int) -> bool:
        """Whether a delta had better wait here than take the place of all that waits as a whole message.

        Twice the whole: so a receiver can take deltas while it is still sent what they refer to, and one that keeps up
        with the deltas, but not with whole messages, catches up.
        """
        return self.waiting_bytes + size <= 2 * whole_bytes

    def conflate(self, newest: int | None = None, *, again: bool = False) -> int:
        """Forget every message that is not under way, for a newer one; how many there were that the receiver misses.

        Args:
            newest: the offset of that one, which may wait here already and does come.
            again: the receiver has got that one before.
        """
        waiting = [entry for entry in self.entries if not is_under_way(entry)]
        if again and not any(_last_of(entry) == newest for entry in waiting):
            self.again = newest
        coming = (newest, self.again)
        conflated = sum([_count_of(entry) - (_last_of(entry) in coming) for entry in waiting])
        kept = [entry for entry in self.entries if is_under_way(entry)]
        self.entries = deque(kept)
        self.waiting_bytes = sum(map(_size_of, kept))
        return conflated

    def cursor(self, message: LargeMessage, form: list[StoredChunk]) -> Cursor:
        """At the first chunk of a large message that the receiver has not got."""
        return Cursor(message, form, min(self.resumes.pop(message.plan.transfer, 0), len(form)), started=False)

    def _fill(self, missed: Backfill, receiver: Receiver) -> bool:
        """Put what history has in place of a hole at the head; whether there was anything yet."""
        parts = missed.take(receiver)
        entries = self.entries
        # Reading may have been so quick that the lane was emptied meanwhile.
        if parts is None or not entries or entries[0] is not missed:
            return False
        self.replayed, missed.replayed = self.replayed + missed.replayed, 0
        self.lost, missed.lost = self.lost + missed.lost, 0
        if missed.over:
            entries.popleft()
        for part in reversed(parts):
            if isinstance(part, LargeForm):
                entries.appendleft(self.cursor(part.message, part.form))
                self.waiting_bytes += part.message.plan.payload_bytes
            else:
                entries.appendleft(part)
                self.waiting_bytes += part.size if isinstance(part, Run) else 0
        return True

    def _take_runs(self) -> list[Run]:
        entries = self.entries
        runs: list[Run] = []
        size = 0
        while entries and size < CATCH_UP_BYTES and isinstance(entries[0], Run):
            run = entries.popleft()
            assert isinstance(run, Run)
            runs.append(run)
            size += run.size
        self.waiting_bytes -= size
        return runs


def is_under_way(entry: Entry) -> bool:
    """Whether a receiver has got the beginning of an entry, or is about to, so that no other may take its place."""
    return (isinstance(entry, Cursor) and entry.started) or (isinstance(entry, PendingSnapshot) and entry.asked)


def _count_of(entry: Entry) -> int:
    return entry.count if isinstance(entry, Run) else 1


def _last_of(entry: Entry) -> int | None:
    """The offset of an entry's last message; ``None`` of what is no message."""
    if isinstance(entry, Run):
        return entry.last
    if isinstance(entry, Cursor):
        return entry.message.offset
    return entry.patch.offset if isinstance(entry, PendingSnapshot) else None


def _size_of(entry: Entry) -> int:
    if isinstance(entry, Run):
        return entry.size
    if isinstance(entry, Cursor):
        return entry.size
    return entry.patch.payload_bytes if isinstance(entry, PendingSnapshot) else 0
