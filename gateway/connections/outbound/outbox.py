"""What waits for one receiver that has fallen behind, and what its streams' kinds say about that.

A receiver that keeps up has no outbox content: its delivery classes write to it directly. One that does not is taken
out of them; from then on everything for it comes here, lane by lane, until it has drained. Buffers are shared with
all other receivers: the outbox holds references, and counts their bytes.
"""

from __future__ import annotations

from collections import deque

from gateway.connections.outbound.backfill import Backfill
from gateway.connections.outbound.pending_snapshot import PendingSnapshot
from gateway.connections.outbound.stream_queue import Cursor, Receiver, StreamQueue, is_under_way
from gateway.protocol.messages import Kind
from gateway.protocol.signals import Gap, Replay
from gateway.streams.large import LargeMessage, StoredChunk
from gateway.streams.run import Run, Source
from gateway.streams.state import LargePatch, Patch, PatchRun


class Outbox:
    """All lanes of one receiver, served in turn so that no stream starves another.

    Args:
        limit_bytes: bound on what waits of a kind. Past it, the oldest messages of ``event`` streams are left to
            history, and publishes to ``collaboration`` streams are refused (:attr:`full`). ``state`` needs no bound: of
            a stream it holds one message, or deltas of at most twice its size.

    Attributes:
        conflated: messages of ``state`` streams that were replaced by newer ones.
        dropped: messages of ``event`` streams that history had lost when their turn came.
        replayed: messages that were sent from history.
        resumes: by transfer, how many chunks the receiver has of large messages from an earlier connection.
    """

    __slots__ = ("_lanes", "_limit_bytes", "_turn", "conflated", "dropped", "replayed", "resumes")

    def __init__(self, limit_bytes: int) -> None:
        self._limit_bytes = limit_bytes
        self._lanes: dict[Source, StreamQueue] = {}
        self._turn: deque[StreamQueue] = deque()
        self.conflated = 0
        self.dropped = 0
        self.replayed = 0
        self.resumes: dict[int, int] = {}

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

    def queue_of(self, source: Source) -> StreamQueue | None:
        """What waits or is under way of this source; ``None``: nothing."""
        return self._lanes.get(source)

    def put_run(self, run: Run, *, again: bool = False) -> None:
        """Queue small messages, as the kind of their stream says.

        Args:
            again: the receiver has got the newest of them before, and it is sent once more.
        """
        if isinstance(run, PatchRun):
            self._put_patch(run.patch, again=again)
            return
        lane = self._lane(run.source)
        if run.source.kind is Kind.STATE:
            if run.keyframe is not None:
                if lane.has_room_for_delta(run.size, run.keyframe.size):
                    lane.entries.append(run.alone())
                    lane.waiting_bytes += run.size
                    return
                run = run.keyframe
            newest = run.newest()
            last = lane.entries[-1] if lane.entries else None
            if isinstance(last, Run) and last.last == newest.last and not last.is_delta:
                return
            self.conflated += lane.conflate(newest.last, again=again) + run.count - newest.count
            run = newest
        lane.entries.append(run.unpinned())
        lane.waiting_bytes += run.size
        self._keep_bound(run.source)

    def put_gap(self, source: Source, gap: Gap) -> None:
        """Queue the announcement of messages that do not come."""
        self._lane(source).entries.append(gap)

    def put_backfill(self, source: Source, first: int, last: int) -> None:
        """Queue messages that the receiver asked for, to be read from history; not if the same are queued already."""
        lane = self._lane(source)
        asked = (entry for entry in lane.entries if isinstance(entry, Backfill) and not entry.code)
        if not any(entry.first <= first and last <= entry.last for entry in asked):
            # In front: what is queued already would look like a gap to the subscription that asked.
            lane.entries.appendleft(Backfill(source, first, last, 0))

    def put_large(self, message: LargeMessage, form: list[StoredChunk], *, again: bool = False) -> None:
        """Queue a large message that has its offset, from its first chunk on; ``again`` as for :meth:`put_run`."""
        if isinstance(message, LargePatch) and message.patch is not None:
            self._put_patch(message.patch, again=again)
            return
        lane = self._lane(message.source)
        if message.source.kind is Kind.STATE:
            self.conflated += lane.conflate(message.offset, again=again)
        lane.entries.append(lane.cursor(message, form))
        lane.waiting_bytes += message.plan.payload_bytes
        self._keep_bound(message.source)

    def put_delta(self, message: LargeMessage, form: list[StoredChunk]) -> bool:
        """Queue a large message of a ``state`` stream as a delta to the one before; ``False`` if too much waits."""
        lane = self._lane(message.source)
        size = sum([len(chunk.data) for chunk in form])
        if not lane.has_room_for_delta(size, message.plan.payload_bytes):
            return False
        lane.entries.append(Cursor(message.as_delta(), form, 0, started=False, size=size))
        lane.waiting_bytes += size
        return True

    def _put_patch(self, patch: Patch, *, again: bool) -> None:
        """Queue a version that came as a patch: whole, since this receiver may not hold the one before it."""
        lane = self._lane(patch.source)
        last = lane.entries[-1] if lane.entries else None
        if isinstance(last, PendingSnapshot) and last.patch is patch:
            return
        self.conflated += lane.conflate(patch.offset, again=again)
        lane.entries.append(PendingSnapshot(patch))
        lane.waiting_bytes += patch.payload_bytes

    def all_under_way(self, source: Source) -> bool:
        """Whether nothing of this source waits but what is under way."""
        lane = self._lanes.get(source)
        return lane is None or all(map(is_under_way, lane.entries))

    def put_signal(self, source: Source, signal: Gap | Replay) -> bool:
        """Queue a signal behind the messages of its source; ``False`` if none of them wait."""
        lane = self._lanes.get(source)
        if lane is None or not lane.entries:
            return False
        lane.entries.append(signal)
        return True

    def follow(self, message: LargeMessage, form: list[StoredChunk], sent: int) -> None:
        """Go on with a large message under way, of which the first ``sent`` chunks were written directly.

        Or behind the chunks that the receiver has from an earlier connection, if it has: then it gets the head first.
        """
        lane = self._lane(message.source)
        if message.plan.transfer in self.resumes:
            lane.open.append(lane.cursor(message, form))
        elif not any(cursor.message is message for cursor in lane.open):
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
            lane.entries = deque([entry for entry in lane.entries if not isinstance(entry, PendingSnapshot)])

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

    def _lane(self, source: Source) -> StreamQueue:
        lane = self._lanes.get(source)
        if lane is None:
            lane = self._lanes[source] = StreamQueue(source, self.resumes)
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

    def _count(self, lane: StreamQueue) -> None:
        self.replayed, lane.replayed = self.replayed + lane.replayed, 0
        self.dropped, lane.lost = self.dropped + lane.lost, 0
