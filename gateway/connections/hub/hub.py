"""Hub: subscriptions of sessions to streams, and the streams that they receive."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator, Sequence
from types import MappingProxyType

from gateway.connections.consumers.consumer_fanout import ConsumerFanout
from gateway.connections.consumers.context import ConsumerContext
from gateway.connections.consumers.stats import ConsumerStats
from gateway.connections.fanout.fanout import Fanout
from gateway.connections.fanout.state_fanout import StateFanout
from gateway.connections.hub.announcer import Announcer, NewStreams, sessions_of
from gateway.connections.hub.departures import Departures
from gateway.connections.hub.expiry import Expiry
from gateway.connections.hub.fanout_registry import FanoutRegistry
from gateway.connections.hub.joins import READERS_AT_ONCE, Joins, Subscribing
from gateway.connections.hub.observations import Observations
from gateway.connections.hub.past_streams import PastStreams
from gateway.connections.hub.pending_joins import Join
from gateway.connections.hub.stats import HubStats, KindStats, StreamStats
from gateway.connections.hub.stream_end import Ended, StreamEnds
from gateway.connections.hub.unused_streams import UnusedStreams
from gateway.connections.hub.views import Views
from gateway.connections.inbound.stream_closing import StreamClosing
from gateway.connections.outbound.delivery_accounts import NO_OPTIONS, SubscribeOptions
from gateway.connections.ports import SubscriptionListener
from gateway.connections.sessions.credit_window import CreditWindow
from gateway.connections.sessions.session import AliasBinding, Session
from gateway.connections.slices import Slices, Step, step_of
from gateway.connections.viewing.context import ViewContext
from gateway.errors import Code, RequestRefused
from gateway.ids import StreamName
from gateway.protocol.durability import Durability
from gateway.protocol.messages import EndReason, Kind
from gateway.protocol.names import Pattern, is_address, is_dead_letter_name
from gateway.protocol.pattern_index import PatternIndex
from gateway.protocol.signals import Done, InProgress
from gateway.streams.stream import Stream
from gateway.streams.stream_registry import StreamRegistry

STEP = 512
"""Streams, or streams and consumers, between two chances for the loop: about a millisecond."""


class Hub:
    """Streams, their receivers, and the subscriptions that wait for streams to be opened.

    Args:
        streams: all streams.
        view_context: shared by all views; its clock, workers and policy serve the other receivers as well.
        consumer_context: shared by the consumers of all streams; its store keeps the past of streams.
        closing: ends the publishes to streams that end.
        slices: takes the steps of what is done for very many streams.
        listeners: told which clients begin and cease to receive which patterns, after the detached consumers.
    """

    def __init__(
        self,
        streams: StreamRegistry,
        view_context: ViewContext,
        consumer_context: ConsumerContext,
        closing: StreamClosing,
        slices: Slices,
        listeners: Sequence[SubscriptionListener] = (),
    ) -> None:
        self._streams = streams
        self._clock = view_context.clock
        self._detached = consumer_context.detached
        self._store = consumer_context.store
        self._listeners = (self._detached, *listeners)
        self.fanouts = FanoutRegistry(streams, view_context, consumer_context)
        """Fan-outs of all streams."""
        self._joins = Joins(slices, streams)
        self._new = NewStreams(slices, self._note_new)
        self.views = Views(streams, self.fanouts, view_context, self._joins, slices)
        """Views of streams, and the subscriptions to them."""
        self.observations = Observations(streams, self.fanouts, view_context)
        """Acknowledged streams that are observed, and the subscriptions that observe them."""
        self._announcer = Announcer(streams, self.fanouts, self.observations)
        self._departures = Departures(
            streams, self.fanouts, self.views, self.observations, self._joins, slices, view_context.lag_changes
        )
        self.unused = UnusedStreams(self._clock.monotonic_s, streams)
        """Streams that no connection has opened; the handler of OPEN tells which are used."""
        self._patterns: PatternIndex[tuple[Session, int]] = PatternIndex()
        """Subscriptions without a view, by session and the client's number."""
        self._past = PastStreams()
        self._ends = StreamEnds(
            streams,
            self.fanouts,
            self.views,
            self.observations,
            self.unused,
            closing,
            view_context,
            self._store,
            slices,
            self._past,
        )
        self._expiry = Expiry(self._clock.monotonic_s, slices, self._has_nobody, self._expire)
        for stream in streams:
            self._expiry.watch(stream)

    @property
    def idle(self) -> bool:
        """True while nothing is being encoded, nobody is about to join or to leave, and nothing waits for a turn."""
        return (
            self._joins.idle
            and self._new.idle
            and self._departures.idle
            and self.views.idle
            and self.observations.idle
            and self.fanouts.idle
        )

    def open(
        self,
        name: StreamName,
        kind: Kind | None,
        durability: Durability | None = None,
        hold: Callable[[Step], object] | None = None,
    ) -> tuple[Stream, Fanout]:
        """Return the stream of that name and its fan-out; announce a new one to the sessions that subscribe to it.

        If there are as many streams as there may be, an empty one that nobody uses ends to make room.

        Args:
            name: the stream.
            kind: ``None``: that of the stream, or of its configuration.
            durability: likewise.
            hold: called with a step if very many connections get the stream, so that they are found bit by bit: nothing
                may be published by the caller before the step returns False. ``None``: they are not, however many.

        Raises:
            RequestRefused: ``KIND_MISMATCH``, ``DURABILITY_MISMATCH`` or ``LIMIT_EXCEEDED``.
        """
        if not self._streams.has_room_for(name) and self._streams.get(name) is None:
            self._make_room(dead_letters=is_dead_letter_name(name))
        stream, created = self._streams.open(name, kind, self._clock.time_ns(), durability)
        if created:
            self.fanouts.open(stream)
            self.unused.add(stream)
            self._expiry.watch(stream)
            found = sessions_of(each for each in self._patterns.matching(name) if self._is_expected(*each))
            if hold is not None and len(found) > READERS_AT_ONCE:
                self._new.add(stream, found)
            else:
                for session, numbers in found.items():
                    self._note_new(session, numbers, stream, many=len(found) > READERS_AT_ONCE)
            self.views.opened(stream, at_once=hold is None)
        if hold is not None and self._is_being_noted(stream):
            hold(step_of(self._noting(stream)))
        return stream, self.fanouts.of(stream)

    def end(self, stream: Stream, reason: EndReason, ended: Ended | None = None) -> None:
        """End a stream; see :meth:`~gateway.connections.hub.stream_end.StreamEnds.end`."""
        self._ends.end(stream, reason, ended)

    def bind(self, stream: Stream, binding: AliasBinding) -> None:
        """Note that an alias is bound to a stream."""
        self.unused.use(stream, binding)
        self._expiry.use(stream)

    def release(self, stream: Stream, binding: AliasBinding) -> None:
        """Note that an alias is bound to a stream no more."""
        self.unused.release(stream, binding)
        if stream in self.unused:
            self._expiry.watch(stream)

    def named(self, name: str) -> None:
        """Note that a subscription names a stream, which need not exist."""
        if (stream := self._streams.get(StreamName(name))) is not None:
            self._expiry.use(stream)

    def subscribe(
        self,
        session: Session,
        subscription: int,
        pattern: Pattern,
        options: SubscribeOptions = NO_OPTIONS,
        credit: CreditWindow | None = None,
        *,
        observe: bool = False,
        answer: Callable[[], object] = lambda: None,
    ) -> None:
        """Add a subscription: its streams are announced, and their messages sent from its start position on.

        If there are many streams, that takes several turns of the loop (:class:`~gateway.connections.hub.joins.Joins`).

        Args:
            session: the subscriber.
            subscription: number that the client has given it.
            pattern: streams to receive.
            options: where to start; by default with the messages that the kind gives a late joiner (spec section 4.2).
            credit: messages that the receiver takes; by default those of streams that it acknowledges have a window.
            observe: whether it takes the messages of such streams without acknowledging, and without a window.
            answer: sends SUBSCRIBED; called when no message that comes afterwards is missed.
        """
        self._new.note(session)
        session.add_subscription(subscription, pattern)
        if observe:
            session.observing |= {subscription}
        if credit is not None or not observe:
            session.add_credit(subscription, credit or CreditWindow.window())
        subscriptions = [(subscription, pattern)]

        def note(stream: Stream) -> Sequence[Join]:
            return self._announcer.note(session, subscriptions, stream, options) if pattern.matches(stream.name) else ()

        self._joins.begin(
            session,
            pattern,
            Subscribing(
                note,
                answer,
                begin=lambda: self._patterns.add(pattern, (session, subscription)),
                wanted=lambda: session.subscriptions.get(subscription) is pattern,
                options=options,
                unnoted=lambda stream: stream.kind is Kind.STATE and pattern.matches(stream.name),
            ),
        )
        for listener in self._listeners:
            listener.joined(session.peer.client_id, pattern, observing=observe)

    def unsubscribe(
        self, session: Session, subscription: int, *, keep: bool = False, answer: Callable[[], object] = lambda: None
    ) -> None:
        """Remove a subscription; the session still receives streams that another of its subscriptions matches.

        Args:
            session: the subscriber.
            subscription: number of the subscription, with a view or without.
            keep: messages that are not acknowledged are kept for the client, as if its connection were lost.
            answer: sends UNSUBSCRIBED; called when no stream comes any more, if there are many in a later turn.
        """
        session.credits.pop(subscription, None)
        view = session.views.get(subscription)
        if view is not None:
            size = len(self.views.held(session, subscription))
            self._departures.begin(session, subscription, self.views.leaving(session, subscription), size, answer)
            return
        self._new.note(session)
        pattern = session.subscriptions.pop(subscription)
        observed = subscription in session.observing
        session.observing -= {subscription}
        self._patterns.remove(pattern, (session, subscription))
        size = self._streams.candidate_count(pattern) + len(self.fanouts.ending)
        work = self._departures.of_subscription(session, subscription, pattern, observed=observed, keep=keep)
        self._departures.begin(session, subscription, work, size, answer)
        if not (session.lost or is_address(pattern.text)):
            self._tell_left(session, [pattern], returning=keep and not observed)
        elif not (keep or observed or pattern in session.worker_patterns):
            self._detached.give_up(session.peer.client_id, pattern)

    def lose(self, session: Session) -> None:
        """Wait for the client of a connection that is lost, and that :meth:`drop` follows, from now on."""
        if session.observing:
            self._tell_left(session, [session.subscriptions[each] for each in session.observing], returning=False)
        self._tell_left(session, session.worker_patterns, returning=True)

    def drop(self, session: Session) -> None:
        """Remove all subscriptions of a session, whose connection is lost: in several turns if they are many."""
        self._new.note(session)
        self.views.new.note(session)
        for number, pattern in session.subscriptions.items():
            self._patterns.remove(pattern, (session, number))
        session.subscriptions.clear()
        session.credits.clear()
        session.observing = frozenset()
        self._departures.of_session(session)

    def refresh(self, session: Session, stream_id: int) -> None:
        """Send a session a keyframe of a state stream, or of a view of one, that it receives.

        Raises:
            RequestRefused: ``UNKNOWN_STREAM``, the session does not receive such a stream.
        """
        connection = session.connection
        name = connection.accounts.name_of(stream_id := connection.accounts.newest_id(stream_id))
        stream = None if name is None else self._streams.get(StreamName(name))
        if stream is not None and stream.kind is Kind.STATE:
            view = None if stream.id == stream_id else self.views.by_id(stream, stream_id)
            fanout = self.fanouts.of(stream) if view is None else view
            receives = fanout.source.id == stream_id and fanout.source in connection.memberships
            if receives and isinstance(fanout, StateFanout):
                fanout.refresh(connection)
                return
        raise RequestRefused(Code.UNKNOWN_STREAM, f"there is no subscription to a state stream with the id {stream_id}")

    def done(self, session: Session, done: Done) -> None:
        """Note that a receiver has done with messages (spec section 7.4); late for a stream that it has left."""
        fanout = self.fanouts.acknowledged_by_id(done.stream)
        rest = None if fanout is None else fanout.done(session.peer.client_id, done)
        if rest is not None:
            session.backlog.add(rest)

    def in_progress(self, session: Session, progress: InProgress) -> None:
        """Note that a receiver still has messages (spec section 7.8); late for a stream that it has left."""
        fanout = self.fanouts.acknowledged_by_id(progress.stream)
        if fanout is not None:
            fanout.in_progress(session.peer.client_id, progress)

    def stream_stats(self, stream: Stream) -> StreamStats:
        """Return the numbers of one stream."""
        fanout = self.fanouts.of(stream)
        if isinstance(fanout, ConsumerFanout):
            consumers = fanout.stats()
            return StreamStats(consumers.present, 0, self.observations.receivers_of(stream), consumers)
        return StreamStats(fanout.receivers, self.views.receivers_of(stream), 0, ConsumerStats())

    def stats(self) -> Generator[None, None, HubStats]:
        """Return the numbers of all streams. Yields every :data:`STEP` streams and consumers, for the loop.

        Counters never go back from one call to the next.
        """
        kinds = {kind: list(past) for kind, past in self._past.kinds.items()}
        consumers, ended = self._past.consumers, dict(self._past.ended)
        work = held_acks = 0
        for fanout in list(self.fanouts):
            stream = fanout.source
            assert isinstance(stream, Stream)
            work += 1
            held_acks += fanout.held_acks
            if isinstance(fanout, ConsumerFanout):
                stats = fanout.stats()
                consumers = consumers.plus(stats)
                delivered = stats.deliveries
                work += fanout.receivers
            else:
                delivered = fanout.delivered_messages
            sums = kinds[stream.kind]
            sums[0] += stream.ended is None
            sums[1] += stream.next_offset
            sums[2] += stream.published_bytes
            sums[3] += delivered
            if work >= STEP:
                work = 0
                yield
        views = self.views.stats()
        for delivered_messages in (views.delivered_messages, self.observations.delivered_messages):
            for kind, delivered in delivered_messages.items():
                kinds[kind][3] += delivered
        by_kind = MappingProxyType({kind: KindStats(*sums) for kind, sums in kinds.items()})
        return HubStats(by_kind, consumers, self.observations.receivers, views, held_acks, MappingProxyType(ended))

    def sweep(self) -> Generator[None, None, None]:
        """Check deadlines and time-outs; to be called about once a second. Yields now and then, for the loop."""
        self._detached.sweep()
        self._expiry.sweep()
        work = 0
        for fanout in list(self.fanouts.acknowledged):
            for _ in fanout.sweep():
                work += 1
                if not work % STEP:
                    yield

    def _note_new(self, session: Session, numbers: Sequence[int], stream: Stream, *, many: bool = True) -> None:
        subscriptions = [(number, session.subscriptions[number]) for number in numbers]
        joins = self._announcer.note(session, subscriptions, stream, NO_OPTIONS)
        self._joins.opened(session, joins, many=many)

    def _is_being_noted(self, stream: Stream) -> bool:
        """Return whether a new stream is still being noted for those that receive it."""
        return stream in self._new or stream in self.views.new

    def _noting(self, stream: Stream) -> Iterator[None]:
        """Wait until a stream is noted, and let all joins that have begun take a step, those of the stream as well.

        Messages that come before a receiver has joined are sent to it from history, announced by REPLAY.
        """
        while self._is_being_noted(stream):
            yield
        yield

    def _make_room(self, *, dead_letters: bool) -> None:
        """End an empty stream that nobody uses, one of dead letters or another one."""
        stream = self.unused.find(lambda each: is_dead_letter_name(each.name) is dead_letters and self._is_free(each))
        if stream is not None:
            self.end(stream, EndReason.MADE_ROOM)

    def _has_nobody(self, stream: Stream) -> bool:
        """Return whether a stream to which no alias is bound may expire."""
        return stream.empty and self.unused.is_over(stream) and self._is_free(stream)

    def _expire(self, stream: Stream) -> None:
        self.end(stream, EndReason.EXPIRED)

    def _is_free(self, stream: Stream) -> bool:
        """Return whether nobody asked for this very stream, and nobody lacks a message of it."""
        named = self._patterns.named(stream.name) or self.views.names(stream)
        return not named and self.fanouts.of(stream).settled and self.observations.settled(stream)

    def _is_expected(self, session: Session, number: int) -> bool:
        """Return whether a subscription gets new streams: one that is lost, if its client is waited for."""
        return not session.lost or self._detached.expects(session.peer.client_id, session.subscriptions[number])

    def _tell_left(self, session: Session, patterns: Sequence[Pattern], *, returning: bool) -> None:
        for listener in self._listeners:
            listener.left(session.peer.client_id, patterns, returning=returning)
