"""Which connections receive which streams."""

from __future__ import annotations

from collections.abc import Generator, Iterator, Sequence
from dataclasses import replace

from gateway.connections.consumers.consumer_fanout import ConsumerFanout
from gateway.connections.consumers.held_units import ConsumerContext
from gateway.connections.fanout.delivery_class import Flusher
from gateway.connections.fanout.fanout import Fanout
from gateway.connections.fanout.history_reader import HistoryReader
from gateway.connections.fanout.pubsub_fanout import PubSubFanout
from gateway.connections.fanout.start_position import StartPosition
from gateway.connections.fanout.state_fanout import StateFanout
from gateway.connections.hub.derivation import ViewContext
from gateway.connections.hub.viewed_store import ViewedStore
from gateway.connections.hub.views import Views
from gateway.connections.outbound.connection import Connection
from gateway.connections.outbound.delivery_accounts import NO_WISH, SubscribeOptions
from gateway.connections.outbound.outbox import Outbox
from gateway.connections.ports import Clock, DeliveryPolicy, StreamStore, SubscriptionObserver, Workers
from gateway.connections.sessions.credit_window import CreditWindow
from gateway.connections.sessions.session import Session
from gateway.errors import Code, RequestRefused
from gateway.ids import StreamName
from gateway.protocol.durability import Durability
from gateway.protocol.limits import Limits
from gateway.protocol.messages import Kind, StreamInfo
from gateway.protocol.names import Pattern, is_address
from gateway.protocol.signals import Done
from gateway.streams.large import TransferNumbers
from gateway.streams.registry import StreamRegistry
from gateway.streams.run import Source
from gateway.streams.stream import Stream

STEP = 512
"""Streams between two chances for the loop."""


class Hub:
    """Streams, their receivers, and the subscriptions that wait for streams to come.

    Args:
        streams: all streams.
        clock: for epochs and for the end of the turn.
        workers: threads for encoding.
        policy: chooses encodings.
        store: keeps the past of streams.
        limits: bounds on views.
        transfers: numbers for large messages.
        surroundings: what the consumers of streams share.
        observers: told who subscribes to what.

    Attributes:
        views: what is received of streams instead of the whole.
    """

    def __init__(
        self,
        streams: StreamRegistry,
        clock: Clock,
        workers: Workers,
        policy: DeliveryPolicy,
        store: StreamStore,
        limits: Limits,
        transfers: TransferNumbers,
        surroundings: ConsumerContext,
        observers: Sequence[SubscriptionObserver],
    ) -> None:
        self.streams = streams
        self.store = store
        view_surroundings = ViewContext(clock, workers, limits, transfers, policy)
        self.views = Views(streams, view_surroundings, self._viewable, self.new_fanout)
        self._history = HistoryReader(ViewedStore(store, view_surroundings), workers)
        self._clock = clock
        self._workers = workers
        self._policy = policy
        self._flusher = Flusher(clock)
        self._surroundings = surroundings
        self._consumers: dict[int, ConsumerFanout] = {}
        """By id, the streams whose receivers acknowledge."""
        self._observers = observers
        self._fanouts = {stream.name: self._fanout_for(stream) for stream in streams}
        for consumers in self._consumers.values():
            consumers.restore(store.unsettled(consumers.source))
        self._literal: dict[str, dict[Session, None]] = {}
        """Sessions that subscribe to a stream by its very name."""
        self._wildcard: dict[Session, None] = {}
        """Sessions that have a subscription with a wildcard."""

    @property
    def fanouts(self) -> Iterator[Fanout]:
        """The fan-outs of all streams."""
        return iter(self._fanouts.values())

    @property
    def consumer_fanouts(self) -> Iterator[ConsumerFanout]:
        """Those of the streams whose receivers acknowledge."""
        return iter(self._consumers.values())

    @property
    def idle(self) -> bool:
        """Whether nothing is being encoded, and nothing waits for the end of the turn."""
        return self._flusher.idle and self.views.idle and all(fanout.idle for fanout in self._fanouts.values())

    def new_fanout(self, source: Source) -> PubSubFanout:
        """A fan-out for a source, as its kind wants it."""
        if isinstance(source, Stream) and source.kind is Kind.STATE:
            return StateFanout(source, self._flusher, self._workers, self._policy, self._history)
        return PubSubFanout(source, self._flusher, self._workers, self._policy, self._history)

    def open(self, name: StreamName, kind: Kind | None, durability: Durability | None = None) -> tuple[Stream, Fanout]:
        """The stream of that name and its receivers; a new one is announced to those who subscribe to it.

        Raises:
            RequestRefused: ``KIND_MISMATCH``, ``DURABILITY_MISMATCH`` or ``LIMIT_EXCEEDED``.
        """
        stream, created = self.streams.open(name, kind, self._clock.time_ns(), durability)
        if not created:
            return stream, self._fanouts[name]
        fanout = self._fanouts[name] = self._fanout_for(stream)
        sessions = dict(self._literal.get(name, ()))
        for session in self._wildcard:
            if any(pattern.matches(name) for pattern in session.subscriptions.values()):
                sessions[session] = None
        for session in sessions:
            matching = [number for number, pattern in session.subscriptions.items() if pattern.matches(name)]
            self._join(session, matching, stream, fanout, NO_WISH)
        self.views.opened(stream)
        return stream, fanout

    def subscribe(
        self,
        session: Session,
        subscription: int,
        pattern: Pattern,
        wish: SubscribeOptions = NO_WISH,
        credit: CreditWindow | None = None,
    ) -> None:
        """Add a subscription: its streams are announced, and give what is due from its start on.

        Args:
            wish: where to start; by default with what the kind gives a late joiner (spec section 4.2).
            credit: what the receiver takes of streams that it acknowledges.
        """
        session.subscriptions[subscription] = pattern
        session.credits[subscription] = credit or CreditWindow.window()
        if pattern.is_literal:
            self._literal.setdefault(pattern.text, {})[session] = None
        else:
            self._wildcard[session] = None
        for stream in self.streams.matching(pattern):
            self._join(session, [subscription], stream, self._fanouts[stream.name], wish)
        for observer in self._observers:
            observer.joined(session.peer.client_id, pattern)

    def unsubscribe(self, session: Session, subscription: int, *, keep: bool = False) -> None:
        """Remove a subscription; streams that another one of the session still matches go on.

        Args:
            keep: what is not acknowledged is kept for the client, as if its connection were lost.
        """
        pattern = session.subscriptions.pop(subscription)
        session.credits.pop(subscription, None)
        rest = session.subscriptions.values()
        if pattern.is_literal and all(other.text != pattern.text for other in rest):
            self._forget_literal(session, pattern.text)
        if all(other.is_literal for other in rest):
            self._wildcard.pop(session, None)
        for stream in self.streams.matching(pattern):
            if not any(other.matches(stream.name) for other in rest):
                fanout = self._fanouts[stream.name]
                (fanout.lose if keep else fanout.leave)(session.connection)
            elif stream.id in self._consumers:
                self._consumers[stream.id].join(session.connection, _credits_for(session, stream))
        if not is_address(pattern.text):
            self._tell_left(session, [pattern], returning=keep)

    def drop(self, session: Session) -> None:
        """Remove a session from everything: its connection is lost."""
        self.views.drop(session)
        for source in list(session.connection.memberships):
            if isinstance(source, Stream):
                self._fanouts[source.name].lose(session.connection)
        patterns = [pattern for pattern in session.subscriptions.values() if not is_address(pattern.text)]
        for pattern in session.subscriptions.values():
            self._forget_literal(session, pattern.text)
        self._wildcard.pop(session, None)
        session.subscriptions.clear()
        session.credits.clear()
        self._tell_left(session, patterns, returning=True)

    def refresh(self, session: Session, stream_id: int) -> None:
        """Send a session the newest state of a stream that it receives, whole.

        Raises:
            RequestRefused: ``UNKNOWN_STREAM``, it does not receive such a stream.
        """
        for source in session.connection.memberships:
            if source.id == stream_id and isinstance(source, Stream):
                fanout = self._fanouts[source.name]
                if isinstance(fanout, StateFanout):
                    fanout.refresh(session.connection)
                    return
        raise RequestRefused(Code.UNKNOWN_STREAM, f"there is no subscription to a state stream with the id {stream_id}")

    def done(self, session: Session, done: Done) -> None:
        """A receiver is through with messages of a stream (spec section 7.4); late for one that it has left."""
        consumers = self._consumers.get(done.stream)
        if consumers is not None:
            consumers.done(session.peer.client_id, done)

    def sweep(self) -> Generator[None, None, None]:
        """Look at deadlines and time-outs; to be called about once a second. Yields now and then, for the loop."""
        for index, consumers in enumerate(list(self._consumers.values()), start=1):
            consumers.sweep()
            if not index % STEP:
                yield

    def fanout_of(self, stream: Stream) -> Fanout:
        """The receivers of a stream."""
        return self._fanouts[stream.name]

    def _viewable(self, stream: Stream) -> PubSubFanout:
        fanout = self._fanouts[stream.name]
        assert isinstance(fanout, PubSubFanout), (
            f"{stream.name}: there is no view of what is acknowledged (spec section 4.5)"
        )
        return fanout

    def _fanout_for(self, stream: Stream) -> Fanout:
        if not stream.kind.acknowledged:
            return self.new_fanout(stream)
        consumers = self._consumers[stream.id] = ConsumerFanout(stream, self._surroundings)
        return consumers

    def _join(
        self, session: Session, subscriptions: list[int], stream: Stream, fanout: Fanout, wish: SubscribeOptions
    ) -> None:
        connection = session.connection
        info = StreamInfo(
            stream.id,
            stream.name,
            stream.kind,
            stream.epoch,
            stream.next_offset,
            durability=stream.durability,
            schema=stream.declared,
        )
        if isinstance(fanout, PubSubFanout):
            start = fanout.start(connection, wish.since)
        else:
            # Where it starts does not depend on what it asks for, but on what it has acknowledged.
            assert isinstance(fanout, ConsumerFanout)
            start = StartPosition(fanout.first_offset_for(session.peer.client_id), None, newest=False)
        for subscription in subscriptions:
            connection.accounts.open(stream, subscription, wish, start.offset)
        connection.send(replace(info, since=start.offset, recovered=start.recovered))
        if isinstance(fanout, PubSubFanout):
            _join_from(fanout, connection, start, wish.resume.get(stream.name))
        else:
            fanout.join(connection, _credits_for(session, stream))

    def _tell_left(self, session: Session, patterns: Sequence[Pattern], *, returning: bool) -> None:
        for observer in self._observers:
            observer.left(session.peer.client_id, patterns, returning=returning)

    def _forget_literal(self, session: Session, name: str) -> None:
        holders = self._literal.get(name)
        if holders is not None:
            holders.pop(session, None)
            if not holders:
                del self._literal[name]


def _credits_for(session: Session, stream: Stream) -> list[CreditWindow]:
    """Of the session's subscriptions that match a stream."""
    return [
        session.credits[number] for number, pattern in session.subscriptions.items() if pattern.matches(stream.name)
    ]


def _join_from(
    fanout: PubSubFanout, connection: Connection, start: StartPosition, beginning: tuple[int, int] | None
) -> None:
    """Join; ``beginning``: the transfer of a large message that the receiver has the first chunks of, and how many."""
    if beginning is None:
        fanout.join(connection, start)
        return
    transfer, chunks = beginning
    outbox = connection.outbox = connection.outbox or Outbox(connection.settings.outbox_limit_bytes)
    outbox.resumes[transfer] = chunks
    fanout.join(connection, start)
    if fanout.source.kind is Kind.STATE:
        outbox.resumes.pop(transfer, None)  # what is sent of it later is sent whole
