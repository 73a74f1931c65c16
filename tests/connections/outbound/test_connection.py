"""Connection: urgent messages and their bound, lagging and catching up."""

from __future__ import annotations

from typing import cast

from gateway.connections.outbound.frame_writer import DeliverySettings
from gateway.errors import Code, RequestRefused
from gateway.protocol.messages import Kind
from gateway.protocol.signals import Ping, Pong
from gateway.streams.run import Run
from tests.connections.frames import message_frame
from tests.connections.memory import World


def test_an_answer_passes_what_waits() -> None:
    world = World()
    publisher = world.publisher("wf/a")
    subscriber = world.subscriber("wf/a")
    subscriber.transport.fill_up()
    publisher.publish(0, bytes(5000))
    world.settle()
    subscriber.send(Ping(1).write())
    pong = subscriber.read().log[-1]
    assert isinstance(pong, Pong)
    assert not subscriber.reader.arrivals
    subscriber.transport.read_on()
    assert subscriber.read().offsets == [0]


def test_control_messages_pass_what_waits_in_order() -> None:
    world = World()
    publisher = world.publisher("wf/event")
    publisher.open(1, "wf/control", Kind.CONTROL)
    subscriber = world.subscriber("wf/*")
    subscriber.transport.fill_up()
    for _ in range(3):
        publisher.publish(0, bytes(5000))
        publisher.publish(1, b"stop")
        world.settle()
    assert [arrival.payload for arrival in subscriber.read().arrivals] == [b"stop"] * 3
    subscriber.transport.read_on()
    assert len(subscriber.read().arrivals) == 6


def test_whoever_does_not_read_its_answers_is_read_no_more() -> None:
    world = World(delivery=DeliverySettings(urgent_limit_bytes=40_000))
    peer = world.peer()
    peer.transport.fill_up()
    refused = 0
    while peer.transport.reading and refused < 10_000:
        peer.send(message_frame(7, 1, b"x"))
        refused += 1
    assert refused < 10_000
    assert peer.close_code() is None
    peer.transport.read_on()
    peer.transport.pause_reading()
    assert set(peer.read().codes) == {Code.UNKNOWN_STREAM}


def test_whoever_lets_too_many_urgent_messages_pile_up_is_closed() -> None:
    world = World(delivery=DeliverySettings(urgent_limit_bytes=40_000))
    publisher = world.publisher("wf/control", kind=Kind.CONTROL)
    stuck, other = world.subscriber("wf/*", "stuck"), world.subscriber("wf/*", "other")
    stuck.transport.fill_up()
    for _ in range(50):
        publisher.publish(0, bytes(1000))
        world.settle()
    assert stuck.close_code() == Code.SLOW_CONSUMER
    assert not stuck.transport.late
    assert stuck.transport.reading, "it has to answer the close"
    assert other.read().offsets == list(range(50))
    publisher.publish(0, b"one more")
    world.settle()
    assert len(other.read().arrivals) == 51


def test_a_second_close_does_nothing() -> None:
    peer = World().peer()
    peer.session.connection.close(Code.NORMAL, "first")
    peer.session.connection.close(Code.INTERNAL_ERROR, "second")
    assert peer.transport.closed == (Code.NORMAL, "first")


def test_a_closed_connection_takes_everything_and_sends_nothing() -> None:
    world = World()
    peer = world.peer()
    connection = peer.session.connection
    peer.forget()
    connection.close(Code.NORMAL, "done")
    connection.pause_writing()
    peer.session.refuse(RequestRefused(Code.INTERNAL, "late"))
    connection.resume_writing()
    connection.transport.ping()
    connection.transport.writelines([b"late"])
    assert not peer.transport.writes
    assert not peer.transport.late
    assert not connection.lagging
    assert not connection.transport.waiting_bytes()


def test_what_waits_for_a_lagging_receiver_keeps_no_larger_websocket_message_alive() -> None:
    """One small message for it, in a WebSocket message full of others."""
    world = World()
    publisher = world.publisher("wf/a", "wf/b")
    subscriber = world.subscriber("wf/a")
    subscriber.transport.fill_up()
    publisher.publish(0, b"the same size")
    publisher.publish(1, b"the same size")
    others = [publisher.message(1, b"the same size") for _ in range(1000)]
    publisher.send(publisher.message(0, b"the same size"), *others)
    world.settle()
    outbox = subscriber.session.connection.outbox
    assert outbox is not None
    entries = [entry for lane in outbox._queues.values() for entry in lane.entries]
    runs = [entry for entry in entries if isinstance(entry, Run)]
    assert len(runs) == 2
    for run in runs:
        for buffer in run.buffers:
            assert memoryview(buffer).nbytes < 1000
            assert not isinstance(buffer, memoryview) or memoryview(cast(bytes, buffer.obj)).nbytes < 1000
    subscriber.transport.read_on()
    assert len(subscriber.read().arrivals) == 2
