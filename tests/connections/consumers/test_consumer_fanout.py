"""One stream and its consumers: what they share, who gets it, and what publishers notice."""

from __future__ import annotations

import re
from collections.abc import Sequence
from contextlib import suppress
from itertools import pairwise

import numpy as np
import pytest

from gateway.connections.consumers.ack_unit import OVERHEAD_BYTES, AckUnit
from gateway.connections.consumers.consumer import Consumer
from gateway.connections.consumers.consumer_fanout import PUMPED_TOGETHER, SENT_TOGETHER, ConsumerFanout
from gateway.connections.consumers.held_units import HeldUnits
from gateway.connections.consumers.in_flight import ANSWERED_TOGETHER
from gateway.connections.consumers.settings import ConsumerSettings
from gateway.connections.consumers.stats import ConsumerStats
from gateway.connections.fanout.delivery_class import MANY_OWED
from gateway.connections.input_budget import INPUT_S
from gateway.connections.outbound.frame_writer import DeliverySettings
from gateway.errors import Code
from gateway.ids import ClientId, StreamName
from gateway.protocol.durability import Durability
from gateway.protocol.encoding import Chain
from gateway.protocol.extensions import Identity
from gateway.protocol.messages import Credits, Kind
from gateway.protocol.wire import Buffer
from gateway.streams.progress import Mark, Unsettled
from gateway.streams.run import Run
from tests.connections.frames import CHUNK_BYTES
from tests.connections.memory import Peer, World
from tests.connections.step_store import StepStore
from tests.connections.text_messages import news, person
from tests.connections.transport import MemoryTransport

STREAM = "wf/tasks"


def world_of(kind: Kind = Kind.COLLABORATION, **settings: float) -> tuple[World, Peer]:
    """A world and a publisher."""
    world = World(consumers=ConsumerSettings(**settings))  # type: ignore[arg-type]
    return world, world.publisher(STREAM, kind=kind)


def fanout_of(world: World, name: str = STREAM) -> ConsumerFanout:
    stream = world.core.streams.get(StreamName(name))
    assert stream is not None
    fanout = world.core.hub.fanouts.of(stream)
    assert isinstance(fanout, ConsumerFanout)
    return fanout


def test_every_client_gets_every_message_and_each_answers_for_itself() -> None:
    world, publisher = world_of()
    one, two = world.subscriber(STREAM, "one"), world.subscriber(STREAM, "two")
    publisher.send(publisher.message(0, b"a"), publisher.message(0, b"b"))
    world.settle()
    assert one.read().offsets == two.read().offsets == [0, 1]
    one.done(STREAM, 0, 1)
    assert fanout_of(world).held_bytes
    two.done(STREAM, 0, 1)
    assert not fanout_of(world).held_bytes


def test_nothing_is_kept_for_nobody() -> None:
    world, publisher = world_of()
    publisher.publish(0, b"a")
    publisher.large(0, bytes(9000)).end()
    assert not fanout_of(world).held_bytes
    assert world.subscriber(STREAM).read().offsets == []


def test_a_message_is_kept_once_for_all() -> None:
    world, publisher = world_of()
    for name in ("one", "two", "three"):
        world.subscriber(STREAM, name)
    publisher.publish(0, bytes(1000))
    assert OVERHEAD_BYTES + 1000 < fanout_of(world).held_bytes < OVERHEAD_BYTES + 1100


def test_who_takes_over_gets_what_is_not_acknowledged_and_the_other_cannot_answer_any_more() -> None:
    world, publisher = world_of()
    first = world.subscriber(STREAM, "worker")
    for payload in (b"a", b"b"):
        publisher.publish(0, payload)
    world.settle()
    first.done(STREAM, 0)
    second = world.subscriber(STREAM, "worker")
    first.done(STREAM, 1)
    publisher.publish(0, b"c")
    world.settle()
    assert (first.read().offsets, second.read().offsets) == ([0, 1], [1, 2])
    assert fanout_of(world).receivers == 1
    first.drop()
    second.done(STREAM, 1, 2)
    publisher.publish(0, b"d")
    world.settle()
    assert second.read().offsets == [1, 2, 3]


@pytest.mark.parametrize("leaves", [False, True])
def test_a_lost_connection_that_has_still_to_be_handled_takes_nothing_from_the_new_one(leaves: bool) -> None:
    world, publisher = world_of()
    first = world.peer("worker", instance=1)
    first.subscribe(STREAM, 1)
    first.subscribe("wf/*", 2)
    for payload in (b"a", b"b"):
        publisher.publish(0, payload)
    world.settle()
    world.take_one_step_a_turn()
    waits = [True]
    first.session.backlog.add(lambda: waits[0])
    first.done(STREAM, 0)
    first.unsubscribe(2)
    first.drop()
    second = world.peer("worker", instance=1)
    second.subscribe(STREAM)
    for _ in range(20):
        world.clock.turn()
    assert second.read().offsets == [0, 1]
    if leaves:
        second.drop()
    waits[0] = False
    world.settle()
    if leaves:
        second = world.peer("worker", instance=1)
        second.subscribe(STREAM)
        world.settle()
    second.done(STREAM, 1)
    publisher.publish(0, b"c")
    world.settle()
    assert second.read().offsets == ([1, 2] if leaves else [0, 1, 2])
    assert first.read().offsets == [0, 1]
    assert fanout_of(world).stats().pending == 1


def test_a_stream_that_begins_while_a_client_is_away_reaches_it() -> None:
    world = World()
    worker = world.subscriber("wf/*", "worker")
    worker.drop()
    publisher = world.publisher(STREAM, kind=Kind.COLLABORATION)
    publisher.publish(0, b"a")
    again = world.subscriber("wf/*", "worker")
    world.settle()
    assert again.read().offsets == [0]


def test_publishers_wait_for_receivers_that_are_behind() -> None:
    world, publisher = world_of(hold_bytes=3200, max_hold_s=10.0)
    worker = world.subscriber(STREAM, "worker")
    for _ in range(5):
        publisher.publish(0, bytes(500), ack=True)
    world.settle()
    assert [ack.offset for ack in publisher.read().acks] == [0, 1, 2]
    worker.done(STREAM, 0, 1)
    world.settle()
    assert [ack.offset for ack in publisher.read().acks] == [0, 1, 2, 3, 4]


def test_publishers_do_not_wait_for_ever() -> None:
    world, publisher = world_of(hold_bytes=1000, max_hold_s=10.0)
    world.subscriber(STREAM, "worker")
    for _ in range(3):
        publisher.publish(0, bytes(500), ack=True)
    world.pass_time(9.0)
    assert len(publisher.read().acks) == 1
    world.pass_time(2.0)
    assert len(publisher.read().acks) == 3


def test_nobody_waits_for_a_receiver_that_has_left() -> None:
    world, publisher = world_of(hold_bytes=1000)
    worker = world.subscriber(STREAM, "worker")
    for _ in range(3):
        publisher.publish(0, bytes(500), ack=True)
    assert len(publisher.read().acks) == 1
    worker.unsubscribe(1)
    publisher.publish(0, bytes(500), ack=True)
    assert len(publisher.read().acks) == 4


def test_publishers_are_told_of_all_that_was_taken_when_the_gateway_stops() -> None:
    world, publisher = world_of(hold_bytes=1000)
    world.subscriber(STREAM, "worker")
    for _ in range(3):
        publisher.publish(0, bytes(500), ack=True)
    assert len(publisher.read().acks) == 1
    world.core.go_away("stopping", 1.0)
    publisher.publish(0, bytes(500), ack=True)
    assert len(publisher.read().acks) == 4


def test_publishers_of_commands_wait_before_a_receiver_is_closed() -> None:
    world, publisher = world_of(Kind.CONTROL, max_pending_commands=4)
    worker = world.subscriber(STREAM, "worker")
    for _ in range(4):
        publisher.publish(0, b"stop", ack=True)
    world.settle()
    assert len(publisher.read().acks) == 2
    worker.done(STREAM, 0, 1)
    world.settle()
    assert len(publisher.read().acks) == 4
    assert worker.close_code() is None


@pytest.mark.parametrize("large", [False, True])
def test_who_cannot_decode_gets_it_plain_and_in_order(large: bool) -> None:
    world, publisher = world_of()
    knowing, plain = world.subscriber(STREAM, "knowing", ("lz4",)), world.subscriber(STREAM, "plain")
    payload = bytes(3 * CHUNK_BYTES)
    if large:
        publisher.large(0, payload, chain=Chain(codec="lz4")).end()
    else:
        publisher.publish(0, payload, chain=Chain(codec="lz4"))
    publisher.publish(0, b"behind")
    world.turn()
    assert knowing.read().offsets == [0, 1]
    assert plain.read().offsets == []
    assert not world.core.drained
    world.settle()
    assert [arrival.payload for arrival in plain.read().arrivals] == [payload, b"behind"]
    assert [arrival.encoded for arrival in knowing.reader.arrivals] == [True, False]


def test_what_cannot_be_decoded_is_a_gap() -> None:
    world, publisher = world_of()
    world.subscriber(STREAM, "plain")
    frame = bytearray(b"".join(publisher.message(0, bytes(1000), chain=Chain(codec="lz4"))))
    frame[-8:] = b"\xff" * 8
    publisher.send(bytes(frame), publisher.message(0, b"behind"))
    world.settle()
    plain = next(peer for peer in world.core.pool if peer.peer.client_id == "plain")
    assert fanout_of(world).consumers[plain.peer.client_id].dropped == 1
    assert not fanout_of(world).stats().dead_lettered_messages


def test_what_is_too_large_for_a_receiver_is_a_gap() -> None:
    world, publisher = world_of()
    worker = world.subscriber(STREAM, "worker")
    worker.session.connection.max_message_bytes = 5000
    publisher.large(0, bytes(9000)).end()
    publisher.publish(0, b"behind")
    world.settle()
    assert [(gap.code, gap.first, gap.last) for gap in worker.read().gaps] == [(Code.MESSAGE_TOO_BIG, 0, 0)]
    assert worker.reader.offsets == [1]


@pytest.mark.parametrize("size", [10, 100_000, 700_000])
def test_people_get_text_and_are_taken_to_have_read_it(size: int) -> None:
    world, publisher = world_of()
    reader = person(world)
    reader.send('{"id":1,"message_type":"subscribe","payload":{"pattern":"wf/*"}}')
    reader.texts()
    if size > 500_000:
        publisher.large(0, np.random.default_rng(1).bytes(size)).end()
    else:
        publisher.publish(0, bytes(size))
    publisher.publish(0, b"behind")
    world.settle()
    found = [text["offset"] for text in news(reader, world) if text["message_type"] == "message"]
    assert found == [0, 1]
    assert not fanout_of(world).held_bytes


def test_what_was_delivered_is_counted_over_consumers_that_are_gone() -> None:
    world, publisher = world_of()
    worker = world.subscriber(STREAM, "worker")
    publisher.publish(0, b"a")
    world.settle()
    worker.done(STREAM, 0, code=Code.NOT_PROCESSED)
    world.settle()
    assert fanout_of(world).delivered_messages == 2
    worker.unsubscribe(1)
    assert (fanout_of(world).delivered_messages, fanout_of(world).receivers) == (2, 0)
    assert fanout_of(world).stats() == ConsumerStats(delivered_messages=1, redelivered_messages=1)


def test_a_receiver_that_lags_gets_everything_in_order() -> None:
    world, publisher = world_of()
    worker = world.subscriber(STREAM, "worker")
    worker.transport.fill_up()
    for offset in range(5):
        publisher.publish(0, bytes([offset]))
        world.settle()
    assert worker.session.connection.lagging
    worker.done(STREAM, 0, code=Code.NOT_PROCESSED)
    world.settle()
    worker.transport.read_on()
    world.settle()
    # Announced where it stands: behind what still waited.
    assert worker.read().offsets == [0, 1, 2, 3, 4, 0]


def test_a_command_passes_what_waits_but_not_a_large_one_of_its_own_stream() -> None:
    world = World()
    publisher = world.publisher("wf/bulk", "wf/stop", kind=None)
    controller = world.publisher(STREAM, "wf/other", kind=Kind.CONTROL)
    worker = world.subscriber("wf/*", "worker")
    worker.transport.fill_up()
    publisher.publish(0, bytes(1000))
    controller.large(0, bytes(3 * CHUNK_BYTES)).end()
    world.settle()
    controller.publish(0, b"behind")
    controller.publish(1, b"first")
    world.settle()
    assert [arrival.payload for arrival in worker.read().arrivals] == [b"first"]
    worker.transport.read_on()
    world.settle()
    streams = {id: info.stream for id, info in worker.read().streams.items()}
    payloads = [bytes(a.payload[:10]) for a in worker.reader.arrivals if streams[a.stream] == STREAM]
    assert payloads == [bytes(10), b"behind"]


def test_so_many_commands_may_wait_behind_a_large_one_of_their_stream() -> None:
    bounds = DeliverySettings(outbox_limit_bytes=4000, urgent_limit_bytes=4000)
    world = World(delivery=bounds, consumers=ConsumerSettings(max_pending_commands=1000))
    controller, worker = world.publisher(STREAM, kind=Kind.CONTROL), world.subscriber(STREAM, "worker")
    worker.transport.fill_up()
    controller.large(0, bytes(3 * CHUNK_BYTES)).end()
    for _ in range(7):
        controller.publish(0, bytes(1000))
        world.settle()
    assert worker.close_code() is None
    for _ in range(3):
        controller.publish(0, bytes(1000))
        world.settle()
    assert worker.close_code() == Code.SLOW_CONSUMER


def durable_world(**settings: float) -> tuple[World, StepStore, Peer]:
    """A world whose streams are stored at once, the store, and a publisher that counts."""
    store = StepStore()
    world = World(store=store, durability=Durability.FSYNC, consumers=ConsumerSettings(**settings))  # type: ignore[arg-type]
    publisher = world.peer("publisher")
    publisher.produce(0, STREAM, kind=Kind.COLLABORATION)
    return world, store, publisher


def publish(world: World, store: StepStore, publisher: Peer, count: int) -> None:
    for _ in range(count):
        publisher.publish(0, b"task")
        store.commit()
    world.settle()


def test_of_a_durable_stream_it_is_stored_how_far_each_has_got() -> None:
    world, store, publisher = durable_world()
    worker = world.subscriber(STREAM, "worker")
    assert store.marks == {(STREAM, "worker"): Mark(0)}
    publish(world, store, publisher, 5)
    for offset in (0, 3):
        worker.done(STREAM, offset)
    world.settle()
    assert store.marks == {(STREAM, "worker"): Mark(1, ((3, 3),))}
    worker.drop()
    assert store.marks == {(STREAM, "worker"): Mark(1, ((3, 3),))}


def test_who_unsubscribes_or_stays_away_is_not_waited_for() -> None:
    world, store, publisher = durable_world(consumer_ttl_s=5.0, max_tries=1)
    leaver, loser = world.subscriber(STREAM, "leaver"), world.subscriber(STREAM, "loser")
    publish(world, store, publisher, 1)
    leaver.unsubscribe(1)
    assert store.marks[STREAM, "leaver"] is None
    loser.drop()
    world.pass_time(6.0)
    # What it leaves becomes a dead letter, and it is not forgotten before that is safe.
    world.settle()
    assert store.marks[STREAM, "loser"] is not None
    store.commit()
    world.settle()
    assert store.marks[STREAM, "loser"] is None


def test_one_that_begins_while_messages_are_being_stored_gets_them() -> None:
    world, store, publisher = durable_world()
    publish(world, store, publisher, 2)
    publisher.publish(0, b"on its way")
    worker = world.subscriber(STREAM, "worker")
    assert store.marks[STREAM, "worker"] == Mark(2)
    store.commit()
    world.settle()
    assert worker.read().offsets == [2]


def test_a_message_is_settled_when_its_dead_letter_is_safe() -> None:
    world, store, publisher = durable_world(max_tries=1)
    worker = world.subscriber(STREAM, "worker")
    publish(world, store, publisher, 2)
    worker.done(STREAM, 0, 1, code=Code.NOT_PROCESSED)
    for settled in (1, 2):
        world.settle()
        assert store.marks[STREAM, "worker"] == Mark(settled - 1)
        assert store.waiting[0].stream.name == STREAM + ".dead"
        assert store.waiting[0].stream.durability is Durability.FSYNC
        store.commit()
        world.settle()
        assert store.marks[STREAM, "worker"] == Mark(settled)


def test_a_client_that_is_back_while_its_messages_become_dead_letters_does_not_settle_them() -> None:
    world, store, publisher = durable_world(consumer_ttl_s=5.0)
    worker = world.subscriber(STREAM, "worker")
    publish(world, store, publisher, 2)
    worker.drop()
    world.pass_time(6.0)
    world.settle()
    publisher.publish(0, b"meanwhile")
    store.commit(len(store.waiting))
    assert STREAM not in [appended.stream.name for appended in store.waiting]
    worker = world.subscriber(STREAM, "worker")
    # A gateway that is killed now has to know that the second message is not safe yet.
    assert store.marks[STREAM, "worker"] == Mark(1, ((2, 2),))
    assert worker.read().streams[worker.reader.stream_id(STREAM)].since == 3
    world.settle()
    store.commit()
    world.settle()
    assert store.marks[STREAM, "worker"] == Mark(3)
    publish(world, store, publisher, 1)
    assert worker.read().offsets == [3]


def test_what_was_not_settled_is_taken_up_again() -> None:
    world, store, publisher = durable_world()
    fanout = fanout_of(world)
    publish(world, store, publisher, 4)
    entries = [appended.entry for appended in store.stored]
    marks = {ClientId("early"): Mark(1, ((2, 2),)), ClientId("late"): Mark(3), ClientId("through"): Mark(4)}
    fanout.restore(Unsettled(marks, entries[1:]))
    assert {name: one.pending for name, one in fanout.consumers.items()} == {"early": 2, "late": 1, "through": 0}
    for name, expected in (("early", [1, 3]), ("late", [3]), ("through", [])):
        worker = world.subscriber(STREAM, name)
        world.settle()
        assert worker.read().offsets == expected
        for offset in expected:
            worker.done(STREAM, offset)
    assert not fanout.held_bytes


def test_the_publisher_of_what_was_taken_up_again_is_told_of_it() -> None:
    world, store, publisher = durable_world()
    publish(world, store, publisher, 1)
    (run,) = (appended.entry for appended in store.stored)
    assert isinstance(run, Run)
    run.identity = Identity(7, 1)
    fanout_of(world).restore(Unsettled({ClientId("worker"): Mark(0)}, [run]))
    worker = world.subscriber(STREAM, "worker")
    world.settle()
    worker.done(STREAM, 0, code=Code.NOT_PROCESSED)
    world.settle()
    assert not publisher.read().notices
    for _ in range(ConsumerSettings().max_tries - 1):
        worker.done(STREAM, 0, code=Code.NOT_PROCESSED)
        world.settle()
    assert [notice.code for notice in publisher.read().notices] == [Code.DEAD_LETTER]


class BrokenTransport(MemoryTransport):
    """A transport with a fault: it raises, which no transport may."""

    def write(self, data: Buffer) -> None:
        raise OSError("a fault")


def test_a_consumer_that_fails_does_not_cost_the_others_their_turn(caplog: pytest.LogCaptureFixture) -> None:
    world, publisher = world_of()
    broken, sound = world.subscriber(STREAM, "broken"), world.subscriber(STREAM, "sound")
    broken.session.connection.transport = BrokenTransport()
    publisher.publish(0, b"a")
    world.settle()
    assert sound.read().offsets == [0]
    assert "delivery of wf/tasks to broken failed: the client may miss messages until it reconnects" in caplog.text
    sound.done(STREAM, 0)
    assert fanout_of(world).consumers[ClientId("sound")].pending == 0


def test_units_that_are_released_by_a_delivery_that_fails_are_not_held(caplog: pytest.LogCaptureFixture) -> None:
    world, publisher = world_of()
    peer = person(world)
    peer.send('{"id":1,"message_type":"subscribe","payload":{"pattern":"wf/tasks"}}')
    peer.session.connection.transport = BrokenTransport()
    publisher.publish(0, b"a")
    assert fanout_of(world).held_bytes
    world.settle()
    assert "delivery of wf/tasks to person failed" in caplog.text
    assert not fanout_of(world).held_bytes


def test_a_unit_whose_redelivery_fails_is_delivered_again_when_the_client_is_back() -> None:
    world, publisher = world_of()
    worker = world.subscriber(STREAM, "worker")
    publisher.publish(0, b"a")
    world.settle()
    worker.session.connection.transport = BrokenTransport()
    worker.done(STREAM, 0, code=Code.NOT_PROCESSED)
    world.settle()
    assert fanout_of(world).consumers[ClientId("worker")].pending == 1
    worker.drop()
    again = world.subscriber(STREAM, "worker")
    world.settle()
    assert again.read().offsets == [0]


def test_an_outcome_that_cannot_be_enacted_does_not_cost_the_others_their_turn(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    world, publisher = world_of()
    broken, sound = world.subscriber(STREAM, "broken"), world.subscriber(STREAM, "sound")
    broken.session.connection.transport = BrokenTransport()

    def fail(self: HeldUnits, consumer: Consumer, outcomes: object) -> None:
        raise OSError("a fault")

    monkeypatch.setattr(HeldUnits, "enact", fail)
    publisher.publish(0, b"a")
    world.settle()
    assert sound.read().offsets == [0]
    assert "outcomes of messages of wf/tasks at broken are lost" in caplog.text


def test_a_second_subscription_adds_its_credit_to_the_connection_that_is_served() -> None:
    world, publisher = world_of()
    worker = world.peer("worker")
    wide = worker.subscribe(STREAM, credits=Credits(5, 1000))
    narrow = worker.subscribe("wf/*", credits=Credits(1, 1000))
    for _ in range(3):
        publisher.publish(0, b"a")
    world.settle()
    assert worker.read().offsets == [0]
    worker.unsubscribe(narrow)
    world.settle()
    assert worker.read().offsets == [0, 1, 2]
    assert wide != narrow


@pytest.mark.parametrize(("away", "advice"), [(False, "acknowledge faster"), (True, "away for 12 s .* until 100 s")])
def test_a_publisher_that_is_refused_is_told_who_holds_the_messages(away: bool, advice: str) -> None:
    world = World(consumers=ConsumerSettings(limit_bytes=2000, consumer_ttl_s=100.0))
    publisher = world.publisher(STREAM, kind=Kind.COLLABORATION)
    idle, holder = world.subscriber(STREAM, "idle"), world.subscriber(STREAM, "holder")
    if away:
        holder.drop()
    for offset in range(2):
        publisher.publish(0, bytes(1000))
        world.settle()
        idle.done(STREAM, offset)
    world.pass_time(12.0)
    publisher.publish(0, bytes(1000))
    (error,) = publisher.read().errors
    assert error.code == Code.QUEUE_FULL
    assert re.search(f"limit_bytes=2000; most wait for holder, 2 of them, .*{advice}", error.message)


def test_a_message_that_is_done_does_not_try_all_streams_that_wait_for_credit(monkeypatch: pytest.MonkeyPatch) -> None:
    world = World()
    streams = [f"wf/task-{number}" for number in range(100)]
    publisher = world.publisher(*streams, kind=Kind.COLLABORATION)
    worker = world.peer("worker")
    worker.subscribe("wf/*", credits=Credits(4, 1000))
    world.settle()
    for alias in range(len(streams)):
        publisher.publish(alias, b"task")
    world.settle()
    pumped: list[Consumer] = []
    pump = Consumer.pump

    def counted(consumer: Consumer, now_ns: int, most: int) -> int:
        pumped.append(consumer)
        return pump(consumer, now_ns, most)

    monkeypatch.setattr(Consumer, "pump", counted)
    done: set[str] = set()
    while len(done) < len(streams):
        came = {worker.reader.streams[arrival.stream].stream for arrival in worker.read().arrivals} - done
        assert came, "some wait for credit that is there"
        for stream in sorted(came):
            worker.done(stream, 0)
            worker.grant(1, 1, 4)
        done |= came
        world.settle()
    assert len(pumped) < 8 * len(streams)


def test_very_many_consumers_are_served_some_at_a_time() -> None:
    world = World()
    workers = [world.peer(f"worker-{number}") for number in range(3 * PUMPED_TOGETHER)]
    publisher = world.publisher("wf/tasks", kind=Kind.COLLABORATION)
    for worker in workers:
        worker.subscribe("wf/tasks")
    world.settle()
    world.take_one_step_a_turn()
    publisher.publish(0, b"task")
    served = [0]
    while world.clock.turn():
        served.append(sum(bool(worker.read().arrivals) for worker in workers))
        assert served[-1] - served[-2] <= 2 * PUMPED_TOGETHER
    assert served[-1] == len(workers)


def test_very_many_messages_to_a_consumer_are_sent_some_at_a_time() -> None:
    world = World()
    publisher = world.publisher("wf/tasks", kind=Kind.COLLABORATION)
    worker = world.peer("worker")
    worker.subscribe("wf/tasks", credits=Credits(1, 1000))
    count = 5 * SENT_TOGETHER
    for _ in range(count):
        publisher.publish(0, b"task")
    world.settle()
    assert worker.read().offsets == [0]
    world.take_one_step_a_turn()
    worker.grant(1, 2 * count, 10**6)
    assert most_in_one_turn(world, worker) <= 2 * SENT_TOGETHER
    assert worker.reader.offsets == [*range(count)]
    consumer = fanout_of(world).consumers[worker.session.peer.client_id]
    worker.done("wf/tasks", 0, count - 1, Code.NOT_PROCESSED)
    assert consumer.redelivered == 0
    assert consumer.pending == count
    assert most_in_one_turn(world, worker) <= 2 * SENT_TOGETHER
    assert worker.reader.offsets == [*range(count)] * 2
    assert consumer.first_pending == 0
    worker.done("wf/tasks", 0, count - 1)
    left = [consumer.pending]
    while world.clock.turn():
        left.append(consumer.pending)
    assert max(before - after for before, after in pairwise([count, *left])) <= 2 * ANSWERED_TOGETHER
    assert left[-1] == 0
    assert not fanout_of(world).held_bytes


def most_in_one_turn(world: World, worker: Peer) -> int:
    """Have everything sent; return the largest number of messages that came in one turn."""
    counts = [len(worker.read().offsets)]
    while world.clock.turn():
        counts.append(len(worker.read().offsets))
    return max(later - earlier for earlier, later in pairwise(counts))


@pytest.mark.parametrize("failing", [1, 2])
def test_consumers_do_not_wait_for_ever_because_the_end_of_a_step_fails(
    failing: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    world, publisher = world_of()
    workers = [world.subscriber(STREAM, f"worker-{number}") for number in range(3 * PUMPED_TOGETHER)]
    world.settle()
    ends = 0
    end_turn = HeldUnits.end_turn

    def fail(units: HeldUnits) -> None:
        nonlocal ends
        ends += 1
        if ends == failing:
            raise OSError("a fault")
        end_turn(units)

    monkeypatch.setattr(HeldUnits, "end_turn", fail)
    publisher.publish(0, b"task")
    with suppress(OSError):  # of the first step, which is taken at the end of the turn
        world.settle()
    world.settle()
    assert all(worker.read().offsets == [0] for worker in workers)
    assert world.core.hub.idle


def test_messages_to_consumers_take_the_time_of_those_who_publish_them(monkeypatch: pytest.MonkeyPatch) -> None:
    world = World()
    workers = [world.peer(f"worker-{number}") for number in range(16)]
    streams = [f"wf/tasks{number}" for number in range(50)]
    publisher = world.publisher(*streams, kind=Kind.COLLABORATION)
    for worker in workers:
        worker.subscribe("wf/*")
    world.settle()
    puts = 0
    put = Consumer.put

    def counted(consumer: Consumer, units: Sequence[AckUnit]) -> None:
        nonlocal puts
        puts += 1
        world.clock.now_ns += round(INPUT_S * 1e9 / 20)
        put(consumer, units)

    monkeypatch.setattr(Consumer, "put", counted)
    publisher.send(*[publisher.message(alias, b"task") for alias in range(len(streams))])
    assert puts <= 20 + 3 * (MANY_OWED + len(workers))
    world.settle()
    assert puts == len(streams) * len(workers)
    assert [len(worker.read().arrivals) for worker in workers] == [len(streams)] * len(workers)
