"""Snapshots: what monitoring is told agrees with what happened, and does not go back."""

from __future__ import annotations

import dataclasses
from collections.abc import Generator

import numpy as np
import pytest

from gateway.connections.consumers.settings import ConsumerSettings
from gateway.connections.consumers.stats import ConsumerStats
from gateway.connections.outbound.frame_writer import DeliverySettings
from gateway.connections.snapshots import (
    MAX_LISTED_GROUPS,
    STEP,
    CoreSnapshot,
    EncodingInUse,
    connection_snapshot,
    core_snapshot,
    stream_snapshot,
)
from gateway.errors import Code
from gateway.protocol.durability import Durability
from gateway.protocol.encoding import Chain
from gateway.protocol.limits import Limits
from gateway.protocol.messages import ClientType, Kind
from gateway.protocol.state import State
from gateway.protocol.tensors import TensorSpec
from gateway.streams.history import KEEP_NOTHING
from tests.connections.asking import ask, asker_of, member
from tests.connections.frames import CHUNK_BYTES
from tests.connections.memory import FixedPolicy, World
from tests.connections.step_store import StepStore

LARGE = bytes(3 * CHUNK_BYTES)


def count(steps: Generator[None, None, CoreSnapshot]) -> CoreSnapshot:
    result: CoreSnapshot | None = None

    def rest() -> Generator[None, None, None]:
        nonlocal result
        result = yield from steps

    for _ in rest():
        pass
    assert result is not None
    return result


def newest_of(world: World) -> tuple[TensorSpec, ...] | None:
    (stream,) = world.core.streams
    return stream_snapshot(world.core, stream).newest


def test_a_connection() -> None:
    world = World()
    publisher = world.publisher("wf/a", "wf/b", kind=Kind.EVENT)
    publisher.subscribe("wf/*")
    publisher.large(0, LARGE).chunk()
    world.settle()
    snapshot = connection_snapshot(publisher.session)
    assert (snapshot.peer, snapshot.client_id, snapshot.client_type) == (1, "publisher", ClientType.AGENT)
    assert (snapshot.state, snapshot.subprotocol) == (State.OPEN, world.binary.name)
    assert (snapshot.subscriptions, snapshot.aliases, snapshot.transfers) == (1, 2, 1)
    assert (snapshot.lagging, snapshot.conflated, snapshot.dropped) == (False, 0, 0)


def test_a_connection_that_lags() -> None:
    world = World()
    publisher = world.publisher("wf/a", kind=Kind.STATE)
    subscriber = world.subscriber("wf/a")
    subscriber.transport.fill_up()
    for payload in (b"one", b"two", b"three"):
        publisher.publish(0, payload)
        world.settle()
    snapshot = connection_snapshot(subscriber.session)
    assert (snapshot.lagging, snapshot.conflated) == (True, 2)
    assert snapshot.waiting_bytes > subscriber.transport.high_water


def test_a_stream() -> None:
    world = World()
    publisher = world.publisher("wf/a", kind=Kind.STATE)
    world.subscriber("wf/a", "one")
    world.subscriber("wf/*", "two", codecs=["lz4"])
    publisher.publish(0, b"abc")
    (stream,) = world.core.streams
    snapshot = stream_snapshot(world.core, stream)
    assert (snapshot.name, snapshot.kind, snapshot.epoch) == ("wf/a", Kind.STATE, stream.epoch)
    assert (snapshot.next_offset, snapshot.subscribers) == (1, 2)
    assert snapshot.newest == (TensorSpec("", np.dtype(np.uint8), (3,)),)
    with pytest.raises(dataclasses.FrozenInstanceError):
        snapshot.subscribers = 3  # type: ignore[misc]


def test_the_newest_message_of_a_stream_whatever_its_form() -> None:
    world = World(limits=Limits(chunk_bytes=CHUNK_BYTES))
    publisher = world.publisher("wf/a", kind=Kind.STATE)
    assert newest_of(world) is None
    publisher.send(publisher.batch(0, [b"one", b"two"]))
    assert newest_of(world) == (TensorSpec("", np.dtype(np.uint8), (3,)),)
    publisher.large(0, LARGE).end()
    assert newest_of(world) == (TensorSpec("", np.dtype(np.uint8), (len(LARGE),)),)
    publisher.publish(0, bytes(20_000))
    assert newest_of(world) == (TensorSpec("", np.dtype(np.uint8), (20_000,)),)
    publisher.send(*[publisher.message(0, bytes(size)) for size in (4, 4, 4)])
    assert newest_of(world) == (TensorSpec("", np.dtype(np.uint8), (4,)),)


def test_other_kinds_keep_no_message() -> None:
    world = World()
    world.publisher("wf/a", kind=Kind.EVENT).publish(0, b"x")
    assert newest_of(world) is None


def test_the_whole_gateway() -> None:
    world = World()
    world.stranger()
    publisher = world.publisher("wf/a", "wf/b", kind=Kind.EVENT)
    for name in ("one", "two"):
        world.subscriber("wf/*", name)
    publisher.publish(0, b"abc")
    publisher.large(1, LARGE).end()
    publisher.large(1, LARGE).chunk()
    world.settle()
    snapshot = count(core_snapshot(world.core))
    assert not snapshot.draining
    assert snapshot.greeting == 1
    assert snapshot.connections == {client_type: 3 * (client_type is ClientType.AGENT) for client_type in ClientType}
    event = snapshot.kinds[Kind.EVENT]
    assert (event.streams, event.published_messages, event.delivered_messages) == (2, 2, 4)
    assert event.published_bytes >= len(LARGE) + 3
    assert snapshot.kinds[Kind.STATE].streams == 0
    assert (snapshot.subscriptions, snapshot.transfers, snapshot.lagging) == (2, 1, 0)


def test_what_waits_to_be_stored_and_what_is_kept_is_seen() -> None:
    store = StepStore()
    world = World(store=store, durability=Durability.OS)
    publisher = world.publisher("wf/event")
    publisher.publish(0, b"x" * 100)
    before = count(core_snapshot(world.core))
    store.commit()
    after = count(core_snapshot(world.core))
    assert before.store_waiting_bytes == after.history_bytes > 100
    assert before.history_bytes == after.store_waiting_bytes == 0
    (stream,) = world.core.streams
    snapshot = stream_snapshot(world.core, stream)
    assert (snapshot.durability, snapshot.first_offset, snapshot.next_offset) == (Durability.OS, 0, 1)


def test_counters_outlive_connections() -> None:
    world = World(delivery=DeliverySettings(outbox_limit_bytes=1000), history=KEEP_NOTHING)
    publisher = world.peer("publisher")
    publisher.open(0, "wf/state", Kind.STATE)
    publisher.open(1, "wf/event", Kind.EVENT)
    subscriber = world.subscriber("wf/*")
    publisher.publish(0, b"first")
    world.settle()
    subscriber.transport.fill_up()
    for alias in (1, 1, 1, 1):
        publisher.publish(alias, bytes(500))
        world.settle()
    subscriber.transport.empty()
    subscriber.transport.fill_up()
    for alias in (0, 0, 1, 1, 1):
        publisher.publish(alias, bytes(500))
        world.settle()
    before = count(core_snapshot(world.core))
    assert before.lagging == 1
    assert before.outbox_bytes > 0
    assert before.transport_bytes > 0
    assert before.conflated_messages == 1
    assert before.dropped_messages > 0
    subscriber.drop()
    after = count(core_snapshot(world.core))
    assert (after.lagging, after.outbox_bytes, after.transport_bytes) == (0, 0, 0)
    assert after.conflated_messages == before.conflated_messages
    assert after.dropped_messages == before.dropped_messages
    assert after.kinds[Kind.STATE].delivered_messages == before.kinds[Kind.STATE].delivered_messages > 0


def test_a_connection_that_leaves_while_it_is_counted_is_counted_once() -> None:
    world = World(max_connections=2 * STEP)
    publisher = world.publisher("wf/a", kind=Kind.STATE)
    for number in range(STEP):
        world.peer(f"idle-{number}")
    subscriber = world.subscriber("wf/a")
    subscriber.transport.fill_up()
    for _ in range(3):
        publisher.publish(0, b"x")
        world.settle()
    steps = core_snapshot(world.core)
    next(steps)
    subscriber.drop()
    assert count(steps).conflated_messages == 2
    assert count(core_snapshot(world.core)).conflated_messages == 2


def test_the_loop_has_a_chance_in_between() -> None:
    world = World(max_connections=3 * STEP)
    for number in range(2 * STEP):
        world.peer(f"peer-{number}")
    steps = core_snapshot(world.core)
    assert sum(1 for _ in steps) == 2


def test_requests_are_counted_at_both_ends() -> None:
    world = World()
    worker, asker = member(world, "worker"), asker_of(world)
    for correlation in (1, 2):
        ask(asker, correlation, bytes(100))
    assert connection_snapshot(asker.session).asked == 2
    snapshot = connection_snapshot(worker.session)
    assert (snapshot.asked, snapshot.owed, snapshot.groups) == (0, 2, ("group:workers",))
    whole = count(core_snapshot(world.core))
    assert whole.requests == 2
    assert whole.kept_request_bytes == asker.session.requests.kept_bytes > 200


def test_consumers_that_are_there_and_those_that_are_waited_for() -> None:
    world = World(consumers=ConsumerSettings(max_tries=2))
    publisher = world.publisher("wf/tasks", kind=Kind.COLLABORATION)
    world.publisher("wf/metrics")
    here, away = world.subscriber("wf/*", "here"), world.subscriber("wf/tasks", "away")
    away.drop()
    for payload in (b"a", b"b", b"c"):
        publisher.publish(0, payload)
    world.settle()
    here.done("wf/tasks", 0)
    for _ in range(2):
        here.done("wf/tasks", 1, code=Code.NOT_PROCESSED)
        world.settle()
    tasks, metrics = list(world.core.streams)[:2]
    snapshot = stream_snapshot(world.core, tasks)
    assert (snapshot.subscribers, snapshot.consumers, snapshot.pending) == (1, 2, 1 + 3)
    assert (snapshot.delivered_messages, snapshot.unacknowledged_bytes > 0) == (4, True)
    snapshot = stream_snapshot(world.core, metrics)
    assert (snapshot.subscribers, snapshot.consumers, snapshot.pending) == (1, 0, 0)
    assert (snapshot.delivered_messages, snapshot.unacknowledged_bytes) == (0, 0)
    consumers = count(core_snapshot(world.core)).consumers
    assert (consumers.present, consumers.absent, consumers.pending) == (1, 1, 4)
    assert consumers.held_bytes == sum(fanout.held_bytes for fanout in world.core.hub.fanouts.acknowledged) > 0
    assert (consumers.redelivered_messages, consumers.dead_lettered_messages) == (1, 1)


def test_counters_outlive_consumers() -> None:
    world = World(consumers=ConsumerSettings(consumer_ttl_s=100.0))
    publisher = world.publisher("wf/tasks", kind=Kind.COLLABORATION)
    worker = world.subscriber("wf/tasks", "worker")
    publisher.publish(0, b"a")
    world.settle()
    worker.done("wf/tasks", 0, code=Code.NOT_PROCESSED)
    world.settle()
    worker.drop()
    world.pass_time(101.0)
    world.settle()
    consumers = count(core_snapshot(world.core)).consumers
    assert consumers == ConsumerStats(delivered_messages=1, redelivered_messages=1, dead_lettered_messages=1)


def test_the_loop_has_a_chance_between_streams_of_many_consumers() -> None:
    world = World(max_connections=STEP)
    for number in range(4):
        world.publisher(f"wf/{number}", kind=Kind.COLLABORATION)
    for number in range(STEP // 2):
        world.subscriber("wf/*", f"worker-{number}")
    assert sum(1 for _ in core_snapshot(world.core)) == 2


def test_of_many_groups_the_first_are_named() -> None:
    world = World()
    member = world.peer("member")
    for number in range(MAX_LISTED_GROUPS + 5):
        member.subscribe(f"group:g{number:03}")
    listed = connection_snapshot(member.session).groups
    assert (len(listed), listed[0]) == (MAX_LISTED_GROUPS, "group:g000")


def test_encodings_of_a_stream_by_the_chain() -> None:
    lz4 = Chain(codec="lz4")
    world = World(policy=FixedPolicy(lz4))
    world.publisher("wf/a", kind=Kind.STATE)
    for name in ("one", "two"):
        world.subscriber("wf/a", name, codecs=["lz4"])
    world.subscriber("wf/a", "plain")
    (stream,) = world.core.streams
    assert stream_snapshot(world.core, stream).encodings == (EncodingInUse(lz4, None, 2),)
