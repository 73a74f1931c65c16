"""Unused streams: at ``max_streams`` an empty one that nobody uses makes room, and no other one."""

from __future__ import annotations

from collections.abc import Callable, Generator
from typing import cast

import numpy as np
import pytest

from gateway.connections.consumers.settings import ConsumerSettings
from gateway.connections.hub.stats import HubStats
from gateway.connections.hub.unused_streams import LOOKED_AT, UnusedStreams
from gateway.connections.outbound.outbox import Outbox
from gateway.connections.outbound.stream_queue import StreamQueue
from gateway.ids import Epoch, StreamId, StreamName
from gateway.protocol.durability import Durability
from gateway.protocol.limits import Limits
from gateway.protocol.messages import EndReason, Kind, StreamInfo
from gateway.protocol.views import View
from gateway.protocol.wire import PRODUCER_KEPT_S
from gateway.streams.history import HistoryLimits
from gateway.streams.run import Source
from gateway.streams.stream import Stream
from tests.connections.memory import Peer, World
from tests.connections.step_store import StepStore

AGE_S = 10.0
HISTORY = HistoryLimits(max_age_s=AGE_S)


def world_of(max_streams: int = 1, store: StepStore | None = None, history: HistoryLimits | None = HISTORY) -> World:
    durability = None if store is None else Durability.OS
    return World(
        limits=Limits(max_streams=max_streams),
        history=history,
        store=store,
        durability=durability,
        consumers=ConsumerSettings(consumer_ttl_s=2 * PRODUCER_KEPT_S),
    )


def age(world: World, seconds: float = 2 * AGE_S) -> None:
    """Let time pass, and look at ages as a gateway does."""
    for _ in range(2):
        for _ in world.core.trim_histories():
            pass
        world.clock.advance(seconds)
    for _ in world.core.trim_histories():
        pass


def use(world: World, stream: str, kind: Kind = Kind.EVENT, *payloads: bytes) -> None:
    """Publish to a stream, and go."""
    publisher = world.publisher(stream, kind=kind)
    for payload in payloads:
        publisher.publish(0, payload)
    world.settle()
    publisher.drop()


def opens(world: World, stream: str = "wf/new") -> bool:
    """Whether one more stream can be opened."""
    peer = world.peer("other")
    peer.open(0, stream, Kind.EVENT)
    refused = [error.error for error in peer.read().errors]
    assert refused in ([], ["LIMIT_EXCEEDED"])
    peer.drop()
    return not refused


def names(world: World) -> list[str]:
    return [stream.name for stream in world.core.streams]


def stats(world: World) -> HubStats:
    steps: Generator[None, None, HubStats] = world.core.hub.stats()
    while True:
        try:
            next(steps)
        except StopIteration as stop:
            return cast("HubStats", stop.value)


def test_a_stream_whose_messages_are_too_old_makes_room() -> None:
    world = world_of()
    use(world, "wf/a", Kind.EVENT, b"x")
    assert not opens(world)
    age(world)
    assert opens(world)
    assert names(world) == ["wf/new"]


def test_a_stream_that_was_opened_for_nothing_makes_room_at_once() -> None:
    world = world_of()
    use(world, "wf/a")
    assert opens(world)


def test_streams_that_are_not_needed_stay_while_there_is_room() -> None:
    world = world_of(max_streams=2)
    use(world, "wf/a", Kind.EVENT, b"x")
    age(world)
    assert opens(world)
    assert names(world) == ["wf/a", "wf/new"]


def test_the_stream_that_has_been_unused_longest_goes_first() -> None:
    world = world_of(max_streams=3)
    for name in ("wf/a", "wf/b", "wf/c", "wf/a"):
        use(world, name, Kind.EVENT, b"x")
    age(world)
    for name in ("wf/d", "wf/e"):
        assert opens(world, name)
    assert names(world) == ["wf/a", "wf/d", "wf/e"]


def test_a_refusal_says_why() -> None:
    world = world_of()
    publisher = world.publisher("wf/a")
    publisher.open(1, "wf/b")
    (error,) = publisher.read().errors
    assert "max_streams=1 already, and none that is empty and unused" in error.message


Hold = Callable[[World], object]


def publisher_stays(world: World) -> object:
    world.publisher("wf/a").publish(0, b"x")
    return None


def subscriber_by_name(world: World) -> object:
    use(world, "wf/a", Kind.EVENT, b"x")
    return world.subscriber("wf/a")


def viewer_by_name(world: World) -> object:
    use(world, "wf/a", Kind.EVENT, b"x")
    return world.peer("viewer").subscribe("wf/a", view=View(dtype="float16"))


def newest_state(world: World) -> object:
    use(world, "wf/a", Kind.STATE, b"x")
    return None


def lagging_receiver_by_pattern(world: World) -> object:
    subscriber = world.subscriber("wf/*")
    use(world, "wf/a")
    subscriber.transport.fill_up()
    use(world, "wf/a", Kind.EVENT, b"x")
    return subscriber


def lagging_observer_by_pattern(world: World) -> object:
    watcher = world.peer("watcher")
    watcher.subscribe("wf/*", observe=True)
    use(world, "wf/a", Kind.COLLABORATION)
    watcher.transport.fill_up()
    use(world, "wf/a", Kind.COLLABORATION, b"x")
    world.clock.advance(PRODUCER_KEPT_S + 1)
    return watcher


def large_message_on_its_way(world: World) -> object:
    publisher = world.peer("publisher")
    publisher.produce(0, "wf/a")
    large = publisher.large(0, bytes(1_500_000))
    large.chunk()
    publisher.drop()
    return large


def unacknowledged_message(world: World) -> object:
    worker = world.subscriber("wf/*", "worker")
    use(world, "wf/a", Kind.COLLABORATION, b"x")
    world.clock.advance(PRODUCER_KEPT_S + 1)
    worker.drop()
    return worker


def producer_that_may_come_back(world: World) -> object:
    use(world, "wf/a", Kind.COLLABORATION, b"x")
    world.clock.advance(PRODUCER_KEPT_S - 5 * AGE_S)
    return None


@pytest.mark.parametrize(
    "hold",
    [
        publisher_stays,
        subscriber_by_name,
        viewer_by_name,
        newest_state,
        lagging_receiver_by_pattern,
        lagging_observer_by_pattern,
        large_message_on_its_way,
        unacknowledged_message,
        producer_that_may_come_back,
    ],
)
def test_a_stream_that_is_used_or_holds_something_stays(hold: Hold) -> None:
    world = world_of()
    hold(world)
    age(world, 0.0 if hold is large_message_on_its_way else 2 * AGE_S)
    assert not opens(world)
    assert names(world) == ["wf/a"]


def test_a_stream_that_acknowledges_makes_room_when_nobody_can_come_back() -> None:
    world = world_of(history=None)
    worker = world.subscriber("wf/*", "worker")
    use(world, "wf/a", Kind.COLLABORATION, b"x")
    assert worker.read().arrivals
    worker.done("wf/a", 0)
    world.settle()
    world.clock.advance(PRODUCER_KEPT_S)
    assert opens(world)
    assert not list(world.core.hub.fanouts.acknowledged)


def test_an_alias_that_is_bound_anew_lets_go_of_its_stream() -> None:
    world = world_of()
    publisher = world.publisher("wf/a")
    publisher.open(0, "wf/b", Kind.EVENT)
    assert not publisher.read().errors
    assert names(world) == ["wf/b"]


def test_a_refused_open_lets_go_of_its_stream_with_its_connection() -> None:
    world = world_of()
    publisher = world.peer("publisher")
    publisher.open(0, "wf/a", Kind.EVENT)
    publisher.open(1, "wf/a", Kind.STATE)
    assert [error.error for error in publisher.read().errors] == ["KIND_MISMATCH"]
    assert not opens(world)
    publisher.drop()
    assert opens(world)


def announcements(peer: Peer, name: str) -> list[StreamInfo]:
    return [entry for entry in peer.read().log if isinstance(entry, StreamInfo) and entry.stream == name]


@pytest.mark.parametrize("kind", [Kind.EVENT, Kind.COLLABORATION])
def test_who_subscribes_by_a_pattern_is_told_of_the_next_stream_of_the_name(kind: Kind) -> None:
    world = world_of()
    subscriber = world.subscriber("*/a")
    use(world, "wf/a", kind, b"first")
    if kind is Kind.COLLABORATION:
        subscriber.done("wf/a", 0)
        world.settle()
    world.clock.advance(PRODUCER_KEPT_S)
    age(world)
    assert opens(world, "wf/other")
    assert not subscriber.session.connection.memberships
    use(world, "wf/a", kind, b"second")
    first, ended, second = announcements(subscriber, "wf/a")
    assert (ended.id, ended.epoch, ended.ended) == (first.id, first.epoch, "made_room")
    assert second.id != first.id
    assert (second.epoch or 0) > (first.epoch or 0)
    assert second.offset == 0
    assert [(arrival.stream, arrival.payload) for arrival in subscriber.reader.arrivals] == [
        (first.id, b"first"),
        (second.id, b"second"),
    ]


def test_who_has_a_view_by_a_pattern_gets_one_of_the_next_stream() -> None:
    world = world_of()
    viewer = world.peer("viewer")
    number = viewer.subscribe("*/a", view=View(np.s_[:1]))
    use(world, "wf/a", Kind.EVENT, b"first")
    age(world)
    assert opens(world, "wf/other")
    assert not list(world.core.hub.views)
    use(world, "wf/a", Kind.EVENT, b"second")
    assert [arrival.payload for arrival in viewer.read().arrivals] == [b"f", b"s"]
    viewer.unsubscribe(number)
    assert not viewer.read().errors


def test_counters_do_not_go_back() -> None:
    world = world_of()
    world.subscriber("*/a")
    use(world, "wf/a", Kind.EVENT, b"x", b"y")
    before = stats(world)
    age(world)
    assert opens(world)
    after = stats(world)
    assert before.kinds[Kind.EVENT].delivered_messages == 2
    assert before.kinds[Kind.EVENT] == after.kinds[Kind.EVENT]
    assert [each.ended_streams[EndReason.MADE_ROOM] for each in (before, after)] == [0, 1]


def test_a_store_is_told() -> None:
    store = StepStore()
    world = world_of(store=store)
    publisher = world.publisher("wf/a")
    publisher.publish(0, b"x")
    publisher.drop()
    age(world)
    assert not opens(world)  # the message waits to be stored
    store.commit()
    age(world)
    assert not opens(world)  # the store keeps it
    (stream,) = world.core.streams
    stream.stored_first = stream.next_offset
    assert opens(world)
    assert store.forgotten == [stream]


def test_few_streams_are_looked_at_and_those_that_may_not_end_stand_behind_the_others() -> None:
    streams = [
        Stream(StreamId(number), StreamName(f"wf/{number}"), Kind.EVENT, Epoch(1)) for number in range(2 * LOOKED_AT)
    ]
    unused = UnusedStreams(lambda: 0.0, streams)
    asked: list[Stream] = []

    def is_free(stream: Stream) -> bool:
        asked.append(stream)
        return stream is streams[-1]

    assert unused.find(is_free) is None
    assert asked == streams[:LOOKED_AT]
    assert unused.find(is_free) is streams[-1]
    unused.end(streams[-1])
    assert len(unused) == 2 * LOOKED_AT - 1
    assert streams[-1] not in unused


def test_a_look_at_a_stream_does_not_look_at_each_receiver(monkeypatch: pytest.MonkeyPatch) -> None:
    world = world_of(max_streams=2)
    opened = ("wf/a", "wf/b")
    receivers = [world.subscriber("wf/*", f"receiver-{number}") for number in range(20)]
    for name in opened:
        use(world, name)
    for receiver in receivers:
        receiver.transport.fill_up()
    for name in opened:
        use(world, name, Kind.EVENT, b"x")
    age(world)
    for receiver in receivers[:-1]:
        receiver.transport.empty()
    looks: list[Source] = []
    queue_of = Outbox.queue_of

    def look(outbox: Outbox, source: Source) -> StreamQueue | None:
        looks.append(source)
        return queue_of(outbox, source)

    monkeypatch.setattr(Outbox, "queue_of", look)
    peer = world.peer("other")
    peer.open(0, "wf/new", Kind.EVENT)
    assert [error.error for error in peer.read().errors] == ["LIMIT_EXCEEDED"]
    assert len(looks) <= len(opened)
    receivers[-1].transport.empty()
    assert opens(world)
