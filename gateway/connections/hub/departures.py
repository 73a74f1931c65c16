"""Departures: subscriptions that end, and connections that are lost, leave their streams bit by bit."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import takewhile
from typing import Final

from gateway.connections.consumers.consumer_fanout import ConsumerFanout
from gateway.connections.hub.announcer import credits_for
from gateway.connections.hub.fanout_registry import FanoutRegistry
from gateway.connections.hub.joins import FEW, LISTED, Joins
from gateway.connections.hub.observations import Observations
from gateway.connections.hub.views import Views
from gateway.connections.lagging.lag_changes import LagChanges
from gateway.connections.outbound.connection import Connection
from gateway.connections.sessions.session import Session
from gateway.connections.slices import Slices, step_of
from gateway.ids import StreamName
from gateway.protocol.names import Pattern
from gateway.streams.stream import Stream
from gateway.streams.stream_registry import StreamRegistry

LOOKED_AT: Final = 64
"""Streams that are looked at in one step: some ten microseconds."""


class Departures:
    """Work of subscriptions that have ended, and of connections that are lost.

    Args:
        streams: all streams.
        fanouts: their fan-outs.
        views: views of streams.
        observations: observed streams.
        joins: streams that connections are about to receive.
        slices: takes the steps.
        lag_changes: connections that have lost their transport, among others.
    """

    def __init__(
        self,
        streams: StreamRegistry,
        fanouts: FanoutRegistry,
        views: Views,
        observations: Observations,
        joins: Joins,
        slices: Slices,
        lag_changes: LagChanges[Connection],
    ) -> None:
        self._streams = streams
        self._fanouts = fanouts
        self._views = views
        self._observations = observations
        self._joins = joins
        self._slices = slices
        self._lag_changes = lag_changes
        self._under_way: dict[Session, Iterator[None]] = {}
        """Work that is not finished: of each session one piece."""

    @property
    def idle(self) -> bool:
        """True while nobody is about to leave a stream."""
        return not self._under_way

    def begin(
        self, session: Session, subscription: int, work: Iterator[None], size: int, answer: Callable[[], object]
    ) -> None:
        """End a subscription: at once, or before the next frame of its connection is handled.

        Args:
            session: the subscriber.
            subscription: number of the subscription.
            work: one stream a step.
            size: number of steps.
            answer: sends UNSUBSCRIBED.
        """
        whole = self._whole(session, subscription, work, answer)
        if size + session.connection.accounts.ends_waiting <= FEW:
            for _ in whole:
                pass
        else:
            self._under_way[session] = whole
            session.backlog.add(step_of(whole))

    def _whole(
        self, session: Session, subscription: int, work: Iterator[None], answer: Callable[[], object]
    ) -> Iterator[None]:
        yield from work
        yield from session.connection.accounts.leaving(subscription)
        if not session.connection.closed:  # otherwise it still leaves the streams of its other subscriptions
            self._under_way.pop(session, None)
        answer()

    def of_subscription(
        self, session: Session, subscription: int, pattern: Pattern, *, observed: bool, keep: bool
    ) -> Iterator[None]:
        """Leave the streams of a subscription that no other one of its session wants, one a step.

        Args:
            session: the subscriber.
            subscription: number of the subscription.
            pattern: its pattern.
            observed: it has observed acknowledged streams.
            keep: messages that are not acknowledged are kept for the client.
        """
        # Taken now: those that are not joined yet are left out from now on, since the subscription is gone.
        pending = () if observed or keep else self._joins.of(session) or ()
        waiting = takewhile(lambda join: join.stream.kind.acknowledged, pending)
        expected = [join.stream for join in waiting if pattern.matches(join.stream.name)]
        return self._leaving(session, subscription, pattern, expected, observed=observed, keep=keep)

    def _leaving(
        self,
        session: Session,
        subscription: int,
        pattern: Pattern,
        expected: Sequence[Stream],
        *,
        observed: bool,
        keep: bool,
    ) -> Iterator[None]:
        connection = session.connection
        yield from self._observations.leaving(session, subscription)
        for piece in self._pieces(pattern):
            for at, stream in enumerate(piece):
                if stream in connection.memberships and pattern.matches(stream.name):
                    self._leave(session, subscription, stream, observed=observed, keep=keep)
                    yield
                elif not at % LOOKED_AT:
                    yield
        for stream in expected:
            if not self._is_wanted(session, stream):
                self._give_up(session, stream)
                yield

    def _pieces(self, pattern: Pattern) -> Iterator[Sequence[Stream]]:
        yield from self._streams.pieces(pattern, LISTED)
        # Also streams that have ended, if the client is yet to be told: nothing comes behind UNSUBSCRIBED.
        yield list(self._fanouts.ending)

    def _leave(self, session: Session, subscription: int, stream: Stream, *, observed: bool, keep: bool) -> None:
        connection, fanout = session.connection, self._fanouts.of(stream)
        is_acknowledged = isinstance(fanout, ConsumerFanout)
        if is_acknowledged and observed:
            return
        connection.accounts.close_one(stream.id, subscription)
        if not self._is_wanted(session, stream):
            (fanout.detach if keep else fanout.leave)(connection)
        elif isinstance(fanout, ConsumerFanout) and not (connection.closed or session.lost):
            fanout.join(connection, credits_for(session, stream))

    def _is_wanted(self, session: Session, stream: Stream) -> bool:
        """Return whether a subscription of a session, which may be lost, receives a stream or is about to."""
        if session.connection.accounts.subscriptions_of(stream.id):
            return True
        pending = self._joins.of(session)
        join = None if pending is None or stream.ended is not None else pending.of(stream)
        return join is not None and (session.connection.closed or join.is_wanted)

    def _give_up(self, session: Session, stream: Stream) -> None:
        """Give up the messages of a stream that are kept for a client which was about to receive it."""
        if self._streams.get(stream.name) is stream:
            fanout = self._fanouts.of(stream)
            assert isinstance(fanout, ConsumerFanout)
            fanout.join(session.connection, ())
            fanout.leave(session.connection)

    def of_session(self, session: Session) -> None:
        """Leave all streams of a lost connection: at once if they are few."""
        pending = self._joins.of(session)
        connection = session.connection
        size = len(connection.memberships) + connection.accounts.size + (0 if pending is None else len(pending))
        work = self._all(session, self._under_way.pop(session, None))
        if size <= FEW:
            for _ in work:
                pass
        else:
            self._under_way[session] = work
            self._slices.add(step_of(work))

    def _all(self, session: Session, unfinished: Iterator[None] | None) -> Iterator[None]:
        connection = session.connection
        if unfinished is not None:
            yield from unfinished
        # First those whose next message may be given to another connection of the client.
        for acknowledged in (True, False):
            for at, source in enumerate(list(connection.memberships)):
                if source.kind.acknowledged is acknowledged and self._streams.get(StreamName(source.name)) is source:
                    self._fanouts.of(source).detach(connection)
                    yield
                elif not at % LOOKED_AT:
                    yield
        yield from self._joins.giving_up(session)
        for subscription in list(session.views):
            yield from self._views.leaving(session, subscription)
        yield from self._observations.dropping(session)
        yield from connection.accounts.dropping()
        # No delivery class has it any more.
        self._lag_changes.forget(connection)
        self._under_way.pop(session, None)
