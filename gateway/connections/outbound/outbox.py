"""Outbox: messages that wait for one receiver that has fallen behind, bounded as the kinds of their streams say.

The outbox of a receiver that keeps up is empty: its delivery classes write to its transport. A receiver that lags is
taken out of them, and everything for it is queued here, one queue a stream, until it has drained. Buffers are shared
with all other receivers: the outbox holds references, and counts their bytes.
"""

from __future__ import annotations

from collections import deque
from heapq import heapify, heappop, heapreplace
from typing import Final

from gateway.connections.outbound.backfill import Backfill
from gateway.connections.outbound.inbox_source import InboxSource
from gateway.connections.outbound.pending_snapshot import PendingSnapshot
from gateway.connections.outbound.publisher_hold import PublisherHold
from gateway.connections.outbound.stream_queue import Cursor, Receiver, StreamQueue, is_under_way
from gateway.protocol.messages import Kind, StreamInfo
from gateway.protocol.signals import Gap, Replay
from gateway.streams.large import LargeMessage, StoredChunk
from gateway.streams.run import Run, Source
from gateway.streams.state import LargePatch, Patch, PatchRun

UNCHECKED_PART: Final = 64
"""The bound is checked once in this fraction of it, by which it may be exceeded: a check looks at all queues, and a
receiver may have thousands."""


class Outbox:
    """The stream queues of one receiver, served in turn so that no stream starves another.

    Args:
        limit_bytes: bound on the bytes that wait, for each kind by itself. Past half of it, publishers of ``event``
            streams wait (:attr:`behind`). Past it, the oldest messages of ``event`` streams are dropped from the queue
            and read from history later, and requests and replies to this receiver are refused (:attr:`full`). Two
            large messages of each stream do not count: the one that is sent next, and one more (of each publisher, as
            long as publishers wait); of only one stream if the receiver is slow. Streams of kind ``state`` need no
            bound: of each stream one message waits, or deltas of at most twice its size.
        max_hold_s: time in which the receiver has to take half of the bound if publishers are to wait for it; 0: they
            do not wait.

    Attributes:
        conflated: messages of ``state`` streams that were replaced by newer ones.
        dropped: messages of ``event`` streams that history had lost when their turn came.
        replayed: messages that were sent from history.
        taken_bytes: bytes that were sent, also of messages that are only partly sent; of large messages decoded.
        resumes: by transfer, the number of chunks that the receiver has of a large message from an earlier connection.
        hold: publishers that wait for the receiver.
        crowded: whether :attr:`behind` has to be looked at, since more than half of the bound waits and the queues have
            grown; whoever looks sets it back.
    """

    __slots__ = (
        "_limit_bytes",
        "_queues",
        "_turn",
        "_unchecked_bytes",
        "conflated",
        "crowded",
        "dropped",
        "hold",
        "replayed",
        "resumes",
        "taken_bytes",
    )

    def __init__(self, limit_bytes: int, max_hold_s: float) -> None:
        self._limit_bytes = limit_bytes
        self._queues: dict[Source, StreamQueue] = {}
        self._turn: deque[StreamQueue] = deque()
        self.conflated = 0
        self.dropped = 0
        self.replayed = 0
        self.resumes: dict[int, int] = {}
        self.hold = PublisherHold(max_hold_s, limit_bytes // 2)
        self.crowded = False
        self.taken_bytes = 0
        self._unchecked_bytes = 0
        """Bytes of events that have come since the bound was checked."""

    @property
    def waiting_bytes(self) -> int:
        """Bytes of all waiting messages, large ones at their full size."""
        return sum(queue.waiting_bytes for queue in self._turn)

    @property
    def inbox_bytes(self) -> int:
        """Bytes of the requests and replies that wait, without the first of each address.

        Messages of ``collaboration`` streams do not count: their consumers have a bound of their own.
        """
        return sum([queue.backlog_bytes for queue in self._turn if isinstance(queue.source, InboxSource)])

    @property
    def full(self) -> bool:
        """Whether the bound is reached for requests and replies."""
        return self.inbox_bytes >= self._limit_bytes

    @property
    def behind(self) -> list[Source]:
        """The ``event`` streams whose publishers are to wait, because the receiver is behind.

        More than half of the bound waits behind the first message of each stream, and messages of these streams do; or
        more than the bound waits, also as the only message of each of many streams; or messages of the stream did not
        fit, and history is to be read while it still has them. Messages that the receiver asked for when it came keep
        no publisher waiting.
        """
        events = [queue for queue in self._turn if queue.source.kind is Kind.EVENT]
        sizes = [(queue, queue.waiting_bytes, queue.backlog_bytes) for queue in events]
        crowded = sum([backlog for _, _, backlog in sizes]) > self._limit_bytes // 2
        if self.hold.slow:
            # It has not caught up because messages of streams without a history were given up.
            full_bytes = self._limit_bytes // 2
        else:
            # One message of any size may wait: the largest one that is the first of its stream.
            full_bytes = self._limit_bytes + max([waiting - backlog for _, waiting, backlog in sizes], default=0)
        full = sum([waiting for _, waiting, _ in sizes]) > full_bytes
        return [
            queue.source
            for queue, waiting, backlog in sizes
            if (crowded and backlog) or (full and waiting) or queue.left_to_history
        ]

    @property
    def idle(self) -> bool:
        """Whether everything that has come was sent."""
        return all(queue.idle for queue in self._turn)

    def waiting_bytes_of(self, source: Source) -> int:
        """Return the bytes of the messages of a source that wait or are under way."""
        queue = self._queues.get(source)
        return 0 if queue is None else queue.waiting_bytes

    def backlog_bytes_of(self, source: Source) -> int:
        """Return the bytes of the messages of a source that wait behind the one that is being sent."""
        queue = self._queues.get(source)
        return 0 if queue is None else queue.backlog_bytes

    def queue_of(self, source: Source) -> StreamQueue | None:
        """Return the queue of a source; ``None`` if nothing of it waits or is under way."""
        return self._queues.get(source)

    def put_run(self, run: Run, *, again: bool = False) -> None:
        """Queue small messages, and enforce the bound of their kind.

        Args:
            again: the receiver has got the newest of them before.
        """
        if isinstance(run, PatchRun):
            self._put_patch(run.patch, again=again)
            return
        queue = self._queue(run.source)
        if run.source.kind is Kind.STATE:
            if run.keyframe is not None:
                if queue.has_room_for_delta(run.size, run.keyframe.size):
                    queue.entries.append(run.alone())
                    queue.waiting_bytes += run.size
                    return
                run = run.keyframe
            newest = run.newest()
            last = queue.entries[-1] if queue.entries else None
            if isinstance(last, Run) and last.last == newest.last and not last.is_delta:
                return
            self.conflated += queue.conflate(newest.last, again=again) + run.count - newest.count
            run = newest
        queue.entries.append(run.unpinned())
        queue.waiting_bytes += run.size
        self._keep_bound(run.source, run.size)

    def put_gap(self, source: Source, gap: Gap) -> None:
        """Queue the announcement of messages that do not come."""
        self._queue(source).entries.append(gap)

    def put_backfill(self, source: Source, first: int, last: int) -> None:
        """Queue messages that the receiver asked for, to be read from history, unless the same are queued already."""
        queue = self._queue(source)
        asked = (entry for entry in queue.entries if isinstance(entry, Backfill) and not entry.code)
        if not any(entry.first <= first and last <= entry.last for entry in asked):
            # In front: messages queued already would look like a gap to the subscription that asked.
            queue.entries.appendleft(Backfill(source, first, last, 0))

    def put_large(self, message: LargeMessage, form: list[StoredChunk], *, again: bool = False) -> None:
        """Queue a large message that has its offset, from its first chunk on.

        Args:
            message: has all its chunks.
            form: the chunks in an encoding that the receiver can decode.
            again: the receiver has got the message before.
        """
        if isinstance(message, LargePatch) and message.patch is not None:
            self._put_patch(message.patch, again=again)
            return
        queue = self._queue(message.source)
        if message.source.kind is Kind.STATE:
            self.conflated += queue.conflate(message.offset, again=again)
        queue.entries.append(queue.cursor(message, form))
        queue.waiting_bytes += message.plan.payload_bytes
        self._keep_bound(message.source, message.plan.payload_bytes)

    def put_delta(self, message: LargeMessage, form: list[StoredChunk]) -> bool:
        """Queue a large message of a ``state`` stream as a delta to the version before; False if too much waits."""
        queue = self._queue(message.source)
        size = sum([len(chunk.data) for chunk in form])
        if not queue.has_room_for_delta(size, message.plan.payload_bytes):
            return False
        queue.entries.append(Cursor(message.as_delta(), form, 0, started=False, size=size))
        queue.waiting_bytes += size
        return True

    def _put_patch(self, patch: Patch, *, again: bool) -> None:
        """Queue a version that came as a patch as a keyframe, since this receiver may not hold the version before."""
        queue = self._queue(patch.source)
        last = queue.entries[-1] if queue.entries else None
        if isinstance(last, PendingSnapshot) and last.patch is patch:
            return
        self.conflated += queue.conflate(patch.offset, again=again)
        queue.entries.append(PendingSnapshot(patch))
        queue.waiting_bytes += patch.payload_bytes

    def all_under_way(self, source: Source) -> bool:
        """Return whether all messages of a source that wait are under way."""
        queue = self._queues.get(source)
        return queue is None or all(map(is_under_way, queue.entries))

    def put_signal(self, source: Source, signal: Gap | Replay) -> bool:
        """Queue a signal behind the messages of its source. Return False if none of them wait."""
        queue = self._queues.get(source)
        if queue is None or not queue.entries:
            return False
        queue.entries.append(signal)
        return True

    def follow(self, message: LargeMessage, form: list[StoredChunk], sent: int) -> None:
        """Go on with a large message under way.

        A receiver that has chunks of it from an earlier connection gets the head again, then the chunks behind those.

        Args:
            message: its chunks are still coming.
            form: the chunks in an encoding that the receiver can decode; grows as they come.
            sent: number of chunks that were written directly.
        """
        queue = self._queue(message.source)
        if message.plan.transfer in self.resumes:
            queue.open.append(queue.cursor(message, form))
        elif not any(cursor.message is message for cursor in queue.open):
            queue.open.append(Cursor(message, form, sent, started=True))

    def commit(self, message: LargeMessage, form: list[StoredChunk]) -> None:
        """Queue the END of a large message under way, which has got its offset."""
        queue = self._queue(message.source)
        cursor = next((cursor for cursor in queue.open if cursor.message is message), None)
        if cursor is None:
            cursor = Cursor(message, form, len(form), started=True)
        else:
            queue.open.remove(cursor)
        if message.source.kind is Kind.STATE:
            self.conflated += queue.conflate()
        queue.entries.append(cursor)
        queue.waiting_bytes += message.plan.payload_bytes
        self._keep_bound(message.source, message.plan.payload_bytes)

    def abort(self, message: LargeMessage) -> None:
        """Drop a large message under way."""
        queue = self._queues.get(message.source)
        if queue is not None:
            queue.open = [cursor for cursor in queue.open if cursor.message is not message]

    def forget(self, source: Source) -> None:
        """Drop all messages of a stream that the receiver has left, except for messages under way."""
        queue = self._queues.get(source)
        if queue is not None:
            queue.conflate()
            queue.entries = deque([entry for entry in queue.entries if not isinstance(entry, PendingSnapshot)])

    def end(self, source: Source, info: StreamInfo) -> list[int]:
        """Drop all messages of a stream that has ended, also those under way, and queue the end in place of them.

        Returns:
            Transfers of large messages that the receiver has a part of.
        """
        return self._queue(source).end(info)

    def drain(self, receiver: Receiver) -> None:
        """Send until the transport is full or nothing can be sent any more."""
        blocked = 0
        turn = self._turn
        while turn and not receiver.paused and blocked < len(turn):
            queue = turn[0]
            if queue.send_some(receiver):
                blocked = 0
                self._count(queue)
                turn.rotate(-1)
            elif not queue.entries and not queue.open:
                turn.popleft()
                del self._queues[queue.source]
            else:
                blocked += 1
                turn.rotate(-1)

    def clear(self) -> None:
        """Drop all queues: the receiver has caught up, or is gone."""
        self._queues.clear()
        self._turn.clear()

    def _queue(self, source: Source) -> StreamQueue:
        queue = self._queues.get(source)
        if queue is None:
            queue = self._queues[source] = StreamQueue(source, self.resumes)
            self._turn.append(queue)
        return queue

    def _keep_bound(self, source: Source, size: int) -> None:
        """Enforce the bound of ``event`` streams, of which ``size`` bytes more have come."""
        if source.kind is not Kind.EVENT:
            return
        self._unchecked_bytes += size
        limit_bytes = self._limit_bytes
        if self._unchecked_bytes <= limit_bytes // UNCHECKED_PART:
            return
        self._unchecked_bytes = 0
        events = [queue for queue in self._turn if queue.source.kind is Kind.EVENT]
        waiting_bytes = sum([queue.waiting_bytes for queue in events])
        if waiting_bytes > limit_bytes // 2:
            self.crowded = True
        if waiting_bytes > limit_bytes:
            self._drop_excess(events)
            if self.hold.slow:
                self._drop_firsts([queue for queue in events if queue.source is not source])

    def give_up(self) -> None:
        """Leave everything above the bound to history: the receiver counts as slow from now on."""
        events = [queue for queue in self._turn if queue.source.kind is Kind.EVENT]
        self._drop_excess(events)
        self._drop_firsts(sorted(events, key=lambda queue: queue.waiting_bytes)[:-1])

    def _drop_firsts(self, queues: list[StreamQueue]) -> None:
        """Leave even the first and the newest messages of these streams to history, as many as exceed the bound.

        Nobody waits for the receiver, which may have thousands of streams.
        """
        excess_bytes = sum([queue.waiting_bytes for queue in queues]) - self._limit_bytes
        for queue in sorted(queues, key=lambda queue: queue.waiting_bytes, reverse=True):
            while excess_bytes > 0 and (size := queue.drop_oldest(waited_for=False, to_the_last=True)):
                excess_bytes -= size

    def _drop_excess(self, events: list[StreamQueue]) -> None:
        """Leave the oldest messages of the streams that have most waiting to history, as many as exceed the bound."""
        waited_for = not self.hold.slow
        counted = [(-queue.bounded_bytes(waited_for=waited_for), at) for at, queue in enumerate(events)]
        excess_bytes = -sum([negative for negative, _ in counted]) - self._limit_bytes
        heapify(counted)
        while excess_bytes > 0 and counted:
            before, at = counted[0]
            if events[at].drop_oldest(waited_for=waited_for):
                after = -events[at].bounded_bytes(waited_for=waited_for)
                heapreplace(counted, (after, at))
                excess_bytes += before - after
            else:
                heappop(counted)

    def _count(self, queue: StreamQueue) -> None:
        self.replayed, queue.replayed = self.replayed + queue.replayed, 0
        self.dropped, queue.lost = self.dropped + queue.lost, 0
        self.taken_bytes, queue.taken_bytes = self.taken_bytes + queue.taken_bytes, 0
