"""Where messages go that nobody could process."""

from __future__ import annotations

import json
import logging

import numpy as np
import pytest

from gateway.connections.consumers import dead_letters
from gateway.connections.consumers.consumer_fanout import ConsumerFanout
from gateway.connections.consumers.dead_letter import OpenedUnit
from gateway.connections.consumers.dead_letters import FIRST_PAUSE_S
from gateway.connections.consumers.settings import ConsumerSettings
from gateway.errors import Code
from gateway.ids import StreamName
from gateway.protocol.durability import Durability
from gateway.protocol.encoding import Chain
from gateway.protocol.limits import Limits
from gateway.protocol.messages import Kind, Open
from gateway.protocol.names import compile_pattern
from gateway.protocol.schema import Schema
from gateway.protocol.signals import Done
from gateway.protocol.tensors import view_tensors
from gateway.protocol.wire import MAX_HEADERS_BYTES
from gateway.streams.history import HistoryLimits
from gateway.streams.rules import StreamConfig
from tests.connections.frames import CHUNK_BYTES
from tests.connections.memory import EVERY_CODEC, Peer, World
from tests.connections.reader import Arrival
from tests.connections.step_store import StepStore
from tests.connections.text_messages import message, person

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
        "reason": "refused (NOT_PROCESSED)",
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


def test_only_the_gateway_publishes_dead_letters() -> None:
    world, publisher, worker, undertaker = world_of_one_try()
    intruder = world.publisher(STREAM + ".dead", kind=Kind.STATE)
    impostor = world.peer("gateway")
    impostor.open(0, STREAM + ".dead", Kind.EVENT)
    for peer in (intruder, impostor):
        peer.publish(0, b"not dead")
    assert impostor.read().codes == [Code.FORBIDDEN, Code.FORBIDDEN]
    publisher.publish(0, b"poison")
    world.settle()
    worker.done(STREAM, 0, code=Code.NOT_PROCESSED)
    assert [letter.payload for letter in letters(world, undertaker)] == [b"poison"]


RULES = {
    "kind": StreamConfig(kind=Kind.COLLABORATION),
    "short history": StreamConfig(history=HistoryLimits(max_messages=1)),
    "no history": StreamConfig(history=HistoryLimits(max_messages=0)),
    "small history": StreamConfig(history=HistoryLimits(max_bytes=1)),
    "old history": StreamConfig(history=HistoryLimits(max_age_s=1.0)),
    "schema": StreamConfig(schema=Schema.parse({"dtype": "float64", "shape": [3]}, "test")),
    "keyframes": StreamConfig(keyframe_every=1),
    "default": StreamConfig(),
}


@pytest.mark.parametrize("rule", RULES)
def test_no_rule_for_the_stream_and_no_time_loses_dead_letters(rule: str) -> None:
    world = World(consumers=ConsumerSettings(max_tries=1), rules=[("wf/**", RULES[rule])])
    publisher = world.publisher(STREAM, kind=Kind.COLLABORATION)
    worker = world.subscriber(STREAM, "worker")
    for number in range(5):
        publisher.publish(0, bytes([number]))
    world.settle()
    worker.done(STREAM, 0, 4, code=Code.NOT_PROCESSED)
    world.settle()
    for _ in range(30):
        world.clock.advance(100.0)
        for _ in world.core.trim_histories():
            pass
    found = letters(world, world.subscriber(STREAM + ".dead", "undertaker", since="beginning"))
    assert [letter.payload[0] for letter in found] == list(range(5))


def test_a_rule_for_dead_letters_bounds_them() -> None:
    kept = StreamConfig(history=HistoryLimits(max_messages=2))
    world = World(consumers=ConsumerSettings(max_tries=1), rules=[("**.dead", kept)])
    publisher = world.publisher(STREAM, kind=Kind.COLLABORATION)
    worker = world.subscriber(STREAM, "worker")
    for number in range(5):
        publisher.publish(0, bytes([number]))
    world.settle()
    worker.done(STREAM, 0, 4, code=Code.NOT_PROCESSED)
    world.settle()
    found = letters(world, world.subscriber(STREAM + ".dead", "undertaker", since="beginning"))
    assert [letter.payload[0] for letter in found] == [3, 4]


def test_a_full_gateway_has_room_for_streams_of_dead_letters() -> None:
    world = World(consumers=ConsumerSettings(max_tries=1), limits=Limits(max_streams=1))
    publisher = world.publisher(STREAM, kind=Kind.COLLABORATION)
    worker = world.subscriber(STREAM, "worker")
    publisher.publish(0, b"poison")
    world.settle()
    worker.done(STREAM, 0, code=Code.NOT_PROCESSED)
    assert len(letters(world, world.subscriber("**.dead", "undertaker", since="beginning"))) == 1
    publisher.open(1, "wf/other")
    assert publisher.read().codes == [Code.LIMIT_EXCEEDED]


@pytest.mark.parametrize("name", ["wf/" + "x" * 252, "w" * 253 + "/x", "w" * 233 + "/" + "x" * 21])
def test_a_stream_with_the_longest_name_has_dead_letters_too(name: str) -> None:
    world = World(consumers=ConsumerSettings(max_tries=1))
    publisher = world.publisher(name, kind=Kind.COLLABORATION)
    worker = world.subscriber(name, "worker")
    publisher.publish(0, b"poison")
    world.settle()
    worker.done(name, 0, code=Code.NOT_PROCESSED)
    (letter,) = letters(world, world.subscriber("**.dead", "undertaker", since="beginning"))
    assert header_of(letter)["stream"] == name


def test_a_person_sees_all_dead_letters_by_one_pattern_and_publishes_none() -> None:
    world, publisher, worker, _ = world_of_one_try()
    admin = person(world)
    admin.send('{"id":1,"message_type":"subscribe","payload":{"pattern":"**.dead"}}')
    admin.send(message(stream="wf/x.dead", kind="event"))
    publisher.publish(0, b"poison")
    world.settle()
    worker.done(STREAM, 0, code=Code.NOT_PROCESSED)
    world.settle()
    texts = [json.loads(text) for text in admin.texts()]
    assert [text["payload"]["code"] for text in texts if text["message_type"] == "error"] == [Code.FORBIDDEN]
    assert [text["stream"] for text in texts if text["message_type"] == "message"] == [STREAM + ".dead"]


def full_world(caplog: pytest.LogCaptureFixture) -> tuple[World, Peer]:
    """A world without room for a second dead letter in memory, and a worker that has refused three messages."""
    world = World(consumers=ConsumerSettings(max_tries=1, dead_letter_bytes=1500))
    publisher = world.publisher(STREAM, kind=Kind.COLLABORATION)
    worker = world.subscriber(STREAM, "worker")
    for number in range(3):
        publisher.publish(0, bytes([number]) * 1000)
    world.settle()
    with caplog.at_level(logging.WARNING):
        for first, last in ((0, 1), (2, 2)):
            worker.done(STREAM, first, last, code=Code.NOT_PROCESSED)
            world.settle()
    return world, worker


def test_what_cannot_be_buried_stays_where_it_is(caplog: pytest.LogCaptureFixture) -> None:
    world, worker = full_world(caplog)
    dead = world.core.dead_letters
    fanout = world.core.hub.fanouts.of(world.core.streams.matching(compile_pattern(STREAM))[0])
    assert isinstance(fanout, ConsumerFanout)
    worker.forget()
    for _ in range(5):
        world.pass_time(50.0)
        world.settle()
    # It is neither delivered meanwhile, nor logged again, nor let go of.
    assert worker.read().arrivals == []
    assert [record.levelname for record in caplog.records] == ["WARNING"]
    assert "dead_letter_bytes is 1500" in caplog.text
    assert (dead.waiting_messages, dead.idle) == (2, True)
    assert fanout.held_bytes > 2000
    undertaker = world.subscriber("**.dead", "undertaker", since="beginning")
    assert [letter.payload[0] for letter in letters(world, undertaker)] == [0]
    dead._limit_bytes = 10**6  # there is room again
    world.pass_time(70.0)
    assert [letter.payload[0] for letter in letters(world, undertaker)] == [0, 1, 2]
    assert (dead.waiting_messages, fanout.held_bytes) == (0, 0)


def test_other_streams_are_buried_although_one_is_refused(caplog: pytest.LogCaptureFixture) -> None:
    store = StepStore()
    world = World(store=store, consumers=ConsumerSettings(max_tries=1))
    publisher = world.peer("publisher")
    for alias, (stream, durability) in enumerate(((STREAM, Durability.FSYNC), ("wf/other", None))):
        publisher.say(Open(alias, stream, Kind.COLLABORATION, durability))
        publisher.sequences[alias] = 0
    worker = world.subscriber("wf/*", "worker")
    worker.forget()
    for alias, payload in ((0, b"a"), (0, b"b"), (1, b"c")):
        publisher.publish(alias, payload)
    store.commit()
    store.commit()
    world.settle()
    with caplog.at_level(logging.WARNING):
        worker.done(STREAM, 0, 1, code=Code.NOT_PROCESSED)
        worker.done("wf/other", 0, code=Code.NOT_PROCESSED)
        world.settle()
        store.fail()
        world.settle()
    undertaker = world.subscriber("**.dead", "undertaker", since="beginning")
    assert [letter.payload for letter in letters(world, undertaker)] == [b"c"]
    assert world.core.dead_letters.waiting_messages == 2
    assert caplog.text.count("cannot be published") == 1
    world.pass_time(FIRST_PAUSE_S / 2)
    world.settle()
    assert store.waiting_bytes == 0
    world.pass_time(FIRST_PAUSE_S)
    for _ in range(2):
        world.settle()
        store.commit()
    assert [letter.payload for letter in letters(world, undertaker)] == [b"c", b"a", b"b"]


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


def test_a_message_that_cannot_be_read_is_kept_and_those_of_other_streams_are_buried(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fails(content: object) -> OpenedUnit:
        monkeypatch.undo()
        raise MemoryError("no memory for the payload")

    world = World(consumers=ConsumerSettings(max_tries=1))
    publisher = world.publisher(STREAM, kind=Kind.COLLABORATION)
    publisher.open(1, "wf/other", Kind.COLLABORATION)
    worker, undertaker = world.subscriber("wf/*", "worker"), world.subscriber("**.dead", "undertaker")
    publisher.publish(0, b"large")
    publisher.publish(1, b"small")
    world.settle()
    monkeypatch.setattr(dead_letters, "opened", fails)
    with caplog.at_level(logging.WARNING):
        worker.done(STREAM, 0, code=Code.NOT_PROCESSED)
        worker.done("wf/other", 0, code=Code.NOT_PROCESSED)
        assert [letter.payload for letter in letters(world, undertaker)] == [b"small"]
    assert "the message cannot be read: no memory for the payload" in caplog.text
    world.pass_time(2 * FIRST_PAUSE_S)
    assert [letter.payload for letter in letters(world, undertaker)] == [b"small", b"large"]


def test_the_bound_of_dead_letters_in_memory_is_not_for_those_in_a_store() -> None:
    store = StepStore()
    world = World(store=store, consumers=ConsumerSettings(max_tries=1, dead_letter_bytes=1000))
    publisher = world.publisher("wf/in-memory", kind=Kind.COLLABORATION)
    publisher.say(Open(1, STREAM, Kind.COLLABORATION, Durability.FSYNC))
    publisher.sequences[1] = 0
    worker = world.subscriber("wf/*", "worker")
    publisher.publish(0, bytes(1000))
    publisher.publish(1, bytes(1000))
    store.commit()
    world.settle()
    for stream in ("wf/in-memory", STREAM):
        worker.done(stream, 0, code=Code.NOT_PROCESSED)
        world.settle()
    store.commit()
    assert world.core.streams.dead_letters.held_bytes > 1000
    assert world.core.dead_letters.waiting_messages == 0


@pytest.mark.parametrize("there", [Durability.FSYNC, Durability.MEMORY, None])
def test_they_are_as_durable_as_their_stream_unless_configured_otherwise(there: Durability | None) -> None:
    store = StepStore()
    rules = [("**.dead", StreamConfig(durability=there))]
    world = World(store=store, consumers=ConsumerSettings(max_tries=1), rules=rules)
    publisher = world.peer("publisher")
    publisher.say(Open(0, STREAM, Kind.COLLABORATION, Durability.FSYNC))
    publisher.sequences[0] = 0
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


def test_a_message_that_cannot_be_decoded_is_a_dead_letter_of_its_bytes() -> None:
    world = World(consumers=ConsumerSettings(max_tries=1))
    publisher = world.publisher(STREAM, kind=Kind.COLLABORATION)
    worker = world.subscriber(STREAM, "worker", codecs=EVERY_CODEC)
    undertaker = world.subscriber(STREAM + ".dead", "undertaker")
    spoiled = bytearray(b"".join(publisher.message(0, bytes(1000), chain=Chain(codec="lz4"))))
    spoiled[-8:] = b"\xff" * 8
    publisher.send(bytes(spoiled), publisher.message(0, b"good"))
    world.settle()
    worker.send(Done(stream_id(world), Code.NOT_PROCESSED, 0, 1).write())
    damaged, letter = letters(world, undertaker)
    assert letter.payload == b"good"
    assert "lz4" in str(header_of(damaged)["undecodable"])
    assert damaged.payload.endswith(b"\xff" * 4)
    assert world.core.drained


def test_headers_that_leave_no_room_for_the_origin_travel_as_a_tensor() -> None:
    world, publisher, worker, undertaker = world_of_one_try()
    note = "x" * (MAX_HEADERS_BYTES - 50)
    publisher.publish_array(0, np.arange(3, dtype=np.uint8), headers={"note": note})
    publisher.publish_array(0, np.zeros(3), headers={"note": "short"})
    world.settle()
    worker.done(STREAM, 0, 1, code=Code.NOT_PROCESSED)
    first, second = letters(world, undertaker)
    assert set(dict(first.headers or ())) == {"dead_letter"}
    array, headers = view_tensors(first.specs, first.payload)
    assert array.tolist() == [0, 1, 2]
    assert json.loads(headers.tobytes()) == {"note": note}
    assert set(dict(second.headers or ())) == {"dead_letter", "note"}


def test_a_gateway_that_takes_no_more_connections_buries_later(caplog: pytest.LogCaptureFixture) -> None:
    world = World(consumers=ConsumerSettings(max_tries=1), max_connections=2)
    publisher = world.publisher(STREAM, kind=Kind.COLLABORATION)
    worker = world.subscriber(STREAM, "worker")
    publisher.publish(0, b"poison")
    world.settle()
    worker.done(STREAM, 0, code=Code.NOT_PROCESSED)
    with caplog.at_level(logging.INFO):
        world.settle()
        assert "dead letters of wf/tasks cannot be published: " in caplog.text
        assert world.core.drained
        publisher.drop()
        world.pass_time(2.0)
        world.settle()
    worker.drop()
    assert len(letters(world, world.subscriber(STREAM + ".dead", "undertaker", since="beginning"))) == 1
    assert "published again" in caplog.text


def stream_id(world: World) -> int:
    stream = world.core.streams.get(StreamName(STREAM))
    assert stream is not None
    return stream.id
