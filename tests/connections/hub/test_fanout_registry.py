"""Fan-outs of all streams: which one a stream gets, and what it begins with."""

from __future__ import annotations

import pytest

from gateway.connections.consumers.consumer_fanout import ConsumerFanout
from gateway.connections.fanout.pubsub_fanout import PubSubFanout
from gateway.connections.fanout.state_fanout import StateFanout
from gateway.connections.hub.fanout_registry import FanoutRegistry
from gateway.connections.outbound.inbox_source import InboxSource
from gateway.ids import ClientId, StreamName
from gateway.protocol.durability import Durability
from gateway.protocol.messages import Kind
from gateway.protocol.names import compile_pattern
from gateway.protocol.views import View
from gateway.streams.derived import DerivedStream
from gateway.streams.observed import ObservedStream
from gateway.streams.progress import Mark, Unsettled
from gateway.streams.stream import Stream
from gateway.streams.stream_registry import StreamRegistry
from tests.connections.consumer_context import consumer_context
from tests.connections.memory import World
from tests.connections.step_store import StepStore
from tests.connections.view_context import view_context


class RestoringStore(StepStore):
    """A store that knows of one consumer of each stream."""

    def unsettled(self, stream: Stream) -> Unsettled:
        return Unsettled({ClientId("worker"): Mark(3)}, [])


def registry(*kinds: Kind, detached: tuple[str, ...] = ()) -> tuple[FanoutRegistry, StreamRegistry]:
    """A registry over streams that were there before, one of each of these kinds, and those streams."""
    world = World(store=StepStore())
    streams: StreamRegistry = world.core.streams
    for kind in kinds:
        streams.open(StreamName(f"wf/{kind.value}"), kind, 0, Durability.FSYNC)
    consumers = consumer_context(world, RestoringStore())
    for client in detached:
        consumers.detached.left(ClientId(client), [compile_pattern("**")], returning=True)
    return FanoutRegistry(streams, view_context(world), consumers), streams


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        (Kind.STATE, StateFanout),
        (Kind.EVENT, PubSubFanout),
        (Kind.COLLABORATION, ConsumerFanout),
        (Kind.CONTROL, ConsumerFanout),
    ],
)
def test_the_kind_of_a_stream_decides_about_its_fanout(kind: Kind, expected: type) -> None:
    fanouts, streams = registry()
    stream, _ = streams.open(StreamName("wf/new"), kind, 0)
    fanout = fanouts.open(stream)
    assert type(fanout) is expected
    assert fanouts.of(stream) is fanout
    assert list(fanouts) == [fanout]
    acknowledged = [fanout] if expected is ConsumerFanout else []
    assert list(fanouts.acknowledged) == acknowledged
    assert fanouts.acknowledged_by_id(stream.id) is (fanout if acknowledged else None)


def test_publishers_of_events_wait_for_receivers_of_the_stream_and_of_views_and_for_no_observer() -> None:
    fanouts, streams = registry()
    events, _ = streams.open(StreamName("wf/events"), Kind.EVENT, 0)
    tasks, _ = streams.open(StreamName("wf/tasks"), Kind.COLLABORATION, 0)
    fanouts.open(events)
    view = DerivedStream(streams.next_id(), events, View(), 0)
    assert fanouts.pubsub_of(events).acks is not None
    assert fanouts.new_pubsub(view).acks is fanouts.pubsub_of(events).acks
    assert fanouts.new_pubsub(ObservedStream(streams.next_id(), tasks, 0)).acks is None


def test_streams_that_were_there_before_have_their_consumers_again() -> None:
    fanouts, streams = registry(Kind.EVENT, Kind.CONTROL)
    assert [fanout.source for fanout in fanouts] == list(streams)
    (fanout,) = fanouts.acknowledged
    assert {client: consumer.progress.mark() for client, consumer in fanout.consumers.items()} == {"worker": Mark(3)}


def test_a_new_stream_is_kept_for_clients_that_are_away() -> None:
    fanouts, streams = registry(detached=("away",))
    stream, _ = streams.open(StreamName("wf/new"), Kind.COLLABORATION, 0)
    fanout = fanouts.open(stream)
    assert isinstance(fanout, ConsumerFanout)
    assert list(fanout.consumers) == ["away"]


def test_views_and_mailboxes_get_a_fanout_that_is_nobody_elses() -> None:
    fanouts, _ = registry()
    mailbox = fanouts.new_pubsub(InboxSource("agent:worker", lambda peer, correlation, refusal: None))
    assert type(mailbox) is PubSubFanout
    assert list(fanouts) == []
    assert fanouts.idle


def test_there_is_no_view_of_a_stream_that_is_acknowledged() -> None:
    fanouts, streams = registry(Kind.EVENT, Kind.CONTROL)
    event, control = streams
    assert fanouts.pubsub_of(event) is fanouts.of(event)
    with pytest.raises(AssertionError, match="it has no views"):
        fanouts.pubsub_of(control)
