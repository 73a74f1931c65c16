"""Which connections receive which streams."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from gateway.connections.delivery import Flusher
from gateway.connections.derivation import ViewSurroundings
from gateway.connections.fanout import Fanout
from gateway.connections.history_reader import HistoryReader
from gateway.connections.ledger import NO_WISH, Wish
from gateway.connections.ports import Clock, DeliveryPolicy, StreamStore, Workers
from gateway.connections.session import Session
from gateway.connections.state_fanout import StateFanout
from gateway.connections.viewed_store import ViewedStore
from gateway.connections.views import Views
from gateway.errors import Code, RequestRefused
from gateway.ids import StreamName
from gateway.protocol.durability import Durability
from gateway.protocol.limits import Limits
from gateway.protocol.messages import Kind, StreamInfo
from gateway.protocol.names import Pattern
from gateway.streams.large import TransferNumbers
from gateway.streams.registry import StreamRegistry
from gateway.streams.run import Source
from gateway.streams.stream import Stream


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
    ) -> None:
        self.streams = streams
        self.store = store
        surroundings = ViewSurroundings(clock, workers, limits, transfers, policy)
        self.views = Views(streams, surroundings, self.fanout_of, self.new_fanout)
        self._history = HistoryReader(ViewedStore(store, surroundings), workers)
        self._clock = clock
        self._workers = workers
        self._policy = policy
        self._flusher = Flusher(clock)
        self._fanouts = {stream.name: self.new_fanout(stream) for stream in streams}
        self._literal: dict[str, dict[Session, None]] = {}
        """Sessions that subscribe to a stream by its very name."""
        self._wildcard: dict[Session, None] = {}
        """Sessions that have a subscription with a wildcard."""

    @property
    def fanouts(self) -> Iterator[Fanout]:
        """The fan-outs of all streams."""
        return iter(self._fanouts.values())

    @property
    def idle(self) -> bool:
        """Whether nothing is being encoded, and nothing waits for the end of the turn."""
        return self._flusher.idle and self.views.idle and all(fanout.idle for fanout in self._fanouts.values())

    def new_fanout(self, source: Source) -> Fanout:
        """A fan-out for a source, as its kind wants it."""
        if isinstance(source, Stream) and source.kind is Kind.STATE:
            return StateFanout(source, self._flusher, self._workers, self._policy, self._history)
        return Fanout(source, self._flusher, self._workers, self._policy, self._history)

    def open(self, name: StreamName, kind: Kind | None, durability: Durability | None = None) -> tuple[Stream, Fanout]:
        """The stream of that name and its receivers; a new one is announced to those who subscribe to it.

        Raises:
            RequestRefused: ``KIND_MISMATCH``, ``DURABILITY_MISMATCH`` or ``LIMIT_EXCEEDED``.
        """
        stream, created = self.streams.open(name, kind, self._clock.time_ns(), durability)
        if not created:
            return stream, self._fanouts[name]
        fanout = self._fanouts[name] = self.new_fanout(stream)
        sessions = dict(self._literal.get(name, ()))
        for session in self._wildcard:
            if any(pattern.matches(name) for pattern in session.subscriptions.values()):
                sessions[session] = None
        for session in sessions:
            matching = [number for number, pattern in session.subscriptions.items() if pattern.matches(name)]
            self._join(session, matching, stream, fanout, NO_WISH)
        self.views.opened(stream)
        return stream, fanout

    def subscribe(self, session: Session, subscription: int, pattern: Pattern, wish: Wish = NO_WISH) -> None:
        """Add a subscription: its streams are announced, and give what is due from its start on.

        Args:
            wish: where to start; by default with what the kind gives a late joiner (spec section 4.2).
        """
        session.subscriptions[subscription] = pattern
        if pattern.is_literal:
            self._literal.setdefault(pattern.text, {})[session] = None
        else:
            self._wildcard[session] = None
        for stream in self.streams.matching(pattern):
            self._join(session, [subscription], stream, self._fanouts[stream.name], wish)

    def unsubscribe(self, session: Session, subscription: int) -> None:
        """Remove a subscription; streams that another one of the session still matches go on."""
        pattern = session.subscriptions.pop(subscription)
        rest = session.subscriptions.values()
        if pattern.is_literal and all(other.text != pattern.text for other in rest):
            self._forget_literal(session, pattern.text)
        if all(other.is_literal for other in rest):
            self._wildcard.pop(session, None)
        for stream in self.streams.matching(pattern):
            if not any(other.matches(stream.name) for other in rest):
                self._fanouts[stream.name].leave(session.connection)

    def drop(self, session: Session) -> None:
        """Remove a session from everything."""
        self.views.drop(session)
        for source in list(session.connection.memberships):
            if isinstance(source, Stream):
                self._fanouts[source.name].leave(session.connection)
        for pattern in session.subscriptions.values():
            self._forget_literal(session, pattern.text)
        self._wildcard.pop(session, None)
        session.subscriptions.clear()

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

    def fanout_of(self, stream: Stream) -> Fanout:
        """The receivers of a stream."""
        return self._fanouts[stream.name]

    def _join(self, session: Session, subscriptions: list[int], stream: Stream, fanout: Fanout, wish: Wish) -> None:
        start = fanout.start(session.connection, wish.since)
        for subscription in subscriptions:
            session.connection.ledger.open(stream, subscription, wish, start.offset)
        info = StreamInfo(
            stream.id,
            stream.name,
            stream.kind,
            stream.epoch,
            stream.next_offset,
            durability=stream.durability,
            schema=stream.declared,
        )
        session.connection.send(replace(info, since=start.offset, recovered=start.recovered))
        fanout.join(session.connection, start)

    def _forget_literal(self, session: Session, name: str) -> None:
        holders = self._literal.get(name)
        if holders is not None:
            holders.pop(session, None)
            if not holders:
                del self._literal[name]
