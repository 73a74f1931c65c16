"""What waits for one receiver that has fallen behind, and what its streams' kinds say about that.

A receiver that keeps up has no outbox content: its delivery classes write to it directly. One that does not is taken
out of them; from then on everything for it comes here, lane by lane, until it has drained. Buffers are shared with
all other receivers: the outbox holds references, and counts their bytes.
"""

from __future__ import annotations

from collections import deque
from typing import Protocol

from gateway.connections.missed import LargeForm, Missed, Reader
from gateway.connections.version import Version, WholeReader
from gateway.errors import Code
from gateway.protocol.messages import Kind
from gateway.protocol.signals import Gap, Replay
from gateway.streams.large import LargeMessage, StoredChunk
from gateway.streams.run import Run, Source
from gateway.streams.state import LargePatch, Patch, PatchRun

JOIN_BYTES = 64 * 1024
"""Small messages are sent to a catching-up receiver in WebSocket messages of about this size."""


class Receiver(Reader, WholeReader, Protocol):
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

    __slots__ = ("form", "message", "sent", "started")

    def __init__(self, message: LargeMessage, form: list[StoredChunk], sent: int, started: bool) -> None:
        self.message = message
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
            receiver.write_head(self.message)
            return True
        if self.sent == len(self.form):
            return False
        index = self.sent
        self.sent += 1
        receiver.write_chunk(self.message, self.form[index], index)
        return True


Entry = Run | Cursor | Version | Gap | Replay | Missed


class Lane:
    """The queue of one stream (or inbox) towards this receiver.

    Attributes:
        entries: in order of offsets. A cursor among them is a large message that has its offset; those behind it wait
            for its END. Where messages were left out stands what is to be read from history.
        open: large messages under way that have no offset yet: their chunks flow as they come.
        replayed: messages that were sent from history.
        lost: messages that history had lost.
    """

    __slots__ = ("entries", "lost", "open", "replayed", "source", "waiting_bytes")

    def __init__(self, source: Source) -> None:
        self.source = source
        self.entries: deque[Entry] = deque()
        self.open: list[Cursor] = []
        self.waiting_bytes = 0
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
            if isinstance(head, Version):
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
            if isinstance(head, Missed):
                return self._fill(head, receiver) or any(cursor.advance(receiver) for cursor in self.open)
            if head.advance(receiver):
                return True
            if head.message.offset is not None and head.sent == head.message.plan.chunk_count:
                entries.popleft()
                self.waiting_bytes -= head.message.plan.payload_bytes
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
                size = entry.message.plan.payload_bytes
            else:
                continue
            before = entries[at - 1] if at else None
            if isinstance(before, Missed) and before.code == Code.QUEUE_FULL and before.last == first - 1:
                before.last = last
                del entries[at]
            else:
                entries[at] = Missed(self.source, first, last, Code.QUEUE_FULL)
            self.waiting_bytes -= size
            return size
        return 0

    def conflate(self) -> int:
        """Forget every message that is not under way, for a newer one; how many there were."""
        kept = [entry for entry in self.entries if _is_under_way(entry)]
        conflated = sum([entry.count if isinstance(entry, Run) else 1 for entry in self.entries]) - len(kept)
        self.entries = deque(kept)
        self.waiting_bytes = sum(map(_size_of, kept))
        return conflated

    def _fill(self, missed: Missed, receiver: Receiver) -> bool:
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
                entries.appendleft(Cursor(part.message, part.form, 0, started=False))
                self.waiting_bytes += part.message.plan.payload_bytes
            else:
                entries.appendleft(part)
                self.waiting_bytes += part.size if isinstance(part, Run) else 0
        return True

    def _take_runs(self) -> list[Run]:
        entries = self.entries
        runs: list[Run] = []
        size = 0
        while entries and size < JOIN_BYTES and isinstance(entries[0], Run):
            run = entries.popleft()
            assert isinstance(run, Run)
            runs.append(run)
            size += run.size
        self.waiting_bytes -= size
        return runs


def _is_under_way(entry: Entry) -> bool:
    return (isinstance(entry, Cursor) and entry.started) or (isinstance(entry, Version) and entry.asked)


def _size_of(entry: Entry) -> int:
    if isinstance(entry, Run):
        return entry.size
    if isinstance(entry, Cursor):
        return entry.message.plan.payload_bytes
    return entry.patch.payload_bytes if isinstance(entry, Version) else 0


class Outbox:
    """All lanes of one receiver, served in turn so that no stream starves another.

    Args:
        limit_bytes: bound on what waits of a kind. Past it, the oldest messages of ``event`` streams are left to
            history, and publishes to ``collaboration`` streams are refused (:attr:`full`). ``state`` needs no bound: it
            holds one message a stream.

    Attributes:
        conflated: messages of ``state`` streams that were replaced by newer ones.
        dropped: messages of ``event`` streams that history had lost when their turn came.
        replayed: messages that were sent from history.
    """

    __slots__ = ("_lanes", "_limit_bytes", "_turn", "conflated", "dropped", "replayed")

    def __init__(self, limit_bytes: int) -> None:
        self._limit_bytes = limit_bytes
        self._lanes: dict[Source, Lane] = {}
        self._turn: deque[Lane] = deque()
        self.conflated = 0
        self.dropped = 0
        self.replayed = 0

    @property
    def waiting_bytes(self) -> int:
        """Bytes of all waiting messages, large ones at their full size."""
        return sum(lane.waiting_bytes for lane in self._turn)

    @property
    def full(self) -> bool:
        """Whether the bound is reached for ``collaboration`` streams."""
        return self._waiting_of(Kind.COLLABORATION) >= self._limit_bytes

    @property
    def idle(self) -> bool:
        """Whether everything that exists has been sent."""
        return all(lane.idle for lane in self._turn)

    def waiting_bytes_of(self, source: Source) -> int:
        """Bytes of the messages of this source that wait or are under way."""
        lane = self._lanes.get(source)
        return 0 if lane is None else lane.waiting_bytes

    def lane_of(self, source: Source) -> Lane | None:
        """What waits or is under way of this source; ``None``: nothing."""
        return self._lanes.get(source)

    def put_run(self, run: Run) -> None:
        """Queue small messages, as the kind of their stream says."""
        if isinstance(run, PatchRun):
            self._put_patch(run.patch)
            return
        lane = self._lane(run.source)
        if run.source.kind is Kind.STATE:
            newest = run.newest()
            last = lane.entries[-1] if lane.entries else None
            if isinstance(last, Run) and last.last == newest.last:
                return
            self.conflated += lane.conflate() + run.count - newest.count
            run = newest
        lane.entries.append(run.unpinned())
        lane.waiting_bytes += run.size
        self._keep_bound(run.source)

    def put_gap(self, source: Source, gap: Gap) -> None:
        """Queue the announcement of messages that do not come."""
        self._lane(source).entries.append(gap)

    def put_missed(self, source: Source, first: int, last: int) -> None:
        """Queue messages that the receiver asked for, to be read from history; not if the same are queued already."""
        lane = self._lane(source)
        asked = (entry for entry in lane.entries if isinstance(entry, Missed) and not entry.code)
        if not any(entry.first <= first and last <= entry.last for entry in asked):
            # In front: what is queued already would look like a gap to the subscription that asked.
            lane.entries.appendleft(Missed(source, first, last, 0))

    def put_large(self, message: LargeMessage, form: list[StoredChunk]) -> None:
        """Queue a large message that has its offset and of which this receiver has nothing yet."""
        if isinstance(message, LargePatch) and message.patch is not None:
            self._put_patch(message.patch)
            return
        lane = self._lane(message.source)
        if message.source.kind is Kind.STATE:
            self.conflated += lane.conflate()
        lane.entries.append(Cursor(message, form, 0, started=False))
        lane.waiting_bytes += message.plan.payload_bytes
        self._keep_bound(message.source)

    def _put_patch(self, patch: Patch) -> None:
        """Queue a version that came as a patch: whole, since this receiver may not hold the one before it."""
        lane = self._lane(patch.source)
        last = lane.entries[-1] if lane.entries else None
        if isinstance(last, Version) and last.patch is patch:
            return
        self.conflated += lane.conflate()
        lane.entries.append(Version(patch))
        lane.waiting_bytes += patch.payload_bytes

    def in_step(self, source: Source) -> bool:
        """Whether nothing of this source waits but what is under way."""
        lane = self._lanes.get(source)
        return lane is None or all(map(_is_under_way, lane.entries))

    def follow(self, message: LargeMessage, form: list[StoredChunk], sent: int) -> None:
        """Go on with a large message under way, of which the first ``sent`` chunks were written directly."""
        lane = self._lane(message.source)
        if not any(cursor.message is message for cursor in lane.open):
            lane.open.append(Cursor(message, form, sent, started=True))

    def commit(self, message: LargeMessage, form: list[StoredChunk]) -> None:
        """A large message under way has got its offset: queue its END in order."""
        lane = self._lane(message.source)
        cursor = next((cursor for cursor in lane.open if cursor.message is message), None)
        if cursor is None:
            cursor = Cursor(message, form, len(form), started=True)
        else:
            lane.open.remove(cursor)
        if message.source.kind is Kind.STATE:
            self.conflated += lane.conflate()
        lane.entries.append(cursor)
        lane.waiting_bytes += message.plan.payload_bytes

    def abort(self, message: LargeMessage) -> None:
        """Forget a large message under way."""
        lane = self._lanes.get(message.source)
        if lane is not None:
            lane.open = [cursor for cursor in lane.open if cursor.message is not message]

    def forget(self, source: Source) -> None:
        """Drop everything of a stream that this receiver no longer subscribes to, but for what is under way."""
        lane = self._lanes.get(source)
        if lane is not None:
            lane.conflate()
            lane.entries = deque([entry for entry in lane.entries if not isinstance(entry, Version)])

    def drain(self, receiver: Receiver) -> None:
        """Send until the transport is full or nothing is left that can be sent."""
        blocked = 0
        turn = self._turn
        while turn and not receiver.paused and blocked < len(turn):
            lane = turn[0]
            if lane.send_some(receiver):
                blocked = 0
                self._count(lane)
                turn.rotate(-1)
            elif not lane.entries and not lane.open:
                turn.popleft()
                del self._lanes[lane.source]
            else:
                blocked += 1
                turn.rotate(-1)

    def clear(self) -> None:
        """Forget that anything was under way, when the receiver has caught up with everything."""
        self._lanes.clear()
        self._turn.clear()

    def _lane(self, source: Source) -> Lane:
        lane = self._lanes.get(source)
        if lane is None:
            lane = self._lanes[source] = Lane(source)
            self._turn.append(lane)
        return lane

    def _waiting_of(self, kind: Kind) -> int:
        return sum([lane.waiting_bytes for lane in self._turn if lane.source.kind is kind])

    def _keep_bound(self, source: Source) -> None:
        if source.kind is not Kind.EVENT:
            return
        excess = self._waiting_of(Kind.EVENT) - self._limit_bytes
        events = [lane for lane in self._turn if lane.source.kind is Kind.EVENT]
        while excess > 0 and events:
            lane = max(events, key=lambda lane: lane.waiting_bytes)
            size = lane.drop_oldest()
            if not size:
                events.remove(lane)
            excess -= size

    def _count(self, lane: Lane) -> None:
        self.replayed, lane.replayed = self.replayed + lane.replayed, 0
        self.dropped, lane.lost = self.dropped + lane.lost, 0
