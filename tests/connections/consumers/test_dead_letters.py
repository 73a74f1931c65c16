"""Where messages go that nobody could process."""

from __future__ import annotations

import logging

import numpy as np
import pytest

from gateway.connections.consumers.settings import ConsumerSettings
from gateway.errors import Code
from gateway.ids import StreamName
from gateway.protocol.durability import Durability
from gateway.protocol.encoding import Chain
from gateway.protocol.messages import Kind, Open
from gateway.protocol.signals import Done
from gateway.protocol.wire import MAX_HEADERS_BYTES
from tests.connections.frames import CHUNK_BYTES
from tests.connections.memory import EVERY_CODEC, Peer, World
from tests.connections.reader import Arrival
from tests.connections.step_store import StepStore

STREAM = "wf/tasks"


def world_of_one_try() -> tuple[World, Peer, Peer, Peer]:
    """A world, a publisher, a worker, and one who watches the dead letters."""
    world = World(consumers=ConsumerSettings(max_tries=1))
    publisher = world.publisher(STREAM, kind=Kind.COLLABORATION)
    return world, publisher, world.subscriber(STREAM, "worker"), world.subscriber(STREAM + ".dead", "undertaker")


def letters(world: World, peer: Peer) -> list[Arrival]:
    world.settle()
    return peer.read().arrivals


def header_of(arrival: Arrival) -> dict[str, object]:
    found = dict(arrival.headers or ())["dead_letter"]
    assert isinstance(found, dict)
    return found


def test_a_dead_letter_says_where_it_comes_from() -> None:
    world, publisher, worker, undertaker = world_of_one_try()
    publisher.publish(0, b"good")
    publisher.publish(0, b"poison")
    world.settle()
    worker.done(STREAM, 0)
    worker.done(STREAM, 1, code=Code.NOT_PROCESSED)
    (letter,) = letters(world, undertaker)
    assert letter.payload == b"poison"
    assert header_of(letter) == {
        "stream": STREAM,
        "offset": 1,
        "client_id": "worker",
        "tries": 1,
        "reason": "not processed: NOT_PROCESSED",
    }


@pytest.mark.parametrize("form", ["encoded", "batch", "chunks", "encoded chunks"])
def test_dead_letters_of_every_form_arrive_plain(form: str) -> None:
    world, publisher, worker, undertaker = world_of_one_try()
    payload = bytes(3 * CHUNK_BYTES) if "chunks" in form else b"abcd" * 100
    chain = Chain(codec="lz4") if "encoded" in form else Chain()
    if form == "batch":
        publisher.send(publisher.batch(0, [payload[:200], payload[200:]]))
    elif "chunks" in form:
        publisher.large(0, payload, chain=chain).end()
    else:
        publisher.publish(0, payload, chain=chain)
    world.settle()
    worker.done(STREAM, 0, 1, code=Code.CORRUPT_PAYLOAD)
    (letter,) = letters(world, undertaker)
    assert letter.payload == payload
    assert not letter.encoded


def test_a_stream_of_another_kind_in_the_way_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    world, publisher, worker, undertaker = world_of_one_try()
    world.publisher(STREAM + ".dead", kind=Kind.STATE)
    publisher.publish(0, b"poison")
    world.settle()
    with caplog.at_level(logging.WARNING):
        worker.done(STREAM, 0, code=Code.NOT_PROCESSED)
        assert letters(world, undertaker) == []
    assert "is lost" in caplog.text
    assert [notice.code for notice in publisher.read().notices] == [Code.DEAD_LETTER]


def test_the_gateway_is_not_drained_before_they_are_published() -> None:
    world, publisher, worker, _ = world_of_one_try()
    publisher.publish(0, np.zeros(4).tobytes())
    world.settle()
    worker.done(STREAM, 0, code=Code.NOT_PROCESSED)
    world.turn()
    assert not world.core.drained
    world.settle()
    assert world.core.drained


def test_of_many_at_once_one_is_opened_after_the_other() -> None:
    world, publisher, worker, undertaker = world_of_one_try()
    for number in range(20):
        publisher.publish(0, bytes([number]) * 5000, chain=Chain(codec="lz4"))
    world.settle()
    worker.done(STREAM, 0, 19, code=Code.NOT_PROCESSED)
    assert len(world.workers) == 1
    assert [letter.payload[0] for letter in letters(world, undertaker)] == list(range(20))
    assert world.core.drained


@pytest.mark.parametrize("there", [Durability.FSYNC, Durability.MEMORY, None])
def test_they_are_as_durable_as_their_stream_unless_theirs_is_there_already(there: Durability | None) -> None:
    store = StepStore()
    world = World(store=store, consumers=ConsumerSettings(max_tries=1))
    publisher = world.peer("publisher")
    publisher.say(Open(0, STREAM, Kind.COLLABORATION, Durability.FSYNC))
    publisher.sequences[0] = 0
    if there is not None:
        publisher.say(Open(1, STREAM + ".dead", Kind.EVENT, there))
    worker = world.subscriber(STREAM, "worker")
    publisher.publish(0, b"poison")
    store.commit()
    world.settle()
    worker.done(STREAM, 0, code=Code.NOT_PROCESSED)
    world.settle()
    dead = world.core.streams.get(StreamName(STREAM + ".dead"))
    assert dead is not None
    assert dead.durability is (there or Durability.FSYNC)
    assert [appended.stream for appended in store.waiting] == ([] if there is Durability.MEMORY else [dead])
    if store.waiting:
        assert not world.core.drained
        store.commit()
    world.settle()
    assert (dead.next_offset, world.core.drained) == (1, True)


def test_a_message_that_cannot_be_decoded_is_logged_and_the_next_one_follows(caplog: pytest.LogCaptureFixture) -> None:
    world = World(consumers=ConsumerSettings(max_tries=1))
    publisher = world.publisher(STREAM, kind=Kind.COLLABORATION)
    worker = world.subscriber(STREAM, "worker", codecs=EVERY_CODEC)
    undertaker = world.subscriber(STREAM + ".dead", "undertaker")
    spoiled = bytearray(b"".join(publisher.message(0, bytes(1000), chain=Chain(codec="lz4"))))
    spoiled[-8:] = b"\xff" * 8
    publisher.send(bytes(spoiled), publisher.message(0, b"good"))
    world.settle()
    worker.send(Done(stream_id(world), Code.NOT_PROCESSED, 0, 1).write())
    with caplog.at_level(logging.WARNING):
        (letter,) = letters(world, undertaker)
    assert letter.payload == b"good"
    assert "dead letter 0 of wf/tasks is lost: it cannot be decoded" in caplog.text
    assert world.core.drained


def test_headers_that_leave_no_room_for_the_origin_are_left_out() -> None:
    world, publisher, worker, undertaker = world_of_one_try()
    publisher.publish_array(0, np.zeros(3), headers={"note": "x" * (MAX_HEADERS_BYTES - 50)})
    publisher.publish_array(0, np.zeros(3), headers={"note": "short"})
    world.settle()
    worker.done(STREAM, 0, 1, code=Code.NOT_PROCESSED)
    first, second = letters(world, undertaker)
    assert set(dict(first.headers or ())) == {"dead_letter"}
    assert set(dict(second.headers or ())) == {"dead_letter", "note"}


def test_a_gateway_that_takes_no_more_connections_loses_them_and_says_so(caplog: pytest.LogCaptureFixture) -> None:
    world = World(consumers=ConsumerSettings(max_tries=1), max_connections=2)
    publisher = world.publisher(STREAM, kind=Kind.COLLABORATION)
    worker = world.subscriber(STREAM, "worker")
    publisher.publish(0, b"poison")
    world.settle()
    worker.done(STREAM, 0, code=Code.NOT_PROCESSED)
    with caplog.at_level(logging.WARNING):
        world.settle()
    assert "dead letter 0 of wf/tasks is lost" in caplog.text
    assert world.core.drained


def stream_id(world: World) -> int:
    stream = world.core.streams.get(StreamName(STREAM))
    assert stream is not None
    return stream.id
