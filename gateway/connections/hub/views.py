"""Views of streams and the subscriptions to them (spec section 4.5). Equal views of a stream are computed once."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import replace
from types import MappingProxyType

from gateway.connections.fanout.pubsub_fanout import PubSubFanout
from gateway.connections.fanout.start_position import StartPosition
from gateway.connections.hub.announcer import NewStreams, sessions_of
from gateway.connections.hub.fanout_registry import FanoutRegistry
from gateway.connections.hub.joins import READERS_AT_ONCE, Joins, Subscribing
from gateway.connections.hub.pending_joins import Join
from gateway.connections.hub.stats import ViewCounts, ViewStats
from gateway.connections.outbound.connection import Connection
from gateway.connections.outbound.delivery_accounts import NO_OPTIONS, SubscribeOptions
from gateway.connections.outbound.no_entries import with_entry
from gateway.connections.sessions.session import Session, ViewSubscription
from gateway.connections.slices import Slices
from gateway.connections.viewing.context import ViewContext
from gateway.connections.viewing.derivation import Derivation
from gateway.connections.viewing.view_fit import VIEWABLE, as_declared, check_kind, size_of, title_of, view_now
from gateway.connections.viewing.view_memory import VIEW_BYTES, ViewMemory
from gateway.errors import Code, RequestRefused
from gateway.protocol.messages import Kind
from gateway.protocol.names import Pattern
from gateway.protocol.pattern_index import PatternIndex
from gateway.protocol.views import View
from gateway.streams.derived import DerivedStream
from gateway.streams.history import Entry
from gateway.streams.state import specs_of
from gateway.streams.stream import Stream
from gateway.streams.stream_registry import StreamRegistry


class Views:
    """Views of all streams, and the subscriptions that wait for streams to be opened.

    Args:
        streams: all streams.
        fanouts: the fan-outs of streams; makes those of views.
        context: shared by all views.
        joins: streams that connections are about to receive.
        slices: takes the steps of what is done for very many connections.
    """

    def __init__(
        self,
        streams: StreamRegistry,
        fanouts: FanoutRegistry,
        context: ViewContext,
        joins: Joins,
        slices: Slices,
    ) -> None:
        self._streams = streams
        self._fanouts = fanouts
        self._context = context
        self._joins = joins
        self.new = NewStreams(slices, self._note_new)
        """New streams whose views are to be noted for very many connections."""
        self.memory = ViewMemory(context.limits)
        """Bytes of the newest versions of all views."""
        self._of_streams: dict[Stream, dict[View, Derivation]] = {}
        self._patterns: PatternIndex[tuple[Session, int]] = PatternIndex()
        """Subscriptions to views, by session and the client's number."""
        self._held: dict[tuple[Session, int], dict[Derivation, None]] = {}
        """Views that a subscription receives, by session and the client's number."""
        self._past = ViewCounts()
        """Counters of views that nobody receives any more."""
        self._past_deliveries = dict.fromkeys(VIEWABLE, 0)
        """Messages delivered by views that nobody receives any more."""
        self._count = 0
        self.on_misfit: Callable[[Derivation], object] | None = None

    def __len__(self) -> int:
        return self._count

    def __iter__(self) -> Iterator[Derivation]:
        for derivations in self._of_streams.values():
            yield from derivations.values()

    @property
    def idle(self) -> bool:
        """True while nothing is being computed or encoded."""
        return self.new.idle and all(derivation.idle for derivation in self)

    def stats(self) -> ViewStats:
        """Return the numbers of all views; counters include views that nobody receives any more."""
        delivered = dict(self._past_deliveries)
        for view in self:
            delivered[view.source.kind] += view.fanout.delivered_messages
        counts = ViewCounts(
            self._past.computed_entries + sum([view.computed_entries for view in self]),
            self._past.conflated_messages + sum([view.conflated_messages for view in self]),
        )
        return ViewStats(self._count, counts, MappingProxyType(delivered), self.memory.held_bytes)

    def check(self, session: Session, pattern: Pattern, view: View) -> None:
        """Refuse a subscription that names one stream whose newest state the view does not fit.

        Raises:
            RequestRefused: ``INVALID_VIEW``; ``LIMIT_EXCEEDED``, there are too many views, or they hold too many bytes.
        """
        if pattern.is_literal:
            for stream in self._streams.matching(pattern):
                self._check_stream(session, stream, as_declared(view, stream))
                self._check_newest(stream, view)

    def subscribe(
        self,
        session: Session,
        subscription: int,
        wanted: ViewSubscription,
        options: SubscribeOptions = NO_OPTIONS,
        answer: Callable[[], object] = lambda: None,
    ) -> None:
        """Add a subscription that :meth:`check` has passed; its streams are announced, each by the id of its view.

        Args:
            session: the subscriber.
            subscription: number that the client has given it.
            wanted: the streams, and the view of each.
            options: where to start.
            answer: sends SUBSCRIBED.
        """
        self.new.note(session)
        session.add_view(subscription, wanted)
        pattern = wanted.pattern

        def note(stream: Stream) -> Sequence[Join]:
            matches = pattern.matches(stream.name) and self._streams.get(stream.name) is stream
            return self._note(session, subscription, wanted, stream, options) if matches else ()

        self._joins.begin(
            session,
            pattern,
            Subscribing(
                note,
                answer,
                begin=lambda: self._patterns.add(pattern, (session, subscription)),
                wanted=lambda: session.views.get(subscription) is wanted,
                options=options,
                unnoted=lambda stream: stream.kind is not Kind.EVENT and pattern.matches(stream.name),
            ),
        )

    def leaving(self, session: Session, subscription: int) -> Iterator[None]:
        """Remove a subscription, one stream a step; a view that nobody else receives is computed no more."""
        self.new.note(session)
        self._patterns.remove(session.views.pop(subscription).pattern, (session, subscription))
        return self._leaving(session, subscription)

    def _leaving(self, session: Session, subscription: int) -> Iterator[None]:
        held = self._held.get((session, subscription), {})
        while held:
            derivation = next(reversed(held))
            self.leave(derivation, session, subscription)
            session.connection.accounts.close_one(derivation.source.id, subscription)
            yield
        self._held.pop((session, subscription), None)

    def held(self, session: Session, subscription: int) -> Collection[Derivation]:
        """Return the views that a subscription receives."""
        return self._held.get((session, subscription), {}).keys()

    def newest_of(self, stream: Stream) -> Entry | None:
        """Return the newest version of a stream that has been delivered; ``None`` if there is none."""
        return self._fanouts.pubsub_of(stream).newest if stream.kind in VIEWABLE else None

    def opened(self, stream: Stream, *, at_once: bool) -> None:
        """Announce the views of a new stream to the sessions that wait for it.

        Args:
            stream: the stream.
            at_once: whether they are noted at once, however many there are.
        """
        found = sessions_of(self._patterns.matching(stream.name))
        if len(found) > READERS_AT_ONCE and not at_once:
            self.new.add(stream, found)
            return
        for session, numbers in found.items():
            self._note_new(session, numbers, stream, many=len(found) > READERS_AT_ONCE)

    def _note_new(self, session: Session, numbers: Sequence[int], stream: Stream, *, many: bool = True) -> None:
        for number in numbers:
            joins = self._note(session, number, session.views[number], stream, NO_OPTIONS)
            self._joins.opened(session, joins, many=many)

    def end(self, stream: Stream, end: Callable[[Connection, Stream], object]) -> Iterator[None]:
        """End the views of a stream that has ended; its subscriptions wait for the next stream of its name.

        Args:
            stream: the stream.
            end: called with each connection that has received a view, and the view as a stream.
        """
        for derivation in list(self._of_streams.get(stream, {}).values()):
            for session, numbers in list(derivation.receivers.items()):
                if session not in derivation.receivers:
                    continue  # gone meanwhile
                announced = derivation.source in session.connection.memberships
                for number in list(numbers):
                    self.leave(derivation, session, number)
                if announced:
                    end(session.connection, derivation.source)
                yield

    def names(self, stream: Stream) -> bool:
        """Return whether a subscription to a view names the stream itself, not by a pattern."""
        return self._patterns.named(stream.name)

    def receivers_of(self, stream: Stream) -> int:
        """Return the number of connections that receive views of a stream, each view counted."""
        return sum([fanout.receivers for fanout in self.fanouts_of(stream)])

    def fanouts_of(self, stream: Stream) -> list[PubSubFanout]:
        """Return the fan-outs of the views of a stream."""
        return [derivation.fanout for derivation in self._of_streams.get(stream, {}).values()]

    def by_id(self, stream: Stream, view_id: int) -> PubSubFanout | None:
        """Return the fan-out of a view of a stream, by the number of the view."""
        return next((fanout for fanout in self.fanouts_of(stream) if fanout.source.id == view_id), None)

    def _derivation(self, stream: Stream, view: View) -> Derivation | None:
        return self._of_streams.get(stream, {}).get(view)

    def _note(
        self,
        session: Session,
        subscription: int,
        wanted: ViewSubscription,
        stream: Stream,
        options: SubscribeOptions,
    ) -> Sequence[Join]:
        """Note where a view begins for a subscription; of a state that is the newest version, whenever it is joined."""
        subscriptions = [(subscription, wanted.pattern)]
        if stream.kind is not Kind.EVENT:
            return [Join(session, subscriptions, stream, options, self._join, shared=False)]
        try:
            fanout = self.hold(session, subscription, self._view_for(session, subscription, stream), stream).fanout
        except RequestRefused:  # told in its turn
            return [Join(session, subscriptions, stream, options, self._join, shared=False)]
        start = fanout.start(session.connection, options.since)
        return [Join(session, subscriptions, stream, options, self._join, fanout, start, shared=False)]

    def hold(self, session: Session, subscription: int, view: View, stream: Stream) -> Derivation:
        """Return the view of a stream, which a subscription receives from now on; of several calls the first counts.

        Raises:
            RequestRefused: ``INVALID_VIEW``; ``LIMIT_EXCEEDED``, there are too many views, or they are too large.
        """
        view = as_declared(view, stream)
        derivation = self._derivation(stream, view)
        if derivation is not None and subscription in derivation.receivers.get(session, ()):
            return derivation
        self._check_stream(session, stream, view)
        if derivation is None:
            derivation = self._derive(stream, view)
        if session not in derivation.receivers:
            derivation.receivers[session] = set()
            self.memory.add_to(session, derivation.held_bytes)
        derivation.receivers[session].add(subscription)
        self._held.setdefault((session, subscription), {})[derivation] = None
        return derivation

    def _join(self, join: Join, unkept: Entry | None) -> None:
        session, stream, options = join.session, join.stream, join.options
        ((subscription, pattern),) = join.subscriptions
        wanted = session.views.get(subscription)
        if wanted is None or wanted.pattern is not pattern or self._streams.get(stream.name) is not stream:
            return
        connection = session.connection
        try:
            derivation = self.hold(session, subscription, self._view_for(session, subscription, stream), stream)
        except RequestRefused as refusal:
            session.refuse(refusal, subscription=subscription, stream=stream.name)
            return
        fanout = derivation.fanout
        start = fanout.start(connection, options.since)
        if join.start is not None:
            start = join.start
        self.announce(session, subscription, derivation, options, start)
        derivation.join(connection, start, unkept)

    def announce(
        self,
        session: Session,
        subscription: int,
        derivation: Derivation,
        options: SubscribeOptions,
        start: StartPosition,
    ) -> None:
        """Tell a client from which offset on a subscription gets a view, which it is to join next."""
        source, wanted = derivation.source, session.views[subscription]
        session.open_account(source, subscription, options, start.offset)
        # The schema is that of the stream: the view shows something else.
        info = replace(source.parent.info(), id=source.id, schema=None, subscription=subscription)
        lowered = None if wanted.lower is None else source.view != as_declared(wanted.view, source.parent)
        session.connection.send(replace(info, since=start.offset, recovered=start.recovered, lowered=lowered))
        if derivation.misfit is not None:
            session.refuse(derivation.misfit, subscription=subscription, stream=source.name)

    def _view_for(self, session: Session, subscription: int, stream: Stream) -> View:
        """Return the view by which a subscription is to get a stream: the one by which it is getting it already."""
        wanted = session.views[subscription]
        held = () if wanted.lower is None else self._of_streams.get(stream, {}).items()
        for view, derivation in held:
            if subscription in derivation.receivers.get(session, ()):
                return view
        return view_now(wanted, stream, self.newest_of(stream))

    def _derive(self, stream: Stream, view: View) -> Derivation:
        parent = self._fanouts.pubsub_of(stream)
        source = DerivedStream(self._streams.next_id(), stream, view, parent.delivered)
        derivation = Derivation(source, self._fanouts.new_pubsub(source), self._context, self._admit)
        derivation.on_misfit = self.on_misfit
        self._of_streams.setdefault(stream, {})[view] = derivation
        self._count += 1
        self._resize(derivation, VIEW_BYTES + size_of(view, parent.newest))
        parent.taps = with_entry(parent.taps, derivation.take, None)
        if parent.newest is not None:
            derivation.take_newest(parent.newest)
        return derivation

    def leave(self, derivation: Derivation, session: Session, subscription: int) -> None:
        """Send a subscription no more messages of a view; one that nobody else receives is computed no more."""
        self._held.get((session, subscription), {}).pop(derivation, None)
        numbers = derivation.receivers[session]
        numbers.remove(subscription)
        if not numbers:
            del derivation.receivers[session]
            self.memory.add_to(session, -derivation.held_bytes)
            derivation.fanout.leave(session.connection)
        if not derivation.receivers:
            self._end(derivation)

    def _end(self, derivation: Derivation) -> None:
        """End a view that nobody receives any more."""
        self._past = ViewCounts(
            self._past.computed_entries + derivation.computed_entries,
            self._past.conflated_messages + derivation.conflated_messages,
        )
        source = derivation.source
        self._past_deliveries[source.kind] += derivation.fanout.delivered_messages
        siblings = self._of_streams[source.parent]
        del siblings[source.view]
        if not siblings:
            del self._of_streams[source.parent]
        self._count -= 1
        self._fanouts.end_view(source, derivation.take)
        derivation.close()
        self.memory.add(-derivation.held_bytes)

    def _admit(self, derivation: Derivation, size: int) -> None:
        """Count the version that is to be delivered next; receivers whose views then hold too much leave the view.

        Raises:
            RequestRefused: ``LIMIT_EXCEEDED``, all views together hold too much.
        """
        held_bytes = VIEW_BYTES + size
        source = derivation.source
        name = f"view {source.view} of {source.name}"
        self.memory.check_growth(name, derivation.held_bytes, held_bytes)
        has_grown = held_bytes > derivation.held_bytes
        self._resize(derivation, held_bytes)
        for session, numbers in list(derivation.receivers.items()) if has_grown else ():
            if not self.memory.exceeded_by(session, held_bytes):
                continue
            problem = f"{name} has grown to {size} bytes, and the other views of the connection hold all that they may"
            for number in sorted(numbers):
                session.refuse(RequestRefused(Code.LIMIT_EXCEEDED, problem), subscription=number, stream=source.name)
                self.leave(derivation, session, number)
            session.connection.accounts.end(source.id)

    def _resize(self, derivation: Derivation, held_bytes: int) -> None:
        more_bytes = held_bytes - derivation.held_bytes
        derivation.held_bytes = held_bytes
        self.memory.add(more_bytes)
        for session in derivation.receivers:
            self.memory.add_to(session, more_bytes)

    def _check_stream(self, session: Session, stream: Stream, view: View) -> None:
        """Check that there can be this view of a stream at all, regardless of its messages."""
        check_kind(view, stream)
        name = title_of(view, stream)
        limit = self._context.limits.max_views
        derivation = self._derivation(stream, view)
        if self._count >= limit and derivation is None:
            raise RequestRefused(
                Code.LIMIT_EXCEEDED,
                f"{name}: the gateway has max_views={limit} already: ask for views that others have, or raise it",
            )
        if derivation is None or session not in derivation.receivers:
            session.connection.accounts.check_room()
            self.memory.check(session, name, new=derivation is None)

    def _check_newest(self, stream: Stream, view: View) -> None:
        newest = self.newest_of(stream)
        if newest is not None:
            view.check_all(specs_of(newest))
