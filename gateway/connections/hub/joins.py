"""Pending joins: streams that connections are about to receive, announced bit by bit, as their transports take them.

A SUBSCRIBE of many streams has two parts. First all matching streams are found, and it is noted where each begins for
the subscriber; then SUBSCRIBED is sent. From that moment on the subscriber gets every message. Afterwards the streams
are announced and joined one by one, paced by the transport, in turn with the messages of those that are joined already.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from typing import Final

from gateway.connections.fanout.pubsub_fanout import PubSubFanout
from gateway.connections.fanout.start_position import StartPosition
from gateway.connections.hub.cork import Cork
from gateway.connections.outbound.connection import Connection
from gateway.connections.outbound.delivery_accounts import SubscribeOptions
from gateway.connections.sessions.session import Session
from gateway.connections.slices import Slices, Step
from gateway.errors import Code
from gateway.protocol.names import Pattern
from gateway.streams.history import Entry
from gateway.streams.run import Run
from gateway.streams.span import offsets_of
from gateway.streams.stream import Stream

FEW: Final = 64
"""Streams up to which everything is done at once: about two milliseconds."""
NOTED_A_STEP: Final = 32
"""Streams that are looked at in one step: some ten microseconds."""
JOINS_A_STEP: Final = 8
"""Streams that are announced in one step, and with one system call: some hundred microseconds."""
SHARE: Final = 256
"""Streams that are announced, each time the transport has drained, before the outbox is served again."""
MAX_WAITING: Final = 262_144
"""Streams that wait to be announced to one connection, each counted for each view: it has to read them some day."""
READERS_AT_ONCE: Final = 32
"""Connections to which a new stream is announced at once; if there are more, all of them get it bit by bit."""

Complete = Callable[["Join", Entry | None], None]


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
            self.fanout.taps[self.take] = None

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


class PendingJoins:
    """Streams that one connection is about to receive, each in its turn.

    Args:
        connection: the receiver.
        slices: takes the steps.
        ended: called when no join is left.

    Attributes:
        held: whether SUBSCRIBED is not sent yet, so that nothing may be announced.
        first: whether the outbox has to wait, so that it does not take all room of the transport.
    """

    __slots__ = ("_by_stream", "_connection", "_ended", "_left", "_order", "_slices", "_swept_at", "first", "held")

    def __init__(self, connection: Connection, slices: Slices, ended: Callable[[], object]) -> None:
        self._connection = connection
        self._slices = slices
        self._ended = ended
        self._order: deque[Join] = deque()
        self._by_stream: dict[Stream, Join] = {}
        """Join of each stream that comes under the same number for all subscriptions."""
        self._left = SHARE
        """Streams that may be announced before the outbox is served."""
        self._swept_at = FEW
        """Number of joins at which those of streams that have ended are given up."""
        self.held = False
        self.first = False
        connection.announcements = self

    def __len__(self) -> int:
        return len(self._order)

    def __iter__(self) -> Iterator[Join]:
        return iter(self._order)

    def of(self, stream: Stream) -> Join | None:
        """Return the join of a stream that comes under the same number for all subscriptions; ``None``: none waits."""
        return self._by_stream.get(stream)

    def add(self, join: Join) -> None:
        """Add a join; that of an acknowledged stream, whose messages are kept for it, goes before all others."""
        if len(self._order) >= self._swept_at:
            self._sweep()
        join.wait(self)
        if join.shared:
            self._by_stream[join.stream] = join
        if join.stream.kind.acknowledged:
            self._order.appendleft(join)
        else:
            self._order.append(join)

    def _sweep(self) -> None:
        """Give up streams that have ended: others may open and end any number while a client does not read."""
        order, self._order = self._order, deque()
        for join in order:
            if join.stream.ended is None:
                self._order.append(join)
            else:
                join.cancel()
                if self._by_stream.get(join.stream) is join:
                    del self._by_stream[join.stream]
        self._swept_at = 2 * len(self._order) + FEW

    def finish(self, stream: Stream) -> None:
        """Join a stream at once, since another subscription is about to have it announced as well."""
        join = self._by_stream.pop(stream, None)
        if join is not None:
            join.finish()

    def go_on(self) -> None:
        """Take steps as long as the transport takes bytes."""
        if self._order:
            if not self.held:
                self._slices.add(self._step)
        else:
            self._end()

    def resume(self) -> None:
        """Implement :meth:`~gateway.connections.outbound.frame_writer.Announcements.resume`."""
        if self._order and not self.held:
            self.first = True
            self._slices.add(self._step)

    def cancelling(self) -> Iterator[None]:
        """Give up all joins, one a step."""
        self._slices.drop(self._step)
        while self._order:
            self._order.popleft().cancel()
            yield
        self._by_stream.clear()
        self._end()

    def _step(self) -> bool:
        connection = self._connection
        if self.held or connection.paused or connection.closed:
            return False
        with Cork(connection):
            for _ in range(min(JOINS_A_STEP, len(self._order))):
                join = self._order.popleft()
                if self._by_stream.get(join.stream) is join:
                    del self._by_stream[join.stream]
                join.finish()
                self._left -= 1
        if not self._order:
            self._end()
            return False
        if self._left <= 0:
            self._left = SHARE
            self._serve_outbox()
        return True

    def _end(self) -> None:
        connection = self._connection
        connection.announcements = None
        self._ended()
        self._serve_outbox()
        connection.reading.release(self)

    def _serve_outbox(self) -> None:
        if self.first:
            self.first = False
            self._connection.drain()


class Joins:
    """Pending joins of all connections.

    Args:
        slices: takes the steps.
    """

    def __init__(self, slices: Slices) -> None:
        self._slices = slices
        self._pending: dict[Session, PendingJoins] = {}

    @property
    def idle(self) -> bool:
        """True while no connection is about to receive anything."""
        return not self._pending

    def of(self, session: Session) -> PendingJoins | None:
        """Return the joins of a session that wait; ``None`` if there are none."""
        return self._pending.get(session)

    def begin(
        self,
        session: Session,
        streams: Sequence[Stream],
        note: Callable[[Stream], Sequence[Join]],
        answer: Callable[[], object],
        wanted: Callable[[], bool],
    ) -> None:
        """Answer a SUBSCRIBE and have its streams joined: at once if there are few, otherwise bit by bit.

        Args:
            session: the subscriber.
            streams: streams that may match.
            note: notes where a stream begins; returns nothing for one that does not match, or has ended.
            answer: sends SUBSCRIBED.
            wanted: whether the subscription still exists.
        """
        if len(streams) > FEW:
            session.backlog.add(step_of(self._noting(session, streams, note, answer, wanted)))
            return
        pending = self._pending.get(session)
        if pending is not None:
            for stream in streams:
                pending.finish(stream)
        with Cork(session.connection):
            answer()
            for stream in streams:
                for join in note(stream):
                    join.finish()

    def opened(self, session: Session, joins: Sequence[Join], *, many: bool) -> None:
        """Have a stream that is new joined: at once, or behind others that wait.

        Args:
            session: the subscriber.
            joins: of the stream.
            many: whether very many connections get it.
        """
        if session.connection.closed:
            return
        if not many and session not in self._pending and session.connection.takes_urgent:
            for join in joins:
                join.finish()
            return
        pending = self._made(session)
        for join in joins:
            pending.add(join)
        if len(pending) > MAX_WAITING:
            problem = f"{len(pending)} streams wait to be announced, more than {MAX_WAITING}: read faster"
            session.connection.close(Code.SLOW_CONSUMER, problem)
        pending.go_on()

    def _made(self, session: Session) -> PendingJoins:
        pending = self._pending.get(session)
        if pending is None:
            ended = lambda: self._pending.pop(session, None)  # noqa: E731
            pending = self._pending[session] = PendingJoins(session.connection, self._slices, ended)
        return pending

    def _noting(
        self,
        session: Session,
        streams: Sequence[Stream],
        note: Callable[[Stream], Sequence[Join]],
        answer: Callable[[], object],
        wanted: Callable[[], bool],
    ) -> Iterator[None]:
        # One after the other: their streams may be the same, and so many joins would have no bound.
        while (before := self._pending.get(session)) is not None:
            session.connection.reading.hold(before)
            yield
        pending = self._made(session)
        pending.held = True
        for at, stream in enumerate(streams):
            if not at % NOTED_A_STEP:
                yield
                if not wanted():
                    break
            for join in note(stream):
                pending.add(join)
        pending.held = False
        if wanted():
            answer()
        pending.go_on()


def step_of(work: Iterator[None]) -> Step:
    """Return the step function of a piece of work that yields between its steps."""
    over = object()
    return lambda: next(work, over) is not over
