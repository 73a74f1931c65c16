"""Outbox: messages that wait for one receiver that has fallen behind, bounded as the kinds of their streams say.

The outbox of a receiver that keeps up is empty: its delivery classes write to its transport. Everything for one that
lags is queued here, one queue a stream, until it has drained. Buffers are shared with all other receivers.
"""

from __future__ import annotations

from collections.abc import Callable

from gateway.connections.lagging.bulk import Bulk
from gateway.connections.lagging.cursor import Cursor
from gateway.connections.lagging.event_backlog import EventBacklog
from gateway.connections.lagging.pending_snapshot import PendingSnapshot
from gateway.connections.lagging.publisher_hold import PublisherHold
from gateway.connections.lagging.queue_turns import QueueTurns
from gateway.connections.outbound.backfill import Backfill
from gateway.connections.outbound.inbox_source import InboxSource
from gateway.connections.outbound.stream_queue import CATCH_UP_BYTES, Receiver, StreamQueue, is_under_way
from gateway.protocol.messages import Kind, StreamInfo
from gateway.protocol.signals import Gap, Replay
from gateway.streams.large import LargeMessage, StoredChunk
from gateway.streams.run import Run, Source
from gateway.streams.state import LargePatch, Patch, PatchRun
from gateway.streams.stream import count_conflated, count_dropped


class Outbox:
    """The stream queues of one receiver, served in turn so that no stream starves another.

    There may be thousands, so no message may cost a look at all: sums are kept, and a queue that can send nothing is
    passed over until something has happened to it. Both counts of what is lost are counted for each stream as well.

    Args:
        limit_bytes: bound on the bytes that wait, for each kind by itself. Past half of it, publishers of ``event``
            streams wait (:attr:`behind`). Past it, the oldest messages of ``event`` streams are dropped from the queue
            and read from history later, and requests and replies to this receiver are refused (``inbox_bytes``). Two
            large messages of each stream do not count: the one that is sent next, and one more (of each publisher, as
            long as publishers wait); of only one stream if the receiver is slow. Streams of kind ``state`` need no
            bound: of each stream one message waits, or deltas of at most twice its size.
        max_hold_s: time in which the receiver has to take half of the bound if publishers are to wait for it; 0: they
            do not wait.

    Attributes:
        events: sums over the messages of ``event`` streams that wait, and their bounds.
        bulk: rule for the messages that wait for the link.
        conflated: messages of ``state`` streams that were replaced by newer ones.
        dropped: messages of ``event`` streams that history had lost when their turn came.
        replayed: messages that were sent from history.
        taken_bytes: bytes that were sent, also of messages that are only partly sent; of large messages decoded.
        resumes: by transfer, the number of chunks that the receiver has of a large message from an earlier connection.
        hold: publishers that wait for the receiver.
        draining: whether it is being drained in several turns of the loop; kept by the caller of :meth:`drain`.
        inbox_bytes: bytes of the requests and replies that wait, without the first of each address. Messages of
            ``collaboration`` streams do not count: their consumers have a bound of their own.
        turnover: sources of which the first message has come, or the last one was sent; whoever looks empties the list.
        turns: the queues that have something to send, in the order in which they are served.
    """

    __slots__ = (
        "_other_bytes",
        "_queues",
        "bulk",
        "conflated",
        "draining",
        "dropped",
        "events",
        "hold",
        "inbox_bytes",
        "replayed",
        "resumes",
        "taken_bytes",
        "turnover",
        "turns",
    )

    def __init__(self, limit_bytes: int, max_hold_s: float) -> None:
        self._queues: dict[Source, StreamQueue] = {}
        self.turns: QueueTurns[StreamQueue] = QueueTurns()
        self.events: EventBacklog[StreamQueue] = EventBacklog(limit_bytes)
        self._other_bytes = 0
        """Bytes of the messages of other kinds."""
        self.turnover: list[Source] = []
        self.draining = False
        self.bulk = Bulk()
        self.inbox_bytes = self.conflated = self.dropped = self.replayed = self.taken_bytes = 0
        self.resumes: dict[int, int] = {}
        self.hold = PublisherHold(max_hold_s, limit_bytes // 2)

    @property
    def waiting_bytes(self) -> int:
        """Bytes of all waiting messages, large ones at their full size."""
        return self.events.waiting_bytes + self._other_bytes

    @property
    def limit_bytes(self) -> int:
        """Bound in force, which may be below that of the settings."""
        return self.events.limit_bytes

    @property
    def behind(self) -> bool:
        """Whether the receiver is behind, so that publishers of ``event`` streams wait for it.

        More than half of the bound waits behind the first message of each stream; or more than the bound waits, also as
        the only message of each of many streams; or messages did not fit, and history is to be read while it still has
        them. Messages that the receiver asked for when it came keep no publisher waiting.
        """
        return self.events.behind(slow=self.hold.slow)

    @property
    def calm(self) -> bool:
        """Whether so little waits, and has waited when publishers were seen to last, that none of them waits."""
        events = self.events
        return events.waiting_bytes <= events.crowd_bytes and not events.left and not self.hold.behind

    @property
    def idle(self) -> bool:
        """Whether everything that has come was sent."""
        return self.turns.idle

    def holds_up(self, source: Source) -> bool:
        """Return whether publishers of an ``event`` stream wait for the receiver."""
        queue = self._queues.get(source)
        return queue is not None and self.events.holds_up(queue, slow=self.hold.slow)

    def when_not_held_up(self, source: Source, call: Callable[[], object]) -> None:
        """Call once, as soon as publishers of a stream, which wait for the receiver, need not wait any more."""
        self.events.when_not_held_up(self._queues[source], call, slow=self.hold.slow)

    def let_go(self) -> None:
        """Look whether publishers of all streams need not wait any more; those of one are seen to when it changes."""
        self.events.let_go(slow=self.hold.slow)

    def waiting_bytes_of(self, source: Source) -> int:
        """Return the bytes of the messages of a source that wait or are under way."""
        queue = self._queues.get(source)
        return 0 if queue is None else queue.waiting_bytes

    def queue_of(self, source: Source) -> StreamQueue | None:
        """Return the queue of a source; ``None`` if nothing of it waits or is under way."""
        return self._queues.get(source)

    def put_run(self, run: Run, *, again: bool = False) -> None:
        """Queue small messages, and enforce the bound of their kind.

        Args:
            run: the messages.
            again: the receiver has got the newest of them before.
        """
        if isinstance(run, PatchRun):
            self._put_patch(run.patch, again=again)
            return
        queue = self._queue(run.source)
        if run.source.kind is Kind.STATE:
            if run.keyframe is not None:
                if queue.has_room_for_delta(run.size, run.keyframe.size):
                    queue.put(run.alone())
                    self._changed(queue)
                    return
                run = run.keyframe
            newest = run.newest()
            last = queue.entries[-1] if queue.entries else None
            if isinstance(last, Run) and last.last == newest.last and not last.is_delta:
                return
            earlier = run.count - newest.count
            self.conflated += count_conflated(queue.source, earlier + queue.conflate(newest.last, again=again))
            run = newest
        queue.put(run.unpinned())
        self._changed(queue, run.size)

    def put_gap(self, source: Source, gap: Gap) -> None:
        """Queue the announcement of messages that do not come."""
        queue = self._queue(source)
        queue.put_gap(gap)
        self._changed(queue)

    def put_backfill(self, source: Source, first: int, last: int) -> None:
        """Queue messages that the receiver asked for, to be read from history, unless the same are queued already."""
        queue = self._queue(source)
        asked = (entry for entry in queue.entries if isinstance(entry, Backfill) and not entry.code)
        if not any(entry.first <= first and last <= entry.last for entry in asked):
            # In front: messages queued already would look like a gap to the subscription that asked.
            queue.entries.insert(0, Backfill(source, first, last, 0))
            self._changed(queue)

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
            self.conflated += count_conflated(queue.source, queue.conflate(message.offset, again=again))
        queue.put(queue.cursor(message, form))
        self._changed(queue, message.plan.payload_bytes)

    def put_delta(self, message: LargeMessage, form: list[StoredChunk]) -> bool:
        """Queue a large message of a ``state`` stream as a delta to the version before; False if too much waits."""
        queue = self._queue(message.source)
        size = sum([len(chunk.data) for chunk in form])
        if not queue.has_room_for_delta(size, message.plan.payload_bytes):
            self._changed(queue)
            return False
        queue.put(Cursor(message.as_delta(), form, 0, started=False, size=size))
        self._changed(queue)
        return True

    def _put_patch(self, patch: Patch, *, again: bool) -> None:
        """Queue a version that came as a patch as a keyframe, since this receiver may not hold the version before."""
        queue = self._queue(patch.source)
        last = queue.entries[-1] if queue.entries else None
        if isinstance(last, PendingSnapshot) and last.patch is patch:
            return
        self.conflated += count_conflated(queue.source, queue.conflate(patch.offset, again=again))
        queue.put(PendingSnapshot(patch))
        self._changed(queue)

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
        self._changed(queue)
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
            queue.open = [*queue.open, queue.cursor(message, form)]
        elif not any(cursor.message is message for cursor in queue.open):
            queue.open = [*queue.open, Cursor(message, form, sent, started=True)]
        self._changed(queue)

    def commit(self, message: LargeMessage, form: list[StoredChunk]) -> None:
        """Queue the END of a large message under way, which has got its offset."""
        queue = self._queue(message.source)
        cursor = next((cursor for cursor in queue.open if cursor.message is message), None)
        if cursor is None:
            cursor = Cursor(message, form, len(form), started=True)
        else:
            queue.open = [other for other in queue.open if other is not cursor]
        if message.source.kind is Kind.STATE:
            self.conflated += count_conflated(queue.source, queue.conflate())
        queue.put(cursor)
        self._changed(queue, message.plan.payload_bytes)

    def abort(self, message: LargeMessage) -> None:
        """Drop a large message under way."""
        queue = self._queues.get(message.source)
        if queue is not None:
            queue.open = [cursor for cursor in queue.open if cursor.message is not message]
            self._changed(queue)

    def forget(self, source: Source) -> None:
        """Drop all messages of a stream that the receiver has left, except for messages under way."""
        queue = self._queues.get(source)
        if queue is not None:
            queue.conflate()
            queue.entries = [entry for entry in queue.entries if not isinstance(entry, PendingSnapshot)]
            self._changed(queue)

    def withdraw(self, source: Source, wanted: Callable[[Run | Cursor], bool]) -> Run | Cursor | None:
        """Remove and return the first message of a source that is wanted back; ``None`` if none waits."""
        queue = self._queues.get(source)
        found = None if queue is None else queue.withdraw(wanted)
        if queue is not None and found is not None:
            self._changed(queue)
        return found

    def end(self, source: Source, info: StreamInfo) -> list[int]:
        """Drop all messages of a stream that has ended, also those under way, and queue the end in place of them.

        Returns:
            Transfers of large messages that the receiver has a part of.
        """
        queue = self._queue(source)
        begun = queue.end(info)
        self._changed(queue)
        return begun

    def drain(self, receiver: Receiver, most: int = 1 << 62) -> bool:
        """Send runs and chunks, or pass over queues, about so many; return if there is more the transport takes."""
        turns = self.turns
        while most > 0:
            if receiver.paused:
                return False
            queue = turns.take(bulk_open=receiver.bulk_open)
            if queue is None:
                return False
            if queue.sends_runs and (receiver.bulk_open or not queue.needs_link):
                runs = self._take_runs(queue, most)
                most -= len(runs)
                receiver.write_runs(runs)
                continue
            most -= 1
            if turns.put_off(queue):
                continue
            sent = queue.send_some(receiver)
            if self._queues.get(queue.source) is not queue:
                continue  # what was sent has made the receiver leave, or closed it
            if sent:
                self._sent(queue)
            else:
                turns.wait(queue, bulk_open=receiver.bulk_open)
        return True

    def _take_runs(self, queue: StreamQueue, most: int) -> list[Run]:
        """Take small messages from a queue, and from those that are next: each write is a system call."""
        runs: list[Run] = []
        room_bytes, turns, first = CATCH_UP_BYTES, self.turns, queue
        while True:
            runs += queue.take_runs(room_bytes)
            room_bytes -= queue.taken_bytes
            self._sent(queue)
            queue = turns.next_ready() or first
            if room_bytes <= 0 or len(runs) >= most or queue is first or not queue.sends_runs or queue.needs_link:
                return runs
            turns.take_ready()

    def _sent(self, queue: StreamQueue) -> None:
        """Count what a queue has sent."""
        self.replayed, queue.replayed = self.replayed + queue.replayed, 0
        self.dropped, queue.lost = self.dropped + count_dropped(queue.source, queue.lost), 0
        self.taken_bytes, queue.taken_bytes = self.taken_bytes + queue.taken_bytes, 0
        self._changed(queue)

    def go_on(self, source: Source) -> None:
        """Take note that something has come for which the queue of a source waits."""
        queue = self._queues.get(source)
        if queue is not None:
            self.turns.wake(queue, came=True)

    def clear(self) -> dict[Source, StreamQueue]:
        """Drop all queues, and return them: the receiver has caught up, or is gone."""
        queues, self._queues = self._queues, {}
        self.turnover += queues
        self.turns.clear()
        self.events.clear()
        self._other_bytes = self.inbox_bytes = 0
        return queues

    def set_bound(self, limit_bytes: int) -> bool:
        """Set the bound, and return whether it is another one: messages above it leave with :meth:`give_up`."""
        is_another = self.events.set_bound(limit_bytes)
        self.hold.least_bytes = self.events.least_bytes
        return is_another

    def give_up(self) -> bool:
        """Take a step of leaving everything above the bound to history; return whether there is more to do."""
        return self.events.give_up(slow=self.hold.slow)

    def _queue(self, source: Source) -> StreamQueue:
        queue = self._queues.get(source)
        if queue is None:
            queue = self._queues[source] = StreamQueue(source, self.resumes, self.bulk)
            self.turnover.append(source)
        return queue

    def _changed(self, queue: StreamQueue, came_bytes: int = 0) -> None:
        """Take note that a queue has changed, and that so many bytes more of it have come."""
        source = queue.source
        if source.kind is Kind.EVENT:
            if came_bytes:
                self.events.came(queue, came_bytes, slow=self.hold.slow)
            else:
                self.events.count(queue, slow=self.hold.slow)
        else:
            self._other_bytes += queue.waiting_bytes - queue.counted_bytes
            queue.counted_bytes = queue.waiting_bytes
            if isinstance(source, InboxSource):
                backlog_bytes = queue.backlog_bytes
                self.inbox_bytes += backlog_bytes - queue.counted_backlog_bytes
                queue.counted_backlog_bytes = backlog_bytes
        if queue.entries or queue.open:
            self.turns.wake(queue)
        else:
            self.turns.remove(queue)
            del self._queues[source]
            self.turnover.append(source)
