"""Derivation of one view from one stream, for as long as it has receivers.

Threads compute the messages of the view one after the other, each message once for all receivers, and the fan-out of
the view sends them. The derivation also limits the rate: a ``state`` that is published faster than ``max_rate_hz`` of
the view, or faster than the threads compute it, is conflated before the computation.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from functools import partial
from typing import Final

from gateway.connections.fanout.pubsub_fanout import PubSubFanout
from gateway.connections.fanout.recode import last_record
from gateway.connections.fanout.start_position import StartPosition
from gateway.connections.fanout.state_fanout import StateFanout
from gateway.connections.outbound.connection import Connection
from gateway.connections.sessions.session import Session
from gateway.connections.viewing.context import ViewContext
from gateway.connections.viewing.view_queue import PendingEntry, ViewQueue
from gateway.errors import Code, RequestRefused, fresh
from gateway.protocol.messages import Kind
from gateway.protocol.signals import Gap
from gateway.protocol.transfers import ChunkPlan, split_payload
from gateway.protocol.wire import Buffer
from gateway.streams.derived import DerivedStream
from gateway.streams.history import Entry
from gateway.streams.large import LargeMessage, StoredChunk
from gateway.streams.run import Run
from gateway.streams.span import offsets_of
from gateway.streams.state import patch_of
from gateway.streams.view import Misfit, Shown, ShownLarge, ViewPart, show

logger = logging.getLogger(__name__)

LAGGING_INTERVAL_S: Final = 0.25
"""Interval at which a ``state`` is computed while all receivers are behind: most versions would be conflated."""


class Derivation:
    """Computation of one view.

    Args:
        source: the view.
        fanout: delivers the view to its receivers.
        context: shared by all views.
        admit: called with the derivation and the bytes of a version of a state before it is delivered. It raises
            ``RequestRefused`` if they exceed a bound; receivers may leave meanwhile.

    Attributes:
        held_bytes: memory of the view and its newest message, as ``admit`` counts it.
    """

    __slots__ = (
        "_admit",
        "_begins_at",
        "_busy",
        "_closed",
        "_context",
        "_due_s",
        "_is_state",
        "_left_out",
        "_queue",
        "_some_have_newest",
        "_timer",
        "_wanting_newest",
        "computed_entries",
        "fanout",
        "held_bytes",
        "misfit",
        "on_misfit",
        "receivers",
        "source",
    )

    def __init__(
        self,
        source: DerivedStream,
        fanout: PubSubFanout,
        context: ViewContext,
        admit: Callable[[Derivation, int], object],
    ) -> None:
        self.source = source
        self.fanout = fanout
        self.receivers: dict[Session, set[int]] = {}
        """Subscriptions to the view by session, as the client numbers them."""
        self.computed_entries = 0
        """Runs and large messages that were computed: once, however many connections receive them."""
        self.held_bytes = 0
        self._admit = admit
        self._context = context
        self._is_state = source.kind is Kind.STATE
        self._begins_at = source.next_offset
        self._wanting_newest: set[Connection] = set()
        """Receivers that get the version with which the view begins."""
        self._some_have_newest = False
        """Some receivers have that version from before."""
        self._queue = ViewQueue(source.id, context.queued, conflates=self._is_state)
        self._left_out = 0
        """Versions of a state that were not queued, or that the view did not fit."""
        self._busy = False
        self._timer = False
        self.misfit: RequestRefused | None = None
        """Refusal of the last message that was computed, because the view does not fit it; ``None``: it fits."""
        self.on_misfit: Callable[[Derivation], object] | None = None
        """Called when all events before one that the view does not fit are delivered; then GAP tells of that one."""
        self._closed = False
        self._due_s = context.clock.monotonic_s()

    @property
    def conflated_messages(self) -> int:
        """Versions that newer ones replaced before they were computed, or that the view does not fit."""
        return self._queue.conflated_messages + self._left_out

    @property
    def idle(self) -> bool:
        """True while nothing is being computed or encoded, or about to be; a version may wait for its time."""
        return not self._busy and (not self._queue or self._timer) and self.fanout.idle

    @property
    def _abandoned(self) -> bool:
        """Whether the last receiver has left, perhaps because of what was just delivered."""
        return self._closed

    def take_newest(self, entry: Entry) -> None:
        """Begin with the newest version of the stream."""
        self._put(PendingEntry(entry.newest() if isinstance(entry, Run) else entry, last_only=True))

    def join(self, connection: Connection, start: StartPosition, unkept: Entry | None = None) -> None:
        """Add a receiver. ``start.newest`` is false if it already has the version with which the view begins.

        Implements :meth:`~gateway.connections.fanout.pubsub_fanout.PubSubFanout.join`.
        """
        if self._is_state and self.fanout.newest is None:
            if start.newest:
                self._wanting_newest.add(connection)
            else:
                self._some_have_newest = True
        self.fanout.join(connection, start, unkept)

    def take(self, entry: Entry) -> None:
        """Take messages of the stream, which have been delivered to its own receivers already."""
        if not self._is_state:
            self._put(PendingEntry(entry.unpinned() if isinstance(entry, Run) else entry, last_only=False))
            return
        last_only = self.source.view.max_rate_hz is not None
        if last_only and isinstance(entry, Run):
            newest = entry.newest()
            # The last record of a batch is cut out when it is computed.
            self._left_out += entry.count - 1
            entry = newest
        self._put(PendingEntry(entry, last_only))

    def close(self) -> None:
        """End the view, which nobody receives any more; results of a computation under way are dropped."""
        self._closed = True
        self._queue.clear()
        self.source.drop_newest()
        self._hold_publishers()
        self._context.policy.forget(self.source)

    def _put(self, waiting: PendingEntry) -> None:
        self._queue.put(waiting)
        self._compute_next()
        self._hold_publishers()

    def _hold_publishers(self) -> None:
        """Have publishers of an ``event`` stream wait while too many of their messages wait to be computed."""
        acks = self.fanout.acks
        if acks is not None:
            if self._queue.crowded:
                acks.hold(self)
            elif acks.holds_for(self):
                self.fanout.when_delivered(self._let_publishers_go)

    def _let_publishers_go(self) -> None:
        if self.fanout.acks is not None and not self._queue.crowded:
            self.fanout.acks.let_go(self)

    # Computing.

    def _compute_next(self) -> None:
        if self._busy or not self._queue or self._closed:
            return
        clock = self._context.clock
        now_s = clock.monotonic_s()
        if self._is_state and now_s < self._due_s:
            if not self._timer:
                self._timer = True
                clock.call_later(self._due_s - now_s, self._on_timer)
            return
        self._busy = True
        self._context.turns.ask(self._begin)

    def _begin(self) -> bool:
        """Compute what waits, in the turn of this view; return False if nobody receives it any more."""
        if self._closed:
            return False
        self._due_s = self._context.clock.monotonic_s() + self._interval_s()
        self._submit(self._queue.take())
        return True

    def _submit(self, job: list[PendingEntry | Gap]) -> None:
        """Compute, once versions that came as patches are merged into keyframes."""
        for index, waiting in enumerate(job):
            patch = patch_of(waiting.entry) if isinstance(waiting, PendingEntry) else None
            if patch is None:
                continue
            keyframe = self._context.merger.keyframe(patch, None, partial(self._submit, job))
            if keyframe is None:
                return
            job[index] = keyframe if isinstance(keyframe, Gap) else PendingEntry(keyframe, last_only=True)
        self._context.workers.submit(lambda: self._compute(job), lambda result: self._computed(job, result))

    def _on_timer(self) -> None:
        self._timer = False
        # The timer may run by another clock than this one, and ring a little early.
        self._due_s = min(self._due_s, self._context.clock.monotonic_s())
        self._compute_next()

    def _interval_s(self) -> float:
        """Return the time until the next version may be computed."""
        rate_hz = self.source.view.max_rate_hz
        interval_s = max(self._context.pace.least_interval_s, 0.0 if rate_hz is None else 1 / rate_hz)
        if self.fanout.all_lagging:
            return max(interval_s, LAGGING_INTERVAL_S)
        return interval_s

    def _compute(self, job: list[PendingEntry | Gap]) -> list[ViewPart | Gap]:
        """Return the parts of the view; runs in a thread."""
        parts: list[ViewPart | Gap] = []
        for waiting in job:
            if isinstance(waiting, Gap):
                parts.append(waiting)
                continue
            entry = waiting.entry
            if waiting.last_only and isinstance(entry, Run):
                entry = last_record(entry)
            parts += show(self.source.view, entry, self.source, self._context.limits)
        return parts

    def _computed(self, job: list[PendingEntry | Gap], result: list[ViewPart | Gap] | BaseException) -> None:
        self._busy = False
        self._queue.computed()
        self._context.turns.end()
        if self._closed:
            return
        if isinstance(result, BaseException):
            result = self._failed(job, result)
        self.computed_entries += sum([isinstance(waiting, PendingEntry) for waiting in job])
        for part in result:
            admitted = self._admitted(part)
            if admitted is not None:
                self._deliver(admitted)
            if self._abandoned:
                return
        self._compute_next()
        self._hold_publishers()

    def _failed(self, job: list[PendingEntry | Gap], error: BaseException) -> list[ViewPart | Gap]:
        ranges = [
            (waiting.first, waiting.last) if isinstance(waiting, Gap) else offsets_of(waiting.entry) for waiting in job
        ]
        first, last = ranges[0][0], ranges[-1][1]
        if not isinstance(error, RequestRefused):
            logger.error(
                "view %s of %s failed: its receivers do not get offsets %d to %d, and are told so; this is a fault of "
                "the gateway: report it",
                self.source.view,
                self.source.name,
                first,
                last,
                exc_info=error,
            )
            error = RequestRefused(Code.INTERNAL, f"view {self.source.view} failed; the gateway's log says more")
        return [Misfit(first, last, fresh(error))]

    # Delivering.

    def _admitted(self, part: ViewPart | Gap) -> ViewPart | Gap | None:
        """Return a version of a state if there is memory for it, else a misfit; ``None`` if no receiver is left."""
        if not self._is_state or isinstance(part, Gap | Misfit):
            return part
        first, last = (part.run.first, part.run.last) if isinstance(part, Shown) else (part.frame.offset,) * 2
        try:
            self._admit(self, part.size)
        except RequestRefused as refusal:
            return Misfit(first, last, fresh(refusal))
        return None if self._closed else part

    def _deliver(self, part: ViewPart | Gap) -> None:
        match part:
            case Shown(run, frame, element):
                self.misfit = None
                self.source.append_run(run)
                if self._is_known(run.first):
                    self._begin_with(run)
                elif frame is None:
                    self.fanout.deliver(run)
                else:
                    self.fanout.deliver_frame(run, frame, frame.publisher, element)
            case ShownLarge():
                self.misfit = None
                self._deliver_large(part)
            case Misfit(first, last, refusal):
                is_new, self.misfit = self.misfit is None, refusal
                if self._is_state:
                    self._left_out += last - first + 1
                    self._tell_misfit(refusal, is_new=is_new)
                else:
                    self.fanout.when_delivered(partial(self._tell_misfit, refusal, is_new=is_new))
                    self._leave_out(Gap(self.source.id, refusal.code, first, last))
            case Gap():
                self._leave_out(part)

    def _is_known(self, offset: int) -> bool:
        """Return whether a version is older than the view, and some receivers have it."""
        return self._some_have_newest and offset < self._begins_at

    def _begin_with(self, newest: Entry) -> None:
        assert isinstance(self.fanout, StateFanout)
        self.fanout.begin_with(newest, self._wanting_newest)

    def _tell_misfit(self, refusal: RequestRefused, *, is_new: bool) -> None:
        """Tell the receivers that the view does not fit: once, until it fits again. Some may get events otherwise."""
        if self.on_misfit is not None and not self._is_state and refusal.code == Code.INVALID_VIEW:
            self.on_misfit(self)
        if is_new:
            for session, numbers in self.receivers.items():
                for number in sorted(numbers):
                    session.refuse(refusal, subscription=number, stream=self.source.name)

    def _leave_out(self, gap: Gap) -> None:
        self.source.next_offset = gap.last + 1
        self.fanout.send_gap(gap)

    def _deliver_large(self, part: ShownLarge) -> None:
        message = large_of(self.source, part, self._context)
        if self._is_known(part.frame.offset):
            self.source.append_large(message)
            self._begin_with(message)
            return
        # As if a publisher sent it: the fan-out adds the chunks one by one.
        chunks, message.chunks = message.chunks, []
        sink = self.fanout.begin(message, frozenset(), part.element)
        for chunk in chunks:
            sink.chunk(chunk)
        self.source.append_large(message)
        sink.commit()


def large_of(source: DerivedStream, part: ShownLarge, context: ViewContext) -> LargeMessage:
    """Return a message of a view in chunks: complete, with its offset."""
    frame = part.frame
    plan = ChunkPlan(context.transfers.next(), part.chunk_bytes, part.size)
    return LargeMessage(
        source,
        frame.opcode,
        frame.publisher,
        frame.timestamp_ns,
        0,
        bytes(frame.meta),
        plan,
        offset=frame.offset,
        end_timestamp_ns=frame.timestamp_ns,
        chunks=list(part.chunks or _chunks_of(frame.payload, part.chunk_bytes)),
        extensions=frame.extensions,
    )


def _chunks_of(payload: Buffer, chunk_bytes: int) -> list[StoredChunk]:
    return [StoredChunk(None, piece) for (piece,) in split_payload([payload], chunk_bytes)]
