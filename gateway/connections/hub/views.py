"""Views of streams and the subscriptions to them (spec section 4.5). Equal views of a stream are computed once."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from types import MappingProxyType

from gateway.connections.fanout.pubsub_fanout import PubSubFanout
from gateway.connections.hub.announcer import NewStreams, sessions_of
from gateway.connections.hub.fanout_registry import FanoutRegistry
from gateway.connections.hub.joins import READERS_AT_ONCE, Joins, Subscribing
from gateway.connections.hub.pending_joins import Join
from gateway.connections.hub.stats import ViewCounts, ViewStats
from gateway.connections.outbound.connection import Connection
from gateway.connections.outbound.delivery_accounts import NO_OPTIONS, SubscribeOptions
from gateway.connections.sessions.session import Session, ViewSubscription
from gateway.connections.slices import Slices
from gateway.connections.viewing.context import ViewContext
from gateway.connections.viewing.derivation import Derivation
from gateway.connections.viewing.view_memory import VIEW_BYTES, ViewMemory
from gateway.errors import Code, RequestRefused
from gateway.protocol.messages import Kind
from gateway.protocol.names import Pattern
from gateway.protocol.pattern_index import PatternIndex
from gateway.protocol.tensors import TensorSpec, payload_layout
from gateway.protocol.views import View
from gateway.streams.derived import DerivedStream
from gateway.streams.history import Entry
from gateway.streams.state import specs_of
from gateway.streams.stream import Stream
from gateway.streams.stream_registry import StreamRegistry

_VIEWABLE = frozenset({Kind.STATE, Kind.EVENT})


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
        self._past_deliveries = dict.fromkeys(_VIEWABLE, 0)
        """Messages delivered by views that nobody receives any more."""
        self._count = 0

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
                self._check_stream(session, stream, _as_declared(view, stream))
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
            derivation, _ = held.popitem()
            self._leave(derivation, session, subscription)
            session.connection.accounts.close_one(derivation.source.id, subscription)
            yield
        self._held.pop((session, subscription), None)

    def held(self, session: Session, subscription: int) -> int:
        """Return the number of views that a subscription receives."""
        return len(self._held.get((session, subscription), ()))

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
                    self._held[session, number].pop(derivation, None)
                    self._leave(derivation, session, number)
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
            fanout = self._hold(session, subscription, wanted.view, stream).fanout
        except RequestRefused:  # told in its turn
            return [Join(session, subscriptions, stream, options, self._join, shared=False)]
        start = fanout.start(session.connection, options.since)
        return [Join(session, subscriptions, stream, options, self._join, fanout, start, shared=False)]

    def _hold(self, session: Session, subscription: int, view: View, stream: Stream) -> Derivation:
        """Return the view of a stream, which a subscription receives from now on; of several calls the first counts.

        Raises:
            RequestRefused: ``INVALID_VIEW``; ``LIMIT_EXCEEDED``, there are too many views, or they are too large.
        """
        view = _as_declared(view, stream)
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
            derivation = self._hold(session, subscription, wanted.view, stream)
        except RequestRefused as refusal:
            session.refuse(refusal, subscription=subscription, stream=stream.name)
            return
        fanout = derivation.fanout
        start = fanout.start(connection, options.since)
        if join.start is not None:
            start = join.start
        source = derivation.source
        session.open_account(source, subscription, options, start.offset)
        # The schema is that of the stream: the view shows something else.
        info = replace(stream.info(), id=source.id, schema=None, subscription=subscription)
        connection.send(replace(info, since=start.offset, recovered=start.recovered))
        if derivation.misfit is not None:
            session.refuse(derivation.misfit, subscription=subscription, stream=stream.name)
        derivation.join(connection, start, unkept)

    def _derive(self, stream: Stream, view: View) -> Derivation:
        parent = self._fanouts.pubsub_of(stream)
        source = DerivedStream(self._streams.next_id(), stream, view, parent.delivered)
        derivation = Derivation(source, self._fanouts.new_pubsub(source), self._context, self._admit)
        self._of_streams.setdefault(stream, {})[view] = derivation
        self._count += 1
        self._resize(derivation, VIEW_BYTES + _newest_bytes(view, parent.newest))
        parent.taps[derivation.take] = None
        if parent.newest is not None:
            derivation.take_newest(parent.newest)
        return derivation

    def _leave(self, derivation: Derivation, session: Session, subscription: int) -> None:
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
        self._fanouts.pubsub_of(source.parent).taps.pop(derivation.take)
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
                self._held[session, number].pop(derivation, None)
                self._leave(derivation, session, number)
            session.connection.accounts.end(source.id)

    def _resize(self, derivation: Derivation, held_bytes: int) -> None:
        more_bytes = held_bytes - derivation.held_bytes
        derivation.held_bytes = held_bytes
        self.memory.add(more_bytes)
        for session in derivation.receivers:
            self.memory.add_to(session, more_bytes)

    def _check_stream(self, session: Session, stream: Stream, view: View) -> None:
        """Check that there can be this view of a stream at all, regardless of its messages."""
        name = f"view {view} of {stream.name}, a stream of kind {stream.kind.value}"
        if stream.kind not in _VIEWABLE:
            raise RequestRefused(Code.INVALID_VIEW, f"{name}: its messages are delivered complete or not at all")
        if view.max_rate_hz is not None and stream.kind is not Kind.STATE:
            raise RequestRefused(Code.INVALID_VIEW, f"{name}: a rate leaves out messages, which only a state allows")
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
        newest = self._fanouts.pubsub_of(stream).newest
        if newest is not None:
            view.check_all(specs_of(newest))


def _newest_bytes(view: View, newest: Entry | None) -> int:
    """Return the size of a view of the newest version of a stream; 0 if there is none, or the view does not fit it."""
    if newest is None:
        return 0
    try:
        return payload_layout(view.check_all(specs_of(newest)))[1]
    except RequestRefused:
        return 0


def _as_declared(view: View, stream: Stream) -> View:
    """Return the view; of equal ones always the same, if the stream is declared to hold one tensor of one shape."""
    if stream.schema is None or len(stream.schema.tensors) != 1:
        return view
    (tensor,) = stream.schema.tensors
    shape = tuple([size for size in tensor.shape if size is not None])
    if len(shape) < len(tensor.shape):
        return view
    try:
        return view.canonical(TensorSpec(tensor.name, tensor.dtype, shape))
    except RequestRefused:
        return view  # it will not fit the messages either
