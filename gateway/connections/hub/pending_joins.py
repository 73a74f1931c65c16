"""Pending joins of one connection: streams that it is about to receive, announced as its transport takes them.

The streams are announced and joined one by one, paced by the transport, in turn with the messages of those that are
joined already. Messages that come before are not missed.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from itertools import chain
from typing import Final

from gateway.connections.fanout.pubsub_fanout import PubSubFanout
from gateway.connections.fanout.start_position import StartPosition
from gateway.connections.hub.cork import Cork
from gateway.connections.outbound.delivery_accounts import NO_OPTIONS, SubscribeOptions
from gateway.connections.outbound.no_entries import with_entry
from gateway.connections.sessions.session import Session
from gateway.connections.slices import Slices
from gateway.errors import Code
from gateway.ids import StreamName
from gateway.protocol.names import Pattern
from gateway.streams.history import Entry
from gateway.streams.run import Run
from gateway.streams.span import offsets_of
from gateway.streams.stream import Stream
from gateway.streams.stream_registry import StreamRegistry

JOINS_A_STEP: Final = 8
"""Streams that are announced in one step, and with one system call: some hundred microseconds."""
SHARE: Final = 256
"""Streams that are announced, each time the transport has drained, before the outbox is served again."""
LOOKED_AT: Final = 2
"""Number of joins that are looked at whenever one is added; those of streams that have ended are given up.

More than the one that is added, so that all are looked at before there are three times as many.
"""

Complete = Callable[["Join", Entry | None], None]
Note = Callable[[Stream], Sequence["Join"]]


class Join:
    """One stream that subscriptions of one connection are about to receive.

    Args:
        session: the subscriber.
        subscriptions: numbers and patterns of the subscriptions; one that has ended meanwhile does not count.
        stream: the stream.
        options: start that the SUBSCRIBE named.
        complete: announces the stream, and adds the receiver. If it is given a message, that has just been delivered to
            the others, and history may not keep it.
        fanout: fan-out that the receiver is to be added to, if messages may come before the join; otherwise ``None``.
        start: start position noted when the SUBSCRIBE was answered; ``None``: that of the moment of the join.
        shared: whether the stream comes under the same number for all subscriptions of the connection: it is no view,
            and not observed.
    """

    __slots__ = (
        "_complete",
        "_done",
        "_pending",
        "fanout",
        "options",
        "session",
        "shared",
        "start",
        "stream",
        "subscriptions",
    )

    def __init__(
        self,
        session: Session,
        subscriptions: Sequence[tuple[int, Pattern]],
        stream: Stream,
        options: SubscribeOptions,
        complete: Complete,
        fanout: PubSubFanout | None = None,
        start: StartPosition | None = None,
        *,
        shared: bool,
    ) -> None:
        self.session = session
        self.subscriptions = subscriptions
        self.stream = stream
        self.options = options
        self.fanout = fanout
        self.start = start
        self.shared = shared
        self._complete = complete
        self._done = False
        self._pending: PendingJoins | None = None

    def wait(self, pending: PendingJoins) -> None:
        """Wait for the turn of the join; a message that history will not have by then has the stream joined before."""
        self._pending = pending
        if self.fanout is not None:
            self.fanout.taps = with_entry(self.fanout.taps, self.take, None)

    def take(self, entry: Entry) -> None:
        """Take a message of the stream, which has been delivered to all present receivers."""
        stream = self.stream
        kept = stream.stored_first is not None or stream.config.history_of(stream.kind).keeps
        connection = self.session.connection
        if self._pending is not None and self._pending.held:
            # SUBSCRIBED is yet to come: the message is not for the subscription, unless that has asked for it.
            if not kept and self.start is not None and self.options.since is None:
                self.start = self.start._replace(offset=offsets_of(entry)[1] + 1)
            return
        # A reader that takes not even announcements gets GAP for what history does not keep, as any that is too slow.
        if not (kept and isinstance(entry, Run)) and connection.takes_urgent and not connection.closed:
            self.finish(entry)

    def finish(self, entry: Entry | None = None) -> None:
        """Announce the stream and join it, unless that is done."""
        if not self._done:
            self.cancel()
            self._complete(self, entry)

    @property
    def is_wanted(self) -> bool:
        """Whether one of the subscriptions stands."""
        standing = self.session.subscriptions
        return any(standing.get(number) is pattern for number, pattern in self.subscriptions)

    def cancel(self) -> None:
        """Give up the join."""
        if not self._done:
            self._done = True
            if self.fanout is not None:
                self.fanout.taps.pop(self.take, None)


class Unnoted:
    """Streams of one SUBSCRIBE that need no noted start: only their names are kept until a join is made in its turn.

    Args:
        streams: all streams.
        note: makes the join of a stream, if there is one.
    """

    __slots__ = ("_names", "_newest", "_note", "_streams")

    def __init__(self, streams: StreamRegistry, note: Note) -> None:
        self._streams = streams
        self._note = note
        self._names: deque[StreamName] = deque()
        self._newest = 0
        """Greatest id of these streams: one that is greater is of a stream that was opened later."""

    def __len__(self) -> int:
        return len(self._names)

    def add(self, stream: Stream) -> None:
        """Have a stream wait."""
        self._names.append(stream.name)
        self._newest = max(self._newest, stream.id)

    def finish(self) -> None:
        """Announce the next stream and join it, unless it has ended."""
        stream = self._streams.get(self._names.popleft())
        if stream is not None and stream.id <= self._newest:
            for join in self._note(stream):
                join.finish()


class WaitingJoins:
    """Number of the joins that wait, of all connections."""

    __slots__ = ("total",)

    def __init__(self) -> None:
        self.total = 0


class PendingJoins:
    """Streams that one connection is about to receive, each in its turn.

    Args:
        session: the receiver.
        slices: takes the steps.
        count: joins of all connections.
        ended: called when no join is left.

    Attributes:
        held: whether SUBSCRIBED is not sent yet, so that nothing may be announced.
        first: whether the outbox has to wait, so that it does not take all room of the transport.
        options: start position of the SUBSCRIBE; it may name very many streams, and is let go of bit by bit.
    """

    __slots__ = (
        "_by_stream",
        "_count",
        "_ended",
        "_left",
        "_looked_at",
        "_order",
        "_session",
        "_size",
        "_slices",
        "first",
        "held",
        "options",
    )

    def __init__(self, session: Session, slices: Slices, count: WaitingJoins, ended: Callable[[], object]) -> None:
        self._session = session
        self._slices = slices
        self._count = count
        self._ended = ended
        self._looked_at: deque[Join | Unnoted] = deque()
        """Front of the order: joins that have been looked at lately."""
        self._order: deque[Join | Unnoted] = deque()
        """Rest of the order."""
        self._size = 0
        """Streams that wait."""
        self._by_stream: dict[Stream, Join] = {}
        """Join of each stream that comes under the same number for all subscriptions."""
        self._left = SHARE
        """Streams that may be announced before the outbox is served."""
        self.held = False
        self.first = False
        self.options = NO_OPTIONS
        session.connection.announcements = self

    def __len__(self) -> int:
        return self._size

    def __iter__(self) -> Iterator[Join]:
        return (join for join in chain(self._looked_at, self._order) if isinstance(join, Join))

    def of(self, stream: Stream) -> Join | None:
        """Return the join of a stream that comes under the same number for all subscriptions; ``None``: none waits."""
        return self._by_stream.get(stream)

    def add(self, join: Join) -> None:
        """Add a join; that of an acknowledged stream, whose messages are kept for it, goes before all others."""
        self._look_at_some()
        join.wait(self)
        self._add(1)
        if join.shared:
            self._by_stream[join.stream] = join
        if join.stream.kind.acknowledged:
            self._looked_at.appendleft(join)
        else:
            self._order.append(join)

    def add_unnoted(self, unnoted: Unnoted, stream: Stream) -> None:
        """Add a stream to those of a SUBSCRIBE that need no noted start."""
        if not unnoted:
            self._order.append(unnoted)
        unnoted.add(stream)
        self._add(1)

    def _add(self, more: int) -> None:
        self._size += more
        self._count.total += more

    def _look_at_some(self) -> None:
        """Give up streams that have ended: others may open and end any number while a client does not read."""
        for _ in range(min(LOOKED_AT, len(self._order))):
            join = self._order.popleft()
            if isinstance(join, Unnoted) or join.stream.ended is None:
                self._looked_at.append(join)
            else:
                join.cancel()
                self._add(-1)
                if self._by_stream.get(join.stream) is join:
                    del self._by_stream[join.stream]
        if not self._order:
            self._order, self._looked_at = self._looked_at, self._order

    def finish(self, stream: Stream) -> None:
        """Join a stream at once, since another subscription is about to have it announced as well."""
        join = self._by_stream.pop(stream, None)
        if join is not None:
            join.finish()

    def go_on(self) -> None:
        """Take steps as long as the transport takes bytes."""
        if self._size:
            if not self.held:
                self._slices.add(self._step)
        else:
            self._end()

    def resume(self) -> None:
        """Implement :meth:`~gateway.connections.outbound.frame_writer.Announcements.resume`."""
        if self._size and not self.held:
            self.first = True
            self._slices.add(self._step)

    def cancelling(self) -> Iterator[None]:
        """Give up all joins, one a step."""
        self._slices.drop(self._step)
        while order := self._looked_at or self._order:
            join = order.popleft()
            if isinstance(join, Join):
                join.cancel()
                self._add(-1)
            else:
                self._add(-len(join))
            yield
        self._by_stream.clear()
        self._end()

    def _step(self) -> bool:
        connection = self._session.connection
        if self.held or connection.paused or connection.closed or self._session.lost:
            return False
        try:
            self._announce()
        except Exception:
            connection.close(Code.INTERNAL_ERROR, "the gateway failed; its log says more")
            raise
        if not self._size:
            self._end()
            return False
        if self._left <= 0:
            self._left = SHARE
            self._serve_outbox()
        return True

    def _announce(self) -> None:
        with Cork(self._session.connection):
            for _ in range(min(JOINS_A_STEP, self._size)):
                self._finish_next()
                self._left -= 1

    @property
    def burden(self) -> tuple[bool, int]:
        """Whether the client does not read, and the number of joins; (False, 0) if the connection is being closed."""
        connection = self._session.connection
        return (False, 0) if connection.closed else (connection.paused, self._size)

    def close(self, problem: str) -> None:
        """Close the connection, and count the joins no more: they are given up soon."""
        self._count.total -= self._size
        self._count = WaitingJoins()
        self._session.connection.close(Code.SLOW_CONSUMER, f"{problem}: read faster")

    def _finish_next(self) -> None:
        self._add(-1)
        order = self._looked_at or self._order
        join = order[0]
        if isinstance(join, Unnoted):
            if len(join) == 1:
                order.popleft()
        else:
            order.popleft()
            if self._by_stream.get(join.stream) is join:
                del self._by_stream[join.stream]
        join.finish()

    def _end(self) -> None:
        connection = self._session.connection
        connection.announcements = None
        self._ended()
        for positions in self.options:
            if isinstance(positions, dict):
                self._slices.let_go(positions)
        self._serve_outbox()
        connection.reading.release(self)

    def _serve_outbox(self) -> None:
        if self.first:
            self.first = False
            self._session.connection.drain()
