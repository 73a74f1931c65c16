"""Stream closing: publishes that are under way get their answers in the order in which they were sent."""

from __future__ import annotations

from gateway.errors import Code, RequestRefused
from gateway.ids import StreamName
from gateway.protocol.durability import Durability
from gateway.protocol.messages import EndReason
from tests.connections.frames import CHUNK_BYTES
from tests.connections.memory import World
from tests.connections.step_store import StepStore

A = StreamName("wf/a")


def test_what_waits_for_the_store_is_refused_before_the_upload_behind_it() -> None:
    store = StepStore()
    world = World(store=store, durability=Durability.OS)
    publisher = world.peer("publisher")
    publisher.produce(0, A)
    publisher.publish(0, b"one", ack=True)
    publisher.publish(0, b"two", ack=True)
    publisher.large(0, bytes(2 * CHUNK_BYTES), ack=True).chunk()
    publisher.forget()
    stream = world.core.streams.get(A)
    assert stream is not None
    world.core.hub.end(stream, EndReason.DELETED)
    answers = publisher.read().errors
    assert [answer.sequence for answer in answers] == [1, 2, 3, None]
    assert {answer.code for answer in answers} == {Code.STREAM_ENDED}
    assert stream.next_offset == 0
    assert len(store.discarded) == 1
    assert world.core.gate.idle
    assert world.core.producers.find(stream, 7) is None
    store.commit(2)
    world.settle()
    assert not publisher.read().acks


def test_a_repeated_message_that_waits_behind_the_first_is_refused_as_well() -> None:
    store = StepStore()
    world = World(store=store, durability=Durability.OS)
    first, second = world.peer("first"), world.peer("second")
    first.produce(0, A)
    first.publish(0, b"x", ack=True)
    second.produce(0, A)
    second.publish(0, b"x", ack=True)
    stream = world.core.streams.get(A)
    assert stream is not None
    world.core.hub.end(stream, EndReason.DELETED)
    assert [error.sequence for error in second.read().errors] == [1, None]


def test_a_connection_that_is_held_for_the_store_is_read_again() -> None:
    store = StepStore()
    world = World(store=store, durability=Durability.OS)
    publisher = world.publisher(A)
    store.extra_bytes = 2**30 // 8
    publisher.publish(0, b"x", ack=True)
    assert not publisher.transport.is_reading()
    stream = world.core.streams.get(A)
    assert stream is not None
    world.core.hub.end(stream, EndReason.DELETED)
    store.extra_bytes = 0
    store.commit()
    assert publisher.transport.is_reading()


def test_an_alias_of_a_connection_that_is_gone_is_released_all_the_same() -> None:
    world = World()
    publisher = world.publisher(A)
    binding = publisher.session.bindings[0]
    publisher.drop()
    refusal = RequestRefused(Code.STREAM_ENDED, "it has ended")
    binding.end(refusal)
    assert (binding.stream, binding.refusal) == (None, refusal)


def test_a_connection_that_is_held_for_chunks_of_a_message_that_ends_is_read_again() -> None:
    store = StepStore()
    world = World(store=store, durability=Durability.OS)
    publisher = world.publisher(A)
    large = publisher.large(0, bytes(2 * CHUNK_BYTES), ack=True)
    store.extra_bytes = 2**30 // 8
    large.chunk()
    assert not publisher.transport.is_reading()
    stream = world.core.streams.get(A)
    assert stream is not None
    world.core.hub.end(stream, EndReason.DELETED)
    store.extra_bytes = 0
    store.staging.pop()(None)
    assert publisher.transport.is_reading()
