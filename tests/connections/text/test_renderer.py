"""TextRenderer: messages that go out as ``frys.v1.json`` (spec section 14)."""

from __future__ import annotations

import base64

import numpy as np
import orjson
import pytest

from gateway.connections.fanout.form import TEXTS_AT_ONCE
from gateway.connections.outbound.frame_writer import DeliverySettings
from gateway.connections.text.renderer import MAX_RECORDS
from gateway.errors import Code
from gateway.protocol.encoding import Chain
from gateway.protocol.limits import Limits
from gateway.protocol.messages import Kind
from gateway.protocol.wire import Opcode
from gateway.streams.history import HistoryLimits
from gateway.streams.run import Run
from tests.connections.frames import CHUNK_BYTES
from tests.connections.memory import LargePublish, Peer, TextPeer, World
from tests.connections.text_messages import SUBSCRIBE, message, news, only, person


def test_messages_between_both_subprotocols() -> None:
    world = World()
    peer = person(world)
    peer.send(SUBSCRIBE)
    binary = world.subscriber("wf-42/*", "binary")
    publisher = world.publisher("wf-42/loss")
    publisher.publish(0, b"\x01\x02")
    arrived = only(peer, world, "message")
    assert base64.b64decode(arrived["payload"]["data"]) == b"\x01\x02"
    assert arrived["client_id"] == "publisher"
    peer.send(message(headers={"step": 7}, timestamp=1.5))
    world.settle()
    first, second = binary.read().arrivals
    assert (first.payload, second.payload) == (b"\x01\x02", b"")
    assert second.headers == (("step", 7),)


def test_record_batches_arrive_record_by_record() -> None:
    world = World()
    peer = person(world)
    peer.send(SUBSCRIBE)
    publisher = world.publisher("wf-42/loss")
    publisher.send(publisher.batch(0, [b"a", b"b"]))
    publisher.send(publisher.batch(0, [bytes(500)] * 3, chain=Chain(codec="zstd")))
    texts = [text for text in news(peer, world) if text["message_type"] == "message"]
    assert [text["offset"] for text in texts] == [0, 1, 2, 3, 4]
    assert [text["id"] for text in texts] == [0, 1, 2, 3, 4]
    assert base64.b64decode(texts[1]["payload"]["data"]) == b"b"


@pytest.mark.parametrize("chain", [Chain(), Chain(codec="lz4")])
def test_a_large_message_arrives_in_one_piece_and_in_order(chain: Chain) -> None:
    world = World()
    peer = person(world)
    peer.send(SUBSCRIBE)
    world.subscriber("wf-42/*", "binary")
    publisher = world.publisher("wf-42/loss")
    payload = bytes(3 * CHUNK_BYTES)
    large = publisher.large(0, payload, chain=chain)
    large.end()
    publisher.publish(0, b"after")
    texts = [text for text in news(peer, world) if text["message_type"] == "message"]
    assert [text["offset"] for text in texts] == [0, 1]
    assert base64.b64decode(texts[0]["payload"]["data"]) == payload


def test_a_message_too_large_for_text_becomes_a_gap() -> None:
    world = World(limits=Limits(max_frame_bytes=8192))
    peer = person(world)
    peer.send(SUBSCRIBE)
    publisher = world.publisher("wf-42/loss")
    publisher.publish(0, bytes(7000))
    publisher.large(0, bytes(20_000)).end()
    publisher.publish(0, b"small")
    texts = news(peer, world)
    gaps = [text["payload"] for text in texts if text["message_type"] == "gap"]
    assert [(gap["stream"], gap["code"], gap["first"], gap["last"]) for gap in gaps] == [
        ("wf-42/loss", Code.MESSAGE_TOO_BIG, offset, offset) for offset in range(2)
    ]
    assert [text["offset"] for text in texts if text["message_type"] == "message"] == [2]


def test_a_batch_of_very_many_records_becomes_a_gap() -> None:
    world = World()
    peer = person(world)
    peer.send(SUBSCRIBE)
    publisher = world.publisher("wf-42/loss")
    count = MAX_RECORDS + 1
    publisher.send(publisher.batch(0, [b"x"] * count))
    publisher.publish(0, b"small")
    texts = news(peer, world)
    (gap,) = [text["payload"] for text in texts if text["message_type"] == "gap"]
    assert (gap["code"], gap["first"], gap["last"]) == (Code.MESSAGE_TOO_BIG, 0, count - 1)
    assert [text["offset"] for text in texts if text["message_type"] == "message"] == [count]


def ask_person() -> tuple[World, TextPeer, Peer]:
    world = World(limits=Limits(max_frame_bytes=8192))
    peer = person(world)
    peer.send('{"id":1,"message_type":"subscribe","payload":{"pattern":"agent:person"}}')
    asker = world.peer("asker", ("lz4",))
    asker.open(0, "agent:person")
    asker.forget()
    news(peer, world)
    return world, peer, asker


@pytest.mark.parametrize("size", [7000, 20_000])
def test_a_request_too_large_for_text_is_answered_to_its_asker(size: int) -> None:
    world, peer, asker = ask_person()
    if size > 8192:
        question = LargePublish(asker, 1, bytes(size))
        question.begin(Opcode.REQUEST, 0, 9)
        question.end()
    else:
        asker.open(1, "wf/x")
        frame = bytearray(b"".join(asker.message(1, bytes(size))))
        frame[4], frame[8:12], frame[16:24] = Opcode.REQUEST, bytes(4), (9).to_bytes(8, "little")
        asker.send(bytes(frame))
    assert news(peer, world) == []
    (error,) = asker.read().errors
    assert (error.code, error.correlation) == (Code.MESSAGE_TOO_BIG, 9)
    assert not asker.session.requests.asked
    assert not peer.session.requests.owed


def test_a_late_joiner_in_text_gets_the_newest_state() -> None:
    world = World()
    publisher = world.publisher("wf-42/loss", kind=Kind.STATE)
    publisher.send(publisher.batch(0, [b"a", b"b"]))
    peer = person(world)
    peer.send(SUBSCRIBE)
    assert only(peer, world, "message")["offset"] == 1
    publisher.large(0, bytes(2 * CHUNK_BYTES), chain=Chain(codec="lz4")).end()
    late = person(world)
    late.send(SUBSCRIBE)
    publisher.publish(0, b"newest")
    offsets = [text["offset"] for text in news(late, world) if text["message_type"] == "message"]
    assert offsets == [2, 3]


def test_a_lagging_reader_of_text_gets_the_newest_state_only() -> None:
    world = World()
    publisher = world.publisher("wf-42/loss", kind=Kind.STATE)
    peer = person(world)
    peer.send(SUBSCRIBE)
    news(peer, world)
    peer.transport.fill_up()
    for number in range(5):
        publisher.publish(0, np.int64(number).tobytes())
        world.settle()
    peer.transport.read_on()
    assert only(peer, world, "message")["offset"] == 4


def test_the_bytes_are_made_once_for_all_readers_of_text() -> None:
    world = World()
    peers = [person(world) for _ in range(3)]
    for peer in peers:
        peer.send(SUBSCRIBE)
        news(peer, world)
    world.publisher("wf-42/loss").publish(0, b"x")
    world.settle()
    first, *others = [peer.transport.writes for peer in peers]
    assert all(other == first for other in others)


def test_a_gap_names_the_stream() -> None:
    world = World(delivery=DeliverySettings(outbox_limit_bytes=5000), history=HistoryLimits(5))
    publisher = world.publisher("wf-42/events", kind=Kind.EVENT)
    peer = person(world)
    peer.send(SUBSCRIBE)
    news(peer, world)
    peer.transport.fill_up()
    for _ in range(10):
        publisher.publish(0, bytes(2000))
        world.settle()
    peer.transport.read_on()
    texts = news(peer, world)
    (gap,) = [text["payload"] for text in texts if text["message_type"] == "gap"]
    assert gap == {"stream": "wf-42/events", "code": Code.QUEUE_FULL, "first": 1, "last": 4}
    (replay,) = [text["payload"] for text in texts if text["message_type"] == "replay"]
    assert (replay["stream"], replay["first"]) == ("wf-42/events", 5)
    assert [text["offset"] for text in texts if text["message_type"] == "message"] == [0, *range(5, 10)]


@pytest.mark.parametrize("size", [7000, 20_000])
def test_a_reply_too_large_for_text_is_a_failed_one(size: int) -> None:
    world = World(limits=Limits(max_frame_bytes=8192))
    replier = world.subscriber("agent:replier", "replier")
    peer = person(world)
    peer.send('{"id":9,"message_type":"request","stream":"agent:replier","payload":null}')
    world.settle()
    (request,) = replier.read().arrivals
    answer = LargePublish(replier, 1, bytes(size))
    answer.begin(Opcode.REPLY, request.publisher, request.offset)
    answer.end()
    reply = only(peer, world, "reply")
    assert (reply["correlation"], reply["failed"]) == (9, True)
    assert "8192" in reply["headers"]["error"]
    assert reply["peer"] == replier.session.peer.id


@pytest.mark.parametrize("goes", ["subscriber", "publisher"])
def test_somebody_goes_while_a_large_message_is_written(goes: str) -> None:
    world = World()
    publisher = world.publisher("wf-42/loss", kind=Kind.STATE)
    peer, other = person(world), person(world)
    for reader in (peer, other):
        reader.send(SUBSCRIBE)
        news(reader, world)
    publisher.large(0, bytes(3 * CHUNK_BYTES)).end()
    if goes == "subscriber":
        world.core.disconnect(peer.session)
    else:
        publisher.drop()
    arrived = only(other, world, "message")
    assert arrived["client_id"] == ("publisher" if goes == "subscriber" else None)
    assert len(news(peer, world)) == (goes == "publisher")


@pytest.mark.parametrize("records", [1, TEXTS_AT_ONCE + 1])
def test_what_takes_long_is_written_in_a_thread_and_keeps_its_place(records: int) -> None:
    world = World()
    peer = person(world)
    peer.send(SUBSCRIBE)
    publisher = world.publisher("wf-42/loss")
    news(peer, world)
    publisher.send(publisher.batch(0, [bytes(100_000 // records)] * records))
    publisher.publish(0, b"behind it")
    world.turn()
    assert len(world.workers) == 1
    assert not peer.texts()
    assert [text["offset"] for text in news(peer, world)] == list(range(records + 1))


def test_nothing_is_written_for_readers_that_have_gone() -> None:
    world = World()
    peer = person(world)
    peer.send(SUBSCRIBE)
    publisher = world.publisher("wf-42/loss", kind=Kind.STATE)
    news(peer, world)
    publisher.publish(0, bytes(100_000))
    world.turn()
    world.core.disconnect(peer.session)
    world.settle()
    (stream,) = world.core.streams
    assert not len(world.workers)
    assert isinstance(stream.newest, Run)
    assert stream.newest.text is None


def test_views_are_told_apart_by_their_ids_and_say_what_their_integers_stand_for() -> None:
    world = World()
    peer = person(world)
    publisher = world.publisher("wf-42/loss")
    asked = {1: {"slice": [0]}, 2: {"dtype": "uint8"}, 3: None}
    for number, view in asked.items():
        payload = {"pattern": "wf-42/*", "view": view}
        peer.send(orjson.dumps({"id": number, "message_type": "subscribe", "payload": payload}))
    announced = [text["payload"] for text in news(peer, world) if text["message_type"] == "stream"]
    ids = {stream.get("subscription"): stream["id"] for stream in announced}
    publisher.publish_array(0, np.array([0.0, 127.5]))
    messages = {text.get("view"): text for text in news(peer, world)}
    row, quantized, whole = messages[ids[1]], messages[ids[2]], messages[None]
    assert row["payload"] == {"dtype": "float64", "shape": [], "data": base64.b64encode(bytes(8)).decode()}
    assert quantized["quantized"] == {"dtype": "float64", "scale": 0.5, "zero_point": 0.0}
    assert quantized["payload"] == {"dtype": "uint8", "shape": [2], "data": "AP8="}
    assert whole["payload"]["shape"] == [2]
    assert not {"view", "quantized"} & set(whole)
    publisher.publish_array(0, np.array(1.0))
    told = news(peer, world)
    (gap,) = [text["payload"] for text in told if text["message_type"] == "gap"]
    assert gap == {"stream": "wf-42/loss", "code": Code.INVALID_VIEW, "first": 1, "last": 1, "view": ids[1]}
    (error,) = [text["payload"] for text in told if text["message_type"] == "error"]
    assert (error["code"], error["stream"], error["subscription"]) == (Code.INVALID_VIEW, "wf-42/loss", 1)


def test_a_large_result_of_a_view_arrives_in_one_piece() -> None:
    world = World(limits=Limits(chunk_bytes=CHUNK_BYTES))
    peer = person(world)
    publisher = world.publisher("wf-42/loss")
    peer.send('{"id":1,"message_type":"subscribe","payload":{"pattern":"wf-42/*","view":{"dtype":"uint8"}}}')
    publisher.publish_array(0, np.linspace(0, 255, 10_000))
    arrived = only(peer, world, "message")
    assert arrived["quantized"] == {"dtype": "float64", "scale": 1.0, "zero_point": 0.0}
    assert len(base64.b64decode(arrived["payload"]["data"])) == 10_000
