"""Fan-outs of all streams, each as the kind of its stream demands."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from gateway.connections.consumers.consumer_fanout import ConsumerFanout
from gateway.connections.consumers.context import ConsumerContext
from gateway.connections.fanout.delivery_class import Flusher
from gateway.connections.fanout.fanout import Fanout
from gateway.connections.fanout.history_reader import HistoryReader
from gateway.connections.fanout.pubsub_fanout import PubSubFanout
from gateway.connections.fanout.state_fanout import Newcomers, StateFanout
from gateway.connections.hub.observed_store import ObservedStore
from gateway.connections.joining.state_joins import StateJoins
from gateway.connections.outbound.delayed_acks import EventAcks
from gateway.connections.past_tails import PastTails
from gateway.connections.viewing.context import ViewContext
from gateway.connections.viewing.viewed_store import ViewedStore
from gateway.ids import StreamId, StreamName
from gateway.protocol.messages import Kind
from gateway.shrinking import Shrinking
from gateway.streams.derived import DerivedStream
from gateway.streams.history import Entry
from gateway.streams.memory_reader import MemoryPastReader
from gateway.streams.observed import ObservedStream
from gateway.streams.run import Source
from gateway.streams.stream import Stream
from gateway.streams.stream_registry import StreamRegistry


class FanoutRegistry:
    """Fan-outs by stream; makes those of new streams, of views and of mailboxes.

    Consumers of streams that outlived the gateway before this one are restored.

    Args:
        streams: all streams, of which some exist already.
        views: shared by all views.
        consumers: shared by the consumers of all streams.
    """

    def __init__(self, streams: StreamRegistry, views: ViewContext, consumers: ConsumerContext) -> None:
        self._streams = streams
        self._views = views
        self._consumers = consumers
        self.tails = PastTails(consumers.store or MemoryPastReader(), views.clock)
        past = ViewedStore(ObservedStore(self.tails, views.transfers), views)
        self._history = HistoryReader(past, views.workers)
        self.flusher = Flusher(views.clock, views.lag_changes)
        self.newcomers = Newcomers()
        self.joins = StateJoins(self.newcomers, views.policy, views.workers, views.clock)
        self._acknowledged: dict[StreamId, ConsumerFanout] = {}
        self._fanouts: dict[Stream, Fanout] = {}
        self.ending: dict[Stream, None] = {}
        """Streams that have ended, and lose their receivers now."""
        self._shrinking = Shrinking(self._fanouts, self._acknowledged), Shrinking(self.ending)
        for stream in streams:
            self.open(stream)
        if consumers.store is not None:
            for fanout in self._acknowledged.values():
                fanout.restore(consumers.store.unsettled(fanout.source))

    def __iter__(self) -> Iterator[Fanout]:
        """Yield all fan-outs, also those of :attr:`ending`."""
        return iter(self._fanouts.values())

    @property
    def acknowledged(self) -> Iterator[ConsumerFanout]:
        """Fan-outs of the streams whose receivers acknowledge."""
        return iter(self._acknowledged.values())

    @property
    def idle(self) -> bool:
        """True while nothing is being encoded, and nothing waits for the end of the turn."""
        return self.flusher.idle and all(fanout.idle for fanout in self)

    @property
    def sent(self) -> bool:
        """True while no consumer whose client is present lacks a message that would be lost with the gateway."""
        return not any(
            consumer.queued and consumer.connection is not None and not consumer.connection.closed
            for fanout in self._acknowledged.values()
            if not fanout.source.durable
            for consumer in fanout.consumers.values()
        )

    def open(self, stream: Stream) -> Fanout:
        """Make the fan-out of a stream that is new."""
        fanout: Fanout
        if stream.kind.acknowledged:
            fanout = self._acknowledged[stream.id] = ConsumerFanout(stream, self._consumers, self.flusher)
        else:
            fanout = self.new_pubsub(stream)
        self._fanouts[stream] = fanout
        return fanout

    def end(self, stream: Stream) -> None:
        """Remove the fan-out of a stream that has ended, and that has no receivers any more."""
        del self._fanouts[stream], self.ending[stream]
        self._acknowledged.pop(stream.id, None)
        self.joins.forget(stream)
        for tables in self._shrinking:
            tables.note()

    def end_view(self, view: DerivedStream, take: Callable[[Entry], object]) -> None:
        """Hand messages of a stream no more to ``take``, which made those of a view that nobody receives any more."""
        self.pubsub_of(view.parent).taps.pop(take)
        self.joins.forget(view)

    def named(self, name: str) -> Stream | None:
        """Return the stream with a name that has not ended."""
        return self._streams.get(StreamName(name))

    def of(self, stream: Stream) -> Fanout:
        """Return the fan-out of a stream."""
        return self._fanouts[stream]

    def pubsub_of(self, stream: Stream) -> PubSubFanout:
        """Return the fan-out of a stream whose receivers do not acknowledge."""
        fanout = self._fanouts[stream]
        assert isinstance(fanout, PubSubFanout), f"{stream.name} is acknowledged: it has no views (spec section 4.5)"
        return fanout

    def acknowledged_by_id(self, stream_id: int) -> ConsumerFanout | None:
        """Return the fan-out of a stream whose receivers acknowledge; ``None`` if there is no such stream."""
        return self._acknowledged.get(StreamId(stream_id))

    def new_pubsub(self, source: Source) -> PubSubFanout:
        """Make a fan-out for a source whose receivers do not acknowledge: any but an acknowledged stream itself."""
        views = self._views
        parts = views.workers, views.policy, self._history, self._consumers.slices
        if isinstance(source, Stream) and source.kind is Kind.STATE:
            return StateFanout(source, self.flusher, *parts, views.merger, self.newcomers)
        acks = None
        if isinstance(source, DerivedStream):
            acks = self.pubsub_of(source.parent).acks
        elif source.kind is Kind.EVENT and not isinstance(source, ObservedStream):
            acks = EventAcks(views.clock, views.max_event_hold_s)
        return PubSubFanout(source, self.flusher, *parts, acks)
