"""Publishers of events that await acknowledgements, and receivers that are behind: who waits, and for how long."""

from __future__ import annotations

import sys
import tracemalloc
from collections.abc import Callable

import numpy as np
import pytest

from gateway.connections.outbound.frame_writer import DeliverySettings
from gateway.connections.snapshots import core_snapshot
from gateway.connections.viewing import view_queue
from gateway.protocol.durability import Durability
from gateway.protocol.encoding import Chain
from gateway.protocol.messages import Kind
from gateway.protocol.views import View
from tests.connections.frames import CHUNK_BYTES
from tests.connections.memory import EVERY_CODEC, FixedPolicy, Peer, World
from tests.connections.step_store import StepStore
from tests.connections.text_messages import message, news, person

STREAM = "wf/events"
SIZE = 1000
BOUND = 8 * SIZE
"""Of what waits for a receiver; publishers wait from half of it on."""


def world_of(max_hold_s: float = 5.0, **options: object) -> World:
    delivery = DeliverySettings(outbox_limit_bytes=BOUND, max_event_hold_s=max_hold_s)
    return World(delivery=delivery, **options)  # type: ignore[arg-type]


class Publisher:
    """A program that publishes one message after the other, and awaits each acknowledgement."""

    def __init__(self, world: World, peer: Peer, alias: int = 0) -> None:
        self.world = world
        self.peer = peer
        self.alias = alias
        self.sent = 0

    @property
    def acked(self) -> int:
        self.world.settle()
        return sum([ack.count for ack in self.peer.read().acks if ack.alias == self.alias])

    def go_on(self, upto: int = 100, size: int = SIZE) -> int:
        """Publish until an acknowledgement does not come; return how many came."""
        while self.acked == self.sent < upto:
            self.peer.publish(self.alias, bytes(size), ack=True)
            self.sent += 1
        return self.acked


def held(world: World) -> int:
    snapshot = core_snapshot(world.core)
    while True:
        try:
            next(snapshot)
        except StopIteration as end:
            return int(end.value.held_acks)


def test_who_awaits_acknowledgements_never_outruns_a_receiver_that_reads() -> None:
    world = world_of()
    publisher, reader = Publisher(world, world.publisher(STREAM)), world.subscriber(STREAM)
    acked = 0
    while acked < 100:
        reader.transport.fill_up()
        acked = publisher.go_on()
        assert acked == 100 or held(world) == 1
        reader.transport.read_on()
    assert reader.read().offsets == list(range(100))
    assert (reader.reader.gaps, reader.reader.replays, held(world)) == ([], [], 0)


def test_large_messages_go_one_after_the_other_and_the_next_is_uploaded_meanwhile() -> None:
    world = world_of()
    peer, reader = world.publisher(STREAM), world.subscriber(STREAM)
    payload = bytes(range(256)) * (5 * CHUNK_BYTES // 256)
    reader.transport.fill_up()
    acked = []
    for transfer in range(1, 4):
        peer.large(0, payload, transfer, ack=True).end()
        world.settle()
        acked.append(len(peer.read().acks))
        if transfer == 2:
            reader.transport.read_on()
            reader.read()
            world.settle()
            acked.append(len(peer.read().acks))
    assert acked == [1, 1, 2, 3]
    world.settle()
    assert [arrival.payload for arrival in reader.read().arrivals] == [payload] * 3


def test_a_receiver_that_does_not_read_is_waited_for_once() -> None:
    world = world_of(max_hold_s=5.0)
    publisher, reader = Publisher(world, world.publisher(STREAM)), world.subscriber(STREAM)
    reader.transport.fill_up()
    held_at = publisher.go_on()
    world.clock.advance(4.9)
    assert publisher.acked == held_at
    world.clock.advance(0.2)
    # It counts as slow now: the bound of its queue applies, and no publisher waits any more.
    assert publisher.go_on() == 100
    world.clock.advance(1000.0)
    assert world.clock.timers == 0
    reader.transport.read_on()
    reader.read()
    assert (reader.reader.offsets[-1], len(reader.reader.offsets)) == (99, 100), "history had the others"
    # It has caught up, and counts again.
    reader.transport.fill_up()
    assert publisher.go_on(200) < 200


def test_a_receiver_that_reads_little_by_little_is_waited_for_as_long_as_it_takes_its_share() -> None:
    world = world_of(max_hold_s=5.0)
    publisher, reader = Publisher(world, world.publisher(STREAM)), world.subscriber(STREAM)
    reader.transport.fill_up()
    for _ in range(40):
        world.clock.advance(4.0)
        reader.transport.empty()
        reader.transport.fill_up()
        publisher.go_on()
    reader.transport.read_on()
    assert (reader.read().gaps, reader.reader.replays) == ([], [])


def test_other_streams_are_not_slowed_even_on_the_same_connection() -> None:
    world = world_of()
    peer = world.publisher(STREAM, "wf/other", "wf/unseen")
    reader = world.subscriber(STREAM)
    reader.subscribe("wf/other")
    busy, other, unseen = [Publisher(world, peer, alias) for alias in range(3)]
    reader.transport.fill_up()
    assert busy.go_on() < 100
    assert unseen.go_on() == 100
    # Of this stream nothing waits for the receiver behind another message yet.
    assert other.go_on(1) == 1


@pytest.mark.parametrize(
    "end",
    [
        lambda world, reader: reader.drop(),
        lambda world, reader: reader.unsubscribe(1),
        lambda world, reader: reader.session.connection.close(4000, "moved"),
        lambda world, reader: reader.transport.read_on(),
        lambda world, reader: world.core.go_away("stopping", 1.0),
        lambda world, reader: world.clock.advance(5.1),
    ],
    ids=["lost", "unsubscribed", "closed", "caught up", "gateway stops", "slow"],
)
def test_a_publisher_goes_on_when_there_is_nobody_to_wait_for(end: Callable[[World, Peer], object]) -> None:
    world = world_of()
    publisher, reader = Publisher(world, world.publisher(STREAM)), world.subscriber(STREAM)
    reader.transport.fill_up()
    before = publisher.go_on()
    assert before < publisher.sent
    end(world, reader)
    assert publisher.acked == publisher.sent


def test_one_receiver_that_is_behind_is_enough_and_each_counts_for_itself() -> None:
    world = world_of(max_hold_s=5.0)
    publisher = Publisher(world, world.publisher(STREAM))
    stopped, reader = world.subscriber(STREAM, "stopped"), world.subscriber(STREAM, "reader")
    stopped.transport.fill_up()
    publisher.go_on()
    world.clock.advance(5.1)
    reader.transport.fill_up()
    waited_for = publisher.go_on()
    assert waited_for < 100
    reader.transport.read_on()
    assert publisher.acked == waited_for + 1
    assert reader.read().gaps == []


def test_a_publish_that_is_repeated_waits_as_the_first_one_did() -> None:
    world = world_of()
    peer, reader = world.peer("producer"), world.subscriber(STREAM)
    peer.produce(0, STREAM)
    publisher = Publisher(world, peer)
    reader.transport.fill_up()
    publisher.go_on()
    sequence = peer.sequences[0]
    peer.drop()
    assert held(world) == 0
    again = world.peer("producer")
    again.produce(0, STREAM, sequence)
    again.publish(0, bytes(SIZE), ack=True)
    world.settle()
    assert again.read().acks == []
    reader.transport.read_on()
    world.settle()
    (ack,) = again.read().acks
    assert (ack.repeated, ack.sequence) == (True, sequence)


def test_a_durable_event_is_acknowledged_when_it_is_stored_and_nobody_is_behind() -> None:
    store = StepStore()
    world = world_of(store=store, durability=Durability.OS)
    peer, reader = world.publisher(STREAM), world.subscriber(STREAM)
    reader.transport.fill_up()
    for _ in range(8):
        peer.publish(0, bytes(SIZE), ack=True)
        world.settle()
    assert peer.read().acks == []
    while store.waiting:
        store.commit()
        world.settle()
    stored = len(peer.read().acks)
    assert 0 < stored < 8
    reader.transport.read_on()
    world.settle()
    assert len(peer.read().acks) == 8


def test_a_receiver_that_reads_its_past_holds_publishers_up_only_by_what_came_since() -> None:
    world = world_of()
    publisher = Publisher(world, world.publisher(STREAM))
    publisher.go_on(50)
    late = world.peer("late")
    late.transport.fill_up()
    late.subscribe(STREAM, since="beginning")
    assert publisher.go_on(53) == 53
    assert publisher.go_on() < 100
    late.transport.read_on()
    assert publisher.go_on() == 100
    assert late.read().offsets == list(range(100))


def test_receivers_of_views_are_waited_for_and_so_are_the_threads_that_compute_them(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    world = world_of()
    publisher, viewer = Publisher(world, world.publisher(STREAM)), world.peer("viewer")
    viewer.subscribe(STREAM, view=View(np.s_[::2]))
    viewer.transport.fill_up()
    assert publisher.go_on() < 100
    viewer.transport.read_on()
    assert publisher.go_on() == 100
    monkeypatch.setattr(view_queue, "QUEUE_BYTES", BOUND)
    acked = []
    for _ in range(20):
        publisher.peer.publish(0, bytes(SIZE), ack=True)
        world.turn()
        acked.append(len(publisher.peer.read().acks) - 100)
    assert acked[-1] < 12
    world.settle()
    assert len(publisher.peer.read().acks) == 120
    assert (viewer.read().offsets[:100], viewer.reader.offsets[-1]) == (list(range(100)), 119)


def test_a_view_writes_once_a_turn_also_while_another_receiver_is_behind() -> None:
    world = world_of()
    publisher, viewer = world.publisher(STREAM), world.peer("viewer")
    viewer.subscribe(STREAM, view=View(np.s_[::2]))
    world.subscriber(STREAM).transport.fill_up()
    for _ in range(10):
        publisher.publish(0, bytes(SIZE))
    world.settle()
    viewer.transport.writes.clear()
    for _ in range(2):
        publisher.publish(0, bytes(SIZE))
    while len(world.workers):
        world.workers.step()
    assert viewer.transport.writes == []
    world.turn()
    assert len(viewer.transport.writes) == 1


def test_a_view_that_nobody_receives_any_more_holds_nobody_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(view_queue, "QUEUE_BYTES", 2 * SIZE)
    world = world_of()
    peer, viewer = world.publisher(STREAM), world.peer("viewer")
    viewer.subscribe(STREAM, view=View(np.s_[::2]))
    for _ in range(6):
        peer.publish(0, bytes(SIZE), ack=True)
    assert len(peer.read().acks) < 6
    viewer.drop()
    world.turn()
    assert len(peer.read().acks) == 6


def test_a_message_that_is_encoded_in_a_thread_is_acknowledged_once_it_is_delivered() -> None:
    world = world_of(policy=FixedPolicy(Chain(codec="lz4")))
    peer, reader = world.publisher(STREAM), world.subscriber(STREAM, codecs=EVERY_CODEC)
    noise = np.random.default_rng(7).bytes(80 * 1024) + bytes(80 * 1024)
    acked = []
    for _ in range(3):
        peer.publish(0, noise, ack=True)
        world.turn()
        acked.append(len(peer.read().acks))
        world.settle()
        acked.append(len(peer.read().acks))
    assert acked == [0, 1, 1, 2, 2, 3]
    assert reader.read().offsets == [0, 1, 2]


def test_json_publishers_wait_and_json_receivers_are_waited_for() -> None:
    world = world_of()
    writer, reader = person(world), person(world)
    reader.send('{"id":1,"message_type":"subscribe","payload":{"pattern":"wf-42/*"}}')
    news(reader, world)
    reader.transport.fill_up()
    payload = {"dtype": "uint8", "shape": [SIZE], "data": "A" * 1332 + "AA=="}
    acks = 0
    for number in range(20):
        writer.send(message("wf-42/events", id=number, kind="event", ack=True, payload=payload))
        acks += sum([text["message_type"] == "ack" for text in news(writer, world)])
    assert 0 < acks < 20
    reader.transport.read_on()
    assert acks + sum([text["message_type"] == "ack" for text in news(writer, world)]) == 20


def test_states_are_conflated_and_keep_nobody_waiting() -> None:
    world = world_of()
    publisher, reader = Publisher(world, world.publisher(STREAM, kind=Kind.STATE)), world.subscriber(STREAM)
    reader.transport.fill_up()
    assert publisher.go_on() == 100


def test_publishers_do_not_wait_where_the_time_is_0() -> None:
    world = world_of(max_hold_s=0.0)
    publisher, reader = Publisher(world, world.publisher(STREAM)), world.subscriber(STREAM)
    reader.transport.fill_up()
    assert publisher.go_on() == 100
    assert world.clock.timers == 0


@pytest.mark.parametrize("already_waiting", [1.0, 0.6, 0.0], ids=["all of the bound", "half of it", "nothing"])
def test_a_message_costs_little_more_for_a_receiver_of_many_streams_that_is_behind(already_waiting: float) -> None:
    few, many = [calls_for_a_message(streams, round(already_waiting * 20_000)) for streams in (2, 200)]
    assert many < 2 * few


def calls_for_a_message(streams: int, waiting: int) -> float:
    """Return the work for a message, behind so many that wait: calls of Python functions, and of what they call."""
    world = World(delivery=DeliverySettings(outbox_limit_bytes=2 * 1024 * 1024))
    publisher = world.publisher(f"{STREAM}/0")
    for alias in range(1, streams):
        publisher.open(alias, f"{STREAM}/{alias}", Kind.EVENT)
    world.subscriber(f"{STREAM}/*").transport.fill_up()

    def publish(messages: int) -> None:
        for index in range(messages):
            publisher.publish(index % streams, b"of some 100 bytes, as it goes out")
            world.turn()

    publish(waiting)
    calls = 0

    def count(frame: object, event: str, argument: object) -> None:
        nonlocal calls
        calls += event in ("call", "c_call")

    sys.setprofile(count)
    try:
        publish(2000)
    finally:
        sys.setprofile(None)
    return calls / 2000


def test_the_next_message_for_a_receiver_that_is_behind_does_not_cost_more_the_more_waits() -> None:
    world = World(delivery=DeliverySettings(outbox_limit_bytes=600_000))
    publisher, reader = world.publisher(STREAM), world.subscriber(STREAM)
    reader.transport.fill_up()
    for _ in range(8_000):
        publisher.publish(0, b"x")
    world.turn()
    tracemalloc.start()
    try:
        publisher.publish(0, b"x")
        world.turn()
        _, peak_bytes = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    outbox = reader.session.connection.outbox
    assert outbox is not None
    assert outbox.waiting_bytes > 300_000, "more than half of the bound"
    assert peak_bytes < 8_000, "a list of all that waits takes 64 KB"
