"""Observations of acknowledged streams: subscriptions that take messages without owing an answer (spec section 4.2).

Receivers of one stream share a fan-out beside its consumers. It gets each message when the consumers get it for the
first time, and knows neither credit nor acknowledgements, so that it holds up nobody.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from types import MappingProxyType
from typing import Final

from gateway.connections.consumers.consumer_fanout import ConsumerFanout
from gateway.connections.fanout.pubsub_fanout import PubSubFanout
from gateway.connections.fanout.recode import chunk_codecs, frame_of
from gateway.connections.fanout.transcoder import RECODE_BYTES
from gateway.connections.hub.fanout_registry import FanoutRegistry
from gateway.connections.hub.pending_joins import Join
from gateway.connections.outbound.connection import Connection
from gateway.connections.outbound.delivery_accounts import SubscribeOptions
from gateway.connections.sessions.session import Session
from gateway.connections.viewing.context import ViewContext
from gateway.protocol.messages import Kind
from gateway.protocol.meta import parse_meta
from gateway.protocol.names import Pattern
from gateway.protocol.wire import FLAG_ENCODED, FLAGS_AT
from gateway.streams.history import Entry
from gateway.streams.large import LargeMessage
from gateway.streams.observed import ObservedStream
from gateway.streams.stream import Stream
from gateway.streams.stream_registry import StreamRegistry

_ACKNOWLEDGED: Final = tuple([kind for kind in Kind if kind.acknowledged])


class Observation:
    """One observed stream, for as long as it has receivers.

    Args:
        source: the observed stream.
        consumers: fan-out of its parent.
        fanout: delivers messages to the receivers.
        context: shared with all views.
    """

    __slots__ = ("_consumers", "_context", "fanout", "receivers", "source")

    def __init__(
        self, source: ObservedStream, consumers: ConsumerFanout, fanout: PubSubFanout, context: ViewContext
    ) -> None:
        self.source = source
        self.fanout = fanout
        self.receivers: dict[Session, set[int]] = {}
        """Observing subscriptions by session, as the client numbers them."""
        self._consumers = consumers
        self._context = context
        consumers.taps.append(self.take)

    def take(self, entry: Entry) -> None:
        """Deliver messages of the parent: a run, or a complete large message."""
        shown = self.source.shown(entry, self._context.transfers)
        self.source.count_in(shown)
        if isinstance(shown, LargeMessage):
            self._deliver_large(shown)
        elif shown.last_at or (shown.size < RECODE_BYTES and not shown.buffers[0][FLAGS_AT] & FLAG_ENCODED):
            self.fanout.deliver(shown)
        else:
            frame = frame_of(shown)
            self.fanout.deliver_frame(shown, frame, frame.publisher, parse_meta(frame.meta).element)

    def close(self) -> None:
        """End the observation, which has no receivers any more."""
        self._consumers.taps.remove(self.take)
        self._context.policy.forget(self.source)

    def _deliver_large(self, message: LargeMessage) -> None:
        # As if a publisher sent it: the fan-out adds the chunks one by one.
        chunks, message.chunks = message.chunks, []
        sink = self.fanout.begin(message, chunk_codecs(chunks), parse_meta(message.meta).element)
        for chunk in chunks:
            sink.chunk(chunk)
        sink.commit()


class Observations:
    """Observing subscriptions to all streams.

    Args:
        streams: gives the numbers of observed streams.
        fanouts: makes the fan-outs of observed streams.
        context: shared with all views.
    """

    def __init__(self, streams: StreamRegistry, fanouts: FanoutRegistry, context: ViewContext) -> None:
        self._streams = streams
        self._fanouts = fanouts
        self._context = context
        self._by_stream: dict[Stream, Observation] = {}
        self._held: dict[Session, dict[int, dict[Observation, None]]] = {}
        """Observed streams by session and subscription."""
        self._past_deliveries = dict.fromkeys(_ACKNOWLEDGED, 0)
        """Messages delivered to observers by fan-outs that have no receivers any more."""

    def __iter__(self) -> Iterator[Observation]:
        return iter(self._by_stream.values())

    @property
    def idle(self) -> bool:
        """True while nothing is being encoded."""
        return all(observation.fanout.idle for observation in self)

    @property
    def receivers(self) -> int:
        """Number of observers of all streams, each stream counted."""
        return sum([len(observation.receivers) for observation in self])

    @property
    def delivered_messages(self) -> Mapping[Kind, int]:
        """Messages written to observers or queued for them, each observer counted, by the kind of the stream."""
        delivered = dict(self._past_deliveries)
        for observation in self:
            delivered[observation.source.parent.kind] += observation.fanout.delivered_messages
        return MappingProxyType(delivered)

    def fanout_of(self, stream: Stream) -> PubSubFanout | None:
        """Return the fan-out to those who observe a stream; ``None``: there are none."""
        observation = self._by_stream.get(stream)
        return None if observation is None else observation.fanout

    def receivers_of(self, stream: Stream) -> int:
        """Return the number of connections that observe a stream."""
        observation = self._by_stream.get(stream)
        return 0 if observation is None else len(observation.receivers)

    def note(
        self, session: Session, subscription: int, pattern: Pattern, stream: Stream, options: SubscribeOptions
    ) -> Join:
        """Note where a stream begins for an observing subscription, by default with the next message.

        Args:
            session: the subscriber.
            subscription: number that the client has given it.
            pattern: its pattern.
            stream: a stream whose receivers acknowledge.
            options: where to start.

        Returns:
            The join that announces the stream, and has its messages sent from there on.
        """
        observation = self._by_stream.get(stream) or self._observe(stream)
        observation.receivers.setdefault(session, set()).add(subscription)
        self._held.setdefault(session, {}).setdefault(subscription, {})[observation] = None
        fanout = observation.fanout
        start = fanout.start(session.connection, options.since)
        return Join(session, [(subscription, pattern)], stream, options, self._join, fanout, start, shared=False)

    def leaving(self, session: Session, subscription: int) -> Iterator[None]:
        """End an observing subscription, one stream a step.

        A stream that it alone observes on its connection is not sent any more.
        """
        held = self._held.get(session, {})
        observations = held.get(subscription, {})
        while observations:
            observation, _ = observations.popitem()
            self._leave(observation, session, subscription)
            session.connection.accounts.close_one(observation.source.id, subscription)
            yield
        held.pop(subscription, None)
        if not held:
            self._held.pop(session, None)

    def dropping(self, session: Session) -> Iterator[None]:
        """End all observing subscriptions of a session, one stream a step."""
        for subscription in list(self._held.get(session, ())):
            yield from self.leaving(session, subscription)

    def end(self, stream: Stream, end: Callable[[Connection, Stream], object]) -> Iterator[None]:
        """End the observation of a stream that has ended; its subscriptions wait for the next stream of its name.

        Args:
            stream: the stream.
            end: called with each connection that has observed it, and the observed stream.
        """
        observation = self._by_stream.get(stream)
        if observation is None:
            return
        for session, numbers in list(observation.receivers.items()):
            if session not in observation.receivers:
                continue  # gone meanwhile
            announced = observation.source in session.connection.memberships
            for number in list(numbers):
                self._held[session][number].pop(observation, None)
                self._leave(observation, session, number)
            if announced:
                end(session.connection, observation.source)
            yield

    def settled(self, stream: Stream) -> bool:
        """Return whether no observer of a stream lacks a message of it."""
        observation = self._by_stream.get(stream)
        return observation is None or observation.fanout.settled

    def _join(self, join: Join, unkept: Entry | None) -> None:
        session, stream = join.session, join.stream
        ((subscription, pattern),) = join.subscriptions
        observation = self._by_stream.get(stream)
        if observation is None or stream.ended or session.subscriptions.get(subscription) is not pattern:
            return
        connection, source, fanout = session.connection, observation.source, observation.fanout
        fanout.start(connection, None)
        start = join.start
        assert start is not None
        session.open_account(source, subscription, join.options, start.offset)
        info = replace(stream.info(), id=source.id, subscription=subscription, observed=True)
        connection.send(replace(info, since=start.offset, recovered=start.recovered))
        fanout.join(connection, start, unkept)

    def _observe(self, stream: Stream) -> Observation:
        consumers = self._fanouts.of(stream)
        assert isinstance(consumers, ConsumerFanout)
        source = ObservedStream(self._streams.next_id(), stream, consumers.end_offset)
        observation = Observation(source, consumers, self._fanouts.new_pubsub(source), self._context)
        self._by_stream[stream] = observation
        return observation

    def _leave(self, observation: Observation, session: Session, subscription: int) -> None:
        numbers = observation.receivers[session]
        numbers.remove(subscription)
        if not numbers:
            del observation.receivers[session]
            observation.fanout.leave(session.connection)
        if not observation.receivers:
            parent = observation.source.parent
            del self._by_stream[parent]
            self._past_deliveries[parent.kind] += observation.fanout.delivered_messages
            observation.close()
