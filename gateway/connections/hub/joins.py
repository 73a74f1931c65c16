"""All pending joins: streams that connections are about to receive, announced as their transports take them.

A SUBSCRIBE of many streams has two parts. First all matching streams are found, and it is noted where each begins for
the subscriber; then SUBSCRIBED is sent. From that moment on the subscriber gets every message. Afterwards the streams
are announced and joined one by one, paced by the transport, in turn with the messages of those that are joined already.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import Final, NamedTuple

from gateway.connections.hub.cork import Cork
from gateway.connections.hub.pending_joins import Join, Note, PendingJoins, Unnoted, WaitingJoins
from gateway.connections.outbound.delivery_accounts import SubscribeOptions
from gateway.connections.sessions.session import Session
from gateway.connections.slices import Slices, step_of
from gateway.protocol.names import Pattern
from gateway.streams.stream import Stream
from gateway.streams.stream_registry import StreamRegistry

FEW: Final = 64
"""Streams up to which everything is done at once: about two milliseconds."""
LISTED: Final = 1024
"""Streams that are listed at a time, and then looked at."""
NOTED_A_STEP: Final = 32
"""Streams that are looked at in one step: some ten microseconds."""
MAX_SUBSCRIBES: Final = 64
"""SUBSCRIBEs of many streams that wait for an earlier one of their connection; one more stops the reading from it."""
MAX_POSITIONS: Final = 100_000
"""Positions that these SUBSCRIBEs name together, likewise."""
MAX_WAITING: Final = 262_144
"""Streams that wait to be announced to one connection, each counted for each view: it has to read them some day."""
MAX_ALL_WAITING: Final = 4_000_000
"""The same of all connections, 400 bytes each (a state 8). Past it those that do not read are closed, largest first."""
READERS_AT_ONCE: Final = 32
"""Connections to which a new stream is announced at once; if there are more, all of them get it bit by bit."""


class Subscribing(NamedTuple):
    """One SUBSCRIBE, as far as the streams that it names are concerned."""

    note: Note
    """Function that notes where a stream begins; it returns nothing for one that does not match, or has ended."""
    answer: Callable[[], object]
    """Function that sends SUBSCRIBED."""
    begin: Callable[[], object]
    """Function that has streams noted which are opened from now on."""
    wanted: Callable[[], bool]
    """Whether the subscription still exists."""
    options: SubscribeOptions
    """Start position, which may name every stream. The joins let go of it when all are done."""
    unnoted: Callable[[Stream], bool]
    """Whether a stream matches and begins with its newest version, so that it can be noted in its turn."""

    @property
    def positions(self) -> int:
        """Number of positions that the SUBSCRIBE names."""
        return sum([len(named) for named in self.options if isinstance(named, Mapping)])


class Joins:
    """Pending joins of all connections.

    Args:
        slices: takes the steps.
        streams: all streams.
    """

    def __init__(self, slices: Slices, streams: StreamRegistry) -> None:
        self._slices = slices
        self._streams = streams
        self._count = WaitingJoins()
        self._pending: dict[Session, PendingJoins] = {}
        self._waiting: dict[Session, deque[tuple[Pattern, Subscribing]]] = {}
        """SUBSCRIBEs that wait until the streams of an earlier one are announced."""

    @property
    def idle(self) -> bool:
        """True while no connection is about to receive anything."""
        return not self._pending and not self._waiting

    def of(self, session: Session) -> PendingJoins | None:
        """Return the joins of a session that wait; ``None`` if there are none."""
        return self._pending.get(session)

    def begin(self, session: Session, pattern: Pattern, subscribing: Subscribing) -> None:
        """Answer a SUBSCRIBE and have its streams joined: at once if there are few, otherwise bit by bit.

        Args:
            session: the subscriber.
            pattern: its streams.
            subscribing: the SUBSCRIBE.
        """
        if self._streams.candidate_count(pattern) > FEW:
            if session in self._pending and self._may_wait(session, subscribing):
                self._waiting.setdefault(session, deque()).append((pattern, subscribing))
            else:
                self._begin_noting(session, pattern, subscribing)
            return
        subscribing.begin()
        streams = self._streams.candidates(pattern)
        pending = self._pending.get(session)
        if pending is not None:
            for stream in streams:
                pending.finish(stream)
        with Cork(session.connection):
            subscribing.answer()
            for stream in streams:
                for join in subscribing.note(stream):
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
            pending.close(f"{len(pending)} streams wait to be announced, more than {MAX_WAITING}")
        self._make_room()
        pending.go_on()

    def _make_room(self) -> None:
        """Close connections, those that do not read first, while too many joins wait of all together."""
        while self._count.total > MAX_ALL_WAITING:
            most = max(self._pending.values(), key=lambda pending: pending.burden)
            if not most.burden[1]:
                return
            total = self._count.total
            most.close(
                f"{len(most)} of {total} streams wait to be announced, of all clients more than {MAX_ALL_WAITING}"
            )

    def _made(self, session: Session) -> PendingJoins:
        pending = self._pending.get(session)
        if pending is None:
            pending = PendingJoins(session, self._slices, self._count, partial(self._ended, session))
            self._pending[session] = pending
        return pending

    def giving_up(self, session: Session) -> Iterator[None]:
        """Give up all joins of a lost connection, one a step."""
        self._waiting.pop(session, None)
        pending = self._pending.get(session)
        if pending is not None:
            yield from pending.cancelling()

    def _may_wait(self, session: Session, subscribing: Subscribing) -> bool:
        """Return whether a SUBSCRIBE may wait beside the other frames of its connection, a publish for example."""
        waiting = [subscribing, *[each for _, each in self._waiting.get(session, ())]]
        return len(waiting) <= MAX_SUBSCRIBES and sum([each.positions for each in waiting]) <= MAX_POSITIONS

    def _ended(self, session: Session) -> None:
        self._pending.pop(session, None)
        self._go_on(session)

    def _go_on(self, session: Session) -> None:
        """Begin with the next SUBSCRIBE that waits."""
        waiting = self._waiting.pop(session, None)
        if waiting and not session.connection.closed and not session.lost:
            self._begin_noting(session, *waiting.popleft())
            if waiting:
                self._waiting[session] = waiting

    def _begin_noting(self, session: Session, pattern: Pattern, subscribing: Subscribing) -> None:
        session.backlog.add(step_of(self._noting(session, pattern, subscribing)), for_peer=True)

    def _noting(self, session: Session, pattern: Pattern, subscribing: Subscribing) -> Iterator[None]:
        # One after the other: their streams may be the same, and so many joins would have no bound.
        while (before := self._pending.get(session)) is not None:
            session.connection.reading.hold(before)
            yield
        if not subscribing.wanted():
            self._go_on(session)
            return
        # In one moment: each stream is in a piece or noted when it is opened, and announced behind SUBSCRIBED.
        subscribing.begin()
        pieces = self._streams.pieces(pattern, LISTED)
        pending = self._made(session)
        pending.held = True
        pending.options = subscribing.options
        waiting = Unnoted(self._streams, subscribing.note)
        for part in (piece[at : at + NOTED_A_STEP] for piece in pieces for at in range(0, len(piece), NOTED_A_STEP)):
            self._make_room()
            yield
            if not subscribing.wanted():
                break
            for stream in part:
                if subscribing.unnoted(stream):
                    pending.add_unnoted(waiting, stream)
                else:
                    for join in subscribing.note(stream):
                        pending.add(join)
        pending.held = False
        if subscribing.wanted():
            subscribing.answer()
        pending.go_on()
