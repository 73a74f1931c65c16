"""Observers: they get what is published to acknowledged streams, and hold up nobody."""

from __future__ import annotations

import orjson
import pytest

from gateway.connections.consumers.consumer_fanout import ConsumerFanout
from gateway.connections.consumers.settings import ConsumerSettings
from gateway.connections.outbound.frame_writer import DeliverySettings
from gateway.errors import Code, RequestRefused
from gateway.ids import ClientId, StreamName
from gateway.protocol.encoding import Chain
from gateway.protocol.limits import Limits
from gateway.protocol.messages import ClientType, Credits, EndReason, Hello, Kind, StreamInfo
from gateway.streams.history import HistoryLimits
from tests.connections.memory import EVERY_CODEC, FixedPolicy, Peer, TextPeer, World, book_all, counts_in

TASKS = "wf/tasks"
KINDS = [Kind.COLLABORATION, Kind.CONTROL]


def observer(world: World, pattern: str = TASKS, client_id: str = "watcher", **options: object) -> Peer:
    """A client that observes; its log begins with STREAM."""
    peer = world.peer(client_id, EVERY_CODEC)
    peer.subscribe(pattern, observe=True, **options)  # type: ignore[arg-type]
    world.settle()
    return peer


def streams_of(peer: Peer) -> list[StreamInfo]:
    return [entry for entry in peer.read().log if isinstance(entry, StreamInfo)]


def fanout_of(world: World, name: str = TASKS) -> ConsumerFanout:
    stream = world.core.streams.get(StreamName(name))
    assert stream is not None
    fanout = world.core.hub.fanouts.of(stream)
    assert isinstance(fanout, ConsumerFanout)
    return fanout


def payloads(world: World, peer: Peer) -> list[bytes]:
    world.settle()
    return [arrival.payload for arrival in peer.news().arrivals]


@pytest.mark.parametrize("kind", KINDS)
def test_an_observer_gets_what_is_published_from_now_on_by_an_id_of_its_own(kind: Kind) -> None:
    world = World()
    publisher = world.publisher(TASKS, kind=kind)
    publisher.publish(0, b"before")
    peer = observer(world)
    (info,) = streams_of(peer)
    stream = fanout_of(world).source
    assert (info.stream, info.kind, info.epoch, info.offset, info.since) == (TASKS, kind, stream.epoch, 1, 1)
    assert (info.observed, info.subscription, info.recovered) == (True, 1, None)
    assert info.id not in (None, stream.id)
    publisher.publish(0, b"one")
    publisher.send(publisher.batch(0, [b"two", b"ten"]))
    assert payloads(world, peer) == [b"one", b"two", b"ten"]
    assert [arrival.stream for arrival in peer.reader.arrivals] == [info.id] * 3
    assert not fanout_of(world).consumers


@pytest.mark.parametrize("gone", [False, True])
def test_it_holds_no_publisher_fills_no_bound_and_makes_no_dead_letter(gone: bool) -> None:
    world = World(consumers=ConsumerSettings(hold_bytes=1, limit_bytes=5000, consumer_ttl_s=5.0))
    publisher = world.publisher(TASKS, kind=Kind.COLLABORATION)
    worker, peer = world.subscriber(TASKS, "worker"), observer(world)
    if gone:
        peer.drop()
    for index in range(10):
        publisher.publish(0, bytes(1000), ack=True)
        world.settle()
        worker.done(TASKS, index)
        world.settle()
    assert [ack.sequence for ack in publisher.read().acks] == list(range(1, 11))
    world.pass_time(10.0)
    assert not publisher.read().notices
    assert world.core.streams.get(StreamName(TASKS + ".dead")) is None
    assert list(fanout_of(world).consumers) == ["worker"]


def test_a_stream_that_only_observers_watch_keeps_nothing() -> None:
    world = World(consumers=ConsumerSettings(hold_bytes=1, limit_bytes=1))
    publisher = world.publisher(TASKS, kind=Kind.COLLABORATION)
    peer = observer(world)
    for _ in range(3):
        publisher.publish(0, bytes(1000), ack=True)
    world.settle()
    assert [ack.count for ack in publisher.read().acks] == [1, 1, 1]
    assert peer.read().offsets == [0, 1, 2]
    assert fanout_of(world).held_bytes == 0


def test_done_of_an_observer_is_ignored() -> None:
    world = World()
    publisher = world.publisher(TASKS, kind=Kind.COLLABORATION)
    worker, peer = world.subscriber(TASKS, "worker"), observer(world)
    publisher.publish(0, b"task")
    world.settle()
    peer.done(TASKS, 0)
    world.settle()
    consumer = fanout_of(world).consumers[ClientId("worker")]
    assert consumer.pending == 1
    worker.done(TASKS, 0)
    world.settle()
    assert consumer.pending == 0
    assert not peer.read().errors


def test_a_control_stream_does_not_close_an_observer_that_does_not_answer() -> None:
    world = World(consumers=ConsumerSettings(max_pending_commands=2))
    publisher = world.publisher(TASKS, kind=Kind.CONTROL)
    peer = observer(world)
    for _ in range(20):
        publisher.publish(0, b"command")
    assert len(payloads(world, peer)) == 20
    assert peer.close_code() is None


def test_one_that_falls_behind_gets_what_history_has_and_a_gap_for_the_rest() -> None:
    for history, expected in ((None, []), (HistoryLimits(), list(range(10)))):
        world = World(delivery=DeliverySettings(outbox_limit_bytes=20_000), history=history)
        publisher = world.publisher(TASKS, kind=Kind.CONTROL)
        peer = observer(world)
        peer.session.connection.pause_writing()
        for _ in range(10):
            publisher.publish(0, bytes(9_000))
            world.settle()
        assert fanout_of(world).queue_full is False
        peer.session.connection.resume_writing()
        world.settle()
        got = peer.read()
        lost = [offset for gap in got.gaps for offset in range(gap.first, gap.last + 1)]
        assert sorted([*got.offsets, *lost]) == list(range(10))
        assert got.offsets[-1] == 9
        assert bool(lost) is not bool(expected)
        assert {gap.code for gap in got.gaps} <= {Code.QUEUE_FULL}
        assert peer.close_code() is None


def test_an_observer_that_comes_back_gets_what_history_has() -> None:
    for history, since, recovered in ((HistoryLimits(), 1, True), (None, 3, False)):
        world = World(history=history)
        publisher = world.publisher(TASKS, kind=Kind.COLLABORATION)
        for _ in range(3):
            publisher.publish(0, b"task")
        world.settle()
        epoch = fanout_of(world).source.epoch
        peer = observer(world, since={TASKS: (epoch, 1)})
        (info,) = streams_of(peer)
        assert (info.since, info.recovered) == (since, recovered)
        publisher.publish(0, b"live")
        world.settle()
        assert peer.read().offsets == list(range(since, 4))
        assert [(replay.first, replay.last) for replay in peer.read().replays] == ([(1, 2)] if recovered else [])


def test_an_observer_that_comes_back_beside_another_one_has_missed_nothing() -> None:
    world = World()
    publisher = world.publisher(TASKS, kind=Kind.COLLABORATION)
    observer(world)
    for offset in range(3):
        publisher.publish(0, bytes(offset))
    (info,) = streams_of(observer(world, client_id="again", since=3))
    assert (info.since, info.recovered) == (3, True)


@pytest.mark.parametrize("chain", [Chain.parse("none"), Chain.parse("lz4")])
def test_large_and_encoded_messages_arrive_whole_beside_those_of_a_worker(chain: Chain) -> None:
    world = World()
    publisher = world.publisher(TASKS, kind=Kind.COLLABORATION)
    both = world.peer("worker", EVERY_CODEC)
    both.subscribe(TASKS)
    both.subscribe(TASKS, observe=True)
    plain = world.peer("plain")
    plain.subscribe(TASKS, observe=True)
    publisher.publish(0, bytes(30_000), chain=chain)
    publisher.large(0, bytes(20_000), chain=chain).end()
    publisher.publish(0, b"small")
    for _ in range(4):
        world.settle()
        both.read()
        plain.read()
    worked, seen = {info.observed: info.id for info in streams_of(both)}[None], streams_of(both)[-1].id
    sizes = [30_000, 20_000, 5]
    for number in (worked, seen):
        assert [len(each.payload) for each in both.reader.arrivals if each.stream == number] == sizes
    assert [len(arrival.payload) for arrival in plain.reader.arrivals] == sizes


def test_each_subscription_of_a_connection_gets_its_share_of_one_delivery() -> None:
    world = World()
    publisher = world.publisher(TASKS, kind=Kind.COLLABORATION)
    peer = observer(world)
    peer.subscribe("wf/*", observe=True)
    world.settle()
    first, second = streams_of(peer)
    assert (first.id, first.subscription, second.subscription) == (second.id, 1, 2)
    publisher.publish(0, b"task")
    assert payloads(world, peer) == [b"task"]
    peer.unsubscribe(1)
    publisher.publish(0, b"task")
    assert payloads(world, peer) == [b"task"]
    peer.unsubscribe(2)
    publisher.publish(0, b"task")
    assert payloads(world, peer) == []


def test_a_client_that_ceases_to_work_and_goes_on_looking() -> None:
    world = World()
    publisher = world.publisher(TASKS, kind=Kind.COLLABORATION)
    peer = world.peer("worker")
    work, look = peer.subscribe(TASKS), peer.subscribe("wf/*", observe=True)
    publisher.publish(0, b"both")
    world.settle()
    assert peer.read().offsets == [0, 0]
    peer.unsubscribe(work)
    assert not fanout_of(world).consumers
    publisher.publish(0, b"seen")
    assert payloads(world, peer) == [b"seen"]
    again = peer.subscribe(TASKS)
    peer.unsubscribe(look)
    publisher.publish(0, b"work")
    assert payloads(world, peer) == [b"work"]
    assert fanout_of(world).consumers[ClientId("worker")].pending == 1
    peer.unsubscribe(again)


def test_an_observing_connection_of_a_client_does_not_stand_for_the_one_that_works() -> None:
    world = World()
    publisher = world.publisher(TASKS, kind=Kind.COLLABORATION)
    worker, peer = world.subscriber("wf/*", "worker"), observer(world, client_id="worker")
    publisher.publish(0, b"task")
    world.settle()
    worker.drop()
    peer.unsubscribe(1)
    peer.subscribe("wf/*", observe=True)
    publisher.open(1, "wf/late", Kind.COLLABORATION)
    # While it is away it is waited for, also at streams that begin meanwhile.
    assert fanout_of(world).consumers[ClientId("worker")].connection is None
    assert list(fanout_of(world, "wf/late").consumers) == ["worker"]
    peer.drop()
    publisher.open(2, "wf/later", Kind.COLLABORATION)
    assert list(fanout_of(world, "wf/later").consumers) == ["worker"]


def test_streams_that_begin_later_are_observed_as_well() -> None:
    world = World()
    peer = observer(world, "wf/**")
    publisher = world.publisher(TASKS, kind=Kind.COLLABORATION)
    publisher.open(1, "wf/loss", Kind.EVENT)
    for alias in (0, 1):
        publisher.publish(alias, b"first")
    world.settle()
    assert [(info.stream, info.observed) for info in streams_of(peer)] == [(TASKS, True), ("wf/loss", None)]
    assert len(peer.reader.arrivals) == 2


@pytest.mark.parametrize(
    ("client_id", "client_type", "observe", "observes"),
    [
        ("worker", ClientType.AGENT, None, False),
        (None, ClientType.AGENT, None, True),
        ("panel", ClientType.ADMIN_PANEL, None, True),
        ("panel", ClientType.ADMIN_PANEL, False, False),
        ("tool", ClientType.EXTENSION, None, True),
        (None, ClientType.AGENT, False, False),
        ("worker", ClientType.WORKFLOW, True, True),
    ],
)
def test_who_observes_unless_the_subscription_says_otherwise(
    client_id: str | None, client_type: ClientType, observe: bool | None, observes: bool
) -> None:
    world = World()
    world.publisher(TASKS, kind=Kind.COLLABORATION)
    peer = world.stranger()
    peer.say(Hello((1,), client_type, None if client_id is None else ClientId(client_id)))
    peer.subscribe(TASKS, observe=observe)
    world.settle()
    assert bool(streams_of(peer)[0].observed) is observes
    assert bool(fanout_of(world).consumers) is not observes


def test_what_cannot_be_observed_is_refused() -> None:
    world = World()
    world.publisher(TASKS, kind=Kind.COLLABORATION)
    peer = world.peer("watcher")
    peer.subscribe("agent:watcher", observe=True)
    peer.subscribe("group:planners", observe=True)
    peer.subscribe(TASKS, observe=True, credits=Credits(1, 1))
    peer.subscribe(TASKS, observe=True, view={"dtype": "uint8"})
    assert peer.read().codes == [Code.INVALID_REQUEST] * 3 + [Code.INVALID_VIEW]
    number = peer.subscribe(TASKS, observe=True)
    peer.grant(number, 1, 1)
    seen = streams_of(peer)[-1].id
    assert seen is not None
    with pytest.raises(RequestRefused, match="no subscription to a state stream"):
        world.core.hub.refresh(peer.session, seen)


def test_accounts_count_it_as_an_event_stream() -> None:
    world = World()
    publisher = world.publisher(TASKS, kind=Kind.COLLABORATION)
    peer = observer(world)
    for _ in range(3):
        publisher.publish(0, b"task")
    world.settle()
    book_all(peer.session.connection)
    ((name, counts),) = counts_in(peer.session.connection.accounts, 1).items()
    assert (name, counts.delivered, counts.dropped) == (TASKS, 3, 0)


def test_an_account_goes_on_when_the_stream_ends_and_begins_anew() -> None:
    world = World()
    peer = observer(world)
    for _ in range(2):
        publisher = world.publisher(TASKS, kind=Kind.COLLABORATION)
        publisher.publish(0, b"task")
        world.settle()
        publisher.drop()
        world.core.hub.end(fanout_of(world).source, EndReason.DELETED)
    world.publisher(TASKS, kind=Kind.COLLABORATION)
    ((name, counts),) = counts_in(peer.session.connection.accounts, 1).items()
    assert (name, counts.delivered, counts.dropped) == (TASKS, 2, 0)


def test_observers_are_counted_and_forgotten() -> None:
    policy = FixedPolicy()
    world = World(policy)
    publisher = world.publisher(TASKS, kind=Kind.COLLABORATION)
    hub, stream = world.core.hub, fanout_of(world).source
    peers = [observer(world, client_id=name) for name in ("one", "two")]
    publisher.publish(0, b"task")
    world.settle()
    stats = hub.stream_stats(stream)
    assert (stats.subscribers, stats.observers, stats.consumers.present) == (0, 2, 0)
    assert hub.observations.delivered_messages[Kind.COLLABORATION] == 2
    observed = [stream.id for stream in streams_of(peers[0])]
    assert policy.forgotten == []
    for peer in peers:
        peer.drop()
    assert policy.forgotten == observed
    assert (hub.observations.receivers, list(hub.observations), fanout_of(world).taps) == (0, [], [])
    assert hub.observations.delivered_messages[Kind.COLLABORATION] == 2
    assert hub.observations.idle


def test_json_clients_without_a_name_observe_and_tell_both_ways_apart_by_the_id() -> None:
    world = World()
    peer = TextPeer(world)
    peer.send('{"message_type":"hello","client_type":"agent","payload":{"versions":[1]}}')
    peer.send('{"id":1,"message_type":"subscribe","payload":{"pattern":"wf/tasks"}}')
    publisher = world.publisher(TASKS, kind=Kind.COLLABORATION)
    publisher.publish(0, b"task")
    publisher.publish(0, b"more")
    world.settle()
    texts = [orjson.loads(text) for text in peer.texts()]
    (info,) = [text["payload"] for text in texts if text["message_type"] == "stream"]
    assert (info["kind"], info["observed"], info["subscription"]) == ("collaboration", True, 1)
    messages = [text for text in texts if text["message_type"] == "message"]
    assert [(each["kind"], each["offset"], each["view"]) for each in messages] == [
        ("collaboration", 0, info["id"]),
        ("collaboration", 1, info["id"]),
    ]
    assert not fanout_of(world).consumers
    peer.send('{"id":2,"message_type":"subscribe","payload":{"pattern":"wf/tasks","observe":false}}')
    assert len(fanout_of(world).consumers) == 1


def test_a_stream_that_ends_is_observed_again_when_it_begins_anew() -> None:
    world = World(limits=Limits(max_streams=1))
    publisher = world.publisher(TASKS, kind=Kind.COLLABORATION)
    peer = observer(world, "wf/*")
    publisher.publish(0, b"first")
    publisher.drop()
    world.core.hub.end(fanout_of(world).source, EndReason.DELETED)
    assert list(world.core.hub.observations) == []
    world.publisher("wf/other", kind=Kind.CONTROL).publish(0, b"other")
    world.settle()
    first, ended, second = streams_of(peer)
    assert (first.stream, second.stream, second.observed) == (TASKS, "wf/other", True)
    assert (ended.id, ended.stream, ended.observed, ended.ended) == (first.id, TASKS, True, "deleted")
    assert first.id != second.id
    assert peer.read().arrivals[-1].payload == b"other"
    peer.drop()
    assert world.core.hub.observations.receivers == 0
