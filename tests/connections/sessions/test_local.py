"""LocalConnection: code of the same process publishes like any client, with the same answers."""

from __future__ import annotations

import gc
import logging
import tracemalloc
import weakref

import numpy as np
import pytest

from gateway.connections.consumers.settings import ConsumerSettings
from gateway.connections.sessions import local as local_module
from gateway.connections.sessions.local import LocalConnection
from gateway.connections.sessions.publication import PublishOutcome, PublishReceipt
from gateway.errors import Code, ConnectionClosed, InvalidArgument, RequestRefused
from gateway.ids import ClientId
from gateway.protocol.limits import Limits
from gateway.protocol.messages import ClientType, Kind
from gateway.protocol.tensors import TensorSpec
from gateway.protocol.wire import Buffer
from tests.connections.frames import CHUNK_BYTES
from tests.connections.memory import World

LARGE = bytes(range(256)) * (3 * CHUNK_BYTES // 256) + b"tail"


def world_of_small_chunks(**settings: object) -> World:
    return World(limits=Limits(chunk_bytes=CHUNK_BYTES, max_message_bytes=1 << 20), **settings)  # type: ignore[arg-type]


def join(world: World, client_id: str | None = None) -> LocalConnection:
    return LocalConnection(
        world.core, client_type=ClientType.ADMIN_PANEL, client_id=None if client_id is None else ClientId(client_id)
    )


def octets(size: int) -> tuple[TensorSpec]:
    return (TensorSpec("", np.dtype(np.uint8), (size,)),)


def publish(
    local: LocalConnection, payload: bytes, stream: str = "wf/a", kind: Kind | None = None
) -> PublishOutcome | None:
    """The outcome, if there is one at once."""
    outcomes: list[PublishOutcome] = []
    local.publish(stream, octets(len(payload)), [payload], outcomes.append, kind=kind)
    assert len(outcomes) <= 1
    return outcomes[0] if outcomes else None


def code_of(outcome: PublishOutcome | None) -> int:
    assert isinstance(outcome, RequestRefused | ConnectionClosed)
    return outcome.code


@pytest.mark.parametrize("payload", [b"", b"small", LARGE], ids=["empty", "small", "large"])
def test_a_message_reaches_subscribers_and_is_acknowledged(payload: bytes) -> None:
    world = world_of_small_chunks()
    first, second = world.subscriber("wf/a", "first"), world.subscriber("wf/*", "second")
    local = join(world, "planner")
    receipt = publish(local, payload)
    world.settle()
    assert isinstance(receipt, PublishReceipt)
    assert (receipt.stream, receipt.kind, receipt.offset) == ("wf/a", Kind.STATE, 0)
    for subscriber in (first, second):
        (arrival,) = subscriber.read().arrivals
        assert (arrival.payload, arrival.publisher, arrival.large) == (payload, local.peer, len(payload) > CHUNK_BYTES)


def test_receipts_tell_the_epoch_and_count_the_offsets() -> None:
    world = world_of_small_chunks()
    local = join(world)
    receipts = [publish(local, payload) for payload in (b"1", LARGE, b"3")]
    stream = next(iter(world.core.streams))
    assert [(r.offset, r.epoch) for r in receipts if isinstance(r, PublishReceipt)] == [
        (n, stream.epoch) for n in range(3)
    ]


def test_headers_and_names_travel() -> None:
    world = world_of_small_chunks()
    subscriber = world.subscriber("wf/a")
    local = join(world)
    specs = (TensorSpec("w", np.dtype(np.uint8), (1,)), TensorSpec("b", np.dtype("<f4"), (1,)))
    local.publish("wf/a", specs, [b"w" + bytes(7), b"bbbb"], lambda outcome: None, headers={"step": 7})
    world.settle()
    (arrival,) = subscriber.read().arrivals
    assert (arrival.payload, arrival.headers) == (b"w" + bytes(7) + b"bbbb", (("step", 7),))


def test_chunks_are_passed_on_before_the_last_one_is_there() -> None:
    world = world_of_small_chunks()
    subscriber = world.subscriber("wf/a")
    local = join(world)
    publication = local.begin("wf/a", octets(len(LARGE)), lambda outcome: None)
    publication.write(LARGE[: CHUNK_BYTES + 1])
    world.settle()
    assert subscriber.read().received_chunks == 1
    publication.abort()
    world.settle()
    assert [abort.code for abort in subscriber.read().aborts] == [Code.TRANSFER_ABORTED]


def test_after_an_abort_the_stream_goes_on_with_the_same_alias() -> None:
    world = world_of_small_chunks()
    local = join(world)
    local.begin("wf/a", octets(len(LARGE)), lambda outcome: None).abort()
    local.begin("wf/a", octets(1), lambda outcome: None).abort()
    receipt = publish(local, b"whole")
    assert isinstance(receipt, PublishReceipt)
    assert receipt.offset == 0
    (session,) = world.core.pool
    assert len(session.bindings) == 1
    assert not session.transfers


def test_two_messages_to_one_stream_may_be_under_way() -> None:
    world = world_of_small_chunks()
    subscriber = world.subscriber("wf/a")
    local = join(world)
    outcomes: list[PublishOutcome] = []
    publications = [local.begin("wf/a", octets(len(LARGE)), outcomes.append, kind=Kind.EVENT) for _ in range(2)]
    for publication in publications:
        publication.write(LARGE)
    for publication in reversed(publications):
        publication.end()
    world.settle()
    assert [outcome.offset for outcome in outcomes if isinstance(outcome, PublishReceipt)] == [0, 1]
    assert [arrival.payload for arrival in subscriber.read().arrivals] == [LARGE, LARGE]


# What is refused.


@pytest.mark.parametrize("payload", [b"small", LARGE])
def test_another_kind_is_refused(payload: bytes) -> None:
    world = world_of_small_chunks()
    local = join(world)
    publish(local, b"x", kind=Kind.EVENT)
    assert code_of(publish(local, payload, kind=Kind.STATE)) == Code.KIND_MISMATCH
    assert isinstance(publish(local, payload, kind=Kind.EVENT), PublishReceipt)


def test_a_message_above_the_limit_is_refused_at_its_head() -> None:
    world = world_of_small_chunks()
    local = join(world)
    outcomes: list[PublishOutcome] = []
    publication = local.begin("wf/a", octets((1 << 20) + 1), outcomes.append)
    assert code_of(publication.outcome) == Code.MESSAGE_TOO_BIG
    assert outcomes == [publication.outcome]


def test_a_collaboration_stream_whose_receivers_are_far_behind_refuses() -> None:
    world = world_of_small_chunks(consumers=ConsumerSettings(limit_bytes=1000))
    subscriber = world.subscriber("wf/a")
    local = join(world)
    for payload in (b"first", bytes(200), b"its turn"):
        publish(local, payload, kind=Kind.COLLABORATION)
    world.settle()
    for payload in (b"small", LARGE):
        assert code_of(publish(local, payload, kind=Kind.COLLABORATION)) == Code.QUEUE_FULL
    subscriber.done("wf/a", 0, 1)
    assert isinstance(publish(local, LARGE, kind=Kind.COLLABORATION), PublishReceipt)


def test_a_refused_stream_is_asked_for_again() -> None:
    world = World(limits=Limits(max_streams=1))
    local = join(world)
    publish(local, b"x", "wf/a")
    for _ in range(2):
        assert code_of(publish(local, b"x", "wf/b")) == Code.LIMIT_EXCEEDED


@pytest.mark.parametrize("name", ["", "wf", "agent:planner", "wf/*", "wf/\udcff"])
def test_a_name_that_is_none_is_refused(name: str) -> None:
    with pytest.raises(RequestRefused) as caught:
        join(World()).begin(name, octets(1), lambda outcome: None)
    assert caught.value.code == Code.INVALID_NAME


def test_what_cannot_travel_is_told_to_the_caller() -> None:
    with pytest.raises(InvalidArgument, match="dimensions"):
        join(World()).begin("wf/a", (TensorSpec("", np.dtype(np.uint8), (1,) * 33),), lambda outcome: None)


# How it ends.


def test_closing_aborts_what_is_under_way_and_leaves_nothing() -> None:
    world = world_of_small_chunks()
    subscriber = world.subscriber("wf/a")
    local = join(world)
    outcomes: list[PublishOutcome] = []
    local.begin("wf/a", octets(len(LARGE)), outcomes.append).write(LARGE)
    local.close()
    local.close()
    world.settle()
    assert local.closed
    assert [code_of(outcome) for outcome in outcomes] == [Code.NORMAL]
    assert len(subscriber.read().aborts) == 1
    assert len(world.core.pool) == 1
    with pytest.raises(ConnectionClosed):
        local.begin("wf/a", octets(1), outcomes.append)


def test_the_gateway_closes_it_like_any_other() -> None:
    world = world_of_small_chunks()
    local = join(world)
    outcomes: list[PublishOutcome] = []
    publication = local.begin("wf/a", octets(len(LARGE)), outcomes.append)
    world.core.go_away("stopping", 1.0)
    publication.write(LARGE[:5000])
    assert code_of(publish(local, b"x", "wf/b")) == Code.DRAINING
    world.core.close_all(Code.GOING_AWAY, "stopping")
    world.settle()
    assert [code_of(outcome) for outcome in outcomes] == [Code.GOING_AWAY]
    assert len(world.core.pool) == 0
    publication.write(LARGE[5000:])
    publication.end()
    local.close()


def test_what_is_under_way_is_finished_while_the_gateway_drains() -> None:
    world = world_of_small_chunks()
    local = join(world)
    outcomes: list[PublishOutcome] = []
    publication = local.begin("wf/a", octets(len(LARGE)), outcomes.append)
    world.core.go_away("stopping", 1.0)
    assert not world.core.drained
    publication.write(LARGE)
    publication.end()
    assert [type(outcome) for outcome in outcomes] == [PublishReceipt]
    assert world.core.drained


def test_a_full_gateway_says_so() -> None:
    world = World(max_connections=1)
    join(world)
    with pytest.raises(ConnectionClosed, match="max_connections=1") as caught:
        join(world)
    assert caught.value.code == Code.TOO_MANY_CONNECTIONS
    world.settle()
    assert len(world.core.pool) == 1


def test_it_is_alive_however_long_it_is_silent() -> None:
    world = World()
    local = join(world)
    for _ in range(6000):
        world.clock.advance(world.core.heartbeat.tick_s)
        for _ in world.core.heartbeat.sweep():
            pass
    assert not local.closed


def test_the_gateway_can_ask_for_a_pause() -> None:
    world = World()
    local = join(world)
    (session,) = world.core.pool
    calls: list[str] = []
    local.when_ready(lambda: calls.append("at once"))
    session.connection.transport.pause_reading()
    local.when_ready(lambda: calls.append("later"))
    assert (local.paused, calls) == (True, ["at once"])
    session.connection.transport.resume_reading()
    assert (local.paused, calls) == (False, ["at once", "later"])


def test_who_waits_for_a_pause_to_end_is_told_when_the_connection_does() -> None:
    world = World()
    local = join(world)
    (session,) = world.core.pool
    calls: list[str] = []
    session.connection.transport.pause_reading()
    local.when_ready(lambda: calls.append("over"))
    local.close()
    assert calls == ["over"]


def test_the_client_is_known_by_its_name() -> None:
    world = World()
    local = join(world, "planner")
    (session,) = world.core.pool
    assert (local.client_id, local.peer) == ("planner", session.peer.id)
    assert join(world).client_id.startswith("admin_panel-")


def test_a_closed_connection_is_forgotten() -> None:
    world = World()
    local = join(world)
    publish(local, b"x")
    local.close()
    gone = weakref.ref(local)
    del local
    gc.collect()
    assert gone() is None


def test_a_failure_of_the_connection_is_not_taken_for_a_lost_peer(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(connection: LocalConnection, data: Buffer) -> None:
        raise RuntimeError("broken")

    world = World()
    local = join(world)
    monkeypatch.setattr(LocalConnection, "received", fail)
    with caplog.at_level(logging.ERROR):
        local._session.connection.transport.raw_write(b"anything")
    (record,) = caplog.records
    assert record.exc_info is not None
    assert str(record.exc_info[1]) == "broken"


def test_more_streams_than_aliases_are_published_to(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(local_module, "MANY_ALIASES", 3)
    world = World(limits=Limits(max_aliases=3))
    local = join(world)
    outcomes = [publish(local, b"x", f"run-{stream}/loss") for _ in range(2) for stream in range(5)]
    assert [outcome.offset for outcome in outcomes if isinstance(outcome, PublishReceipt)] == [0] * 5 + [1] * 5
    local.close()


def test_streams_whose_aliases_others_have_got_take_no_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(local_module, "MANY_ALIASES", 3)
    local = join(World())
    tracemalloc.start()
    try:
        for run in range(200):
            publish(local, b"x", f"run-{run}/loss")
        kept = tracemalloc.take_snapshot().filter_traces([tracemalloc.Filter(True, local_module.__file__)])
    finally:
        tracemalloc.stop()
    assert sum([found.count for found in kept.statistics("filename")]) < 300, "less than two objects a stream"
    local.close()
