"""TextBridge and TextFormat: ``frys.v1.json`` in both directions (spec section 14)."""

from __future__ import annotations

import base64
from typing import Any

import numpy as np
import orjson
import pytest

from gateway.connections import text_format
from gateway.errors import Code
from gateway.protocol.encoding import Chain
from gateway.protocol.limits import Limits
from gateway.protocol.messages import Kind
from gateway.protocol.wire import Opcode
from tests.connections.memory import CHUNK_BYTES, LargePublish, Peer, TextPeer, World

Json = dict[str, Any]
HELLO = '{"message_type":"hello","client_type":"agent","client_id":"person","payload":{"versions":[1]}}'
SUBSCRIBE = '{"id":1,"message_type":"subscribe","payload":{"pattern":"wf-42/*"}}'
MESSAGE = (
    '{"id":2,"message_type":"message","stream":"wf-42/loss",'
    '"payload":{"dtype":"float32","shape":[2],"data":"AACAPwAAAEA="}}'
)


def person(world: World) -> TextPeer:
    peer = TextPeer(world)
    peer.send(HELLO)
    peer.texts()
    return peer


def news(peer: TextPeer, world: World) -> list[Json]:
    world.settle()
    return [orjson.loads(text) for text in peer.texts()]


def only(peer: TextPeer, world: World, message_type: str) -> Json:
    (found,) = [text for text in news(peer, world) if text["message_type"] == message_type]
    return found


def message(stream: str = "wf-42/loss", **fields: Any) -> str:
    return orjson.dumps({"message_type": "message", "stream": stream, "payload": None, **fields}).decode()


def test_the_whole_session_of_the_spec() -> None:
    world = World()
    peer = TextPeer(world)
    for text in (HELLO, SUBSCRIBE, MESSAGE):
        peer.send(text)
    texts = news(peer, world)
    assert [text["message_type"] for text in texts] == ["welcome", "subscribed", "stream", "ack", "message"]
    welcome, subscribed, stream, ack, arrived = texts
    assert welcome["payload"]["client_id"] == "person"
    assert subscribed["payload"] == {"request": 1, "subscription": 1}
    assert (stream["payload"]["stream"], stream["payload"]["kind"]) == ("wf-42/loss", "state")
    assert ack["payload"] == {"request": 2, "stream": "wf-42/loss", "offset": 0}
    assert arrived["payload"] == {"dtype": "float32", "shape": [2], "data": "AACAPwAAAEA="}
    assert (arrived["id"], arrived["offset"], arrived["stream"]) == (0, 0, "wf-42/loss")
    assert (arrived["client_id"], arrived["client_type"]) == ("person", "agent")
    assert arrived["epoch"] == stream["payload"]["epoch"]


def test_a_message_without_ack_gets_none() -> None:
    world = World()
    peer = person(world)
    peer.send(message(ack=False))
    assert [text["message_type"] for text in news(peer, world)] == []


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
    publisher.publish(0, bytes(5_000_000), chain=Chain(codec="zstd"))
    publisher.publish(0, b"small")
    texts = news(peer, world)
    gaps = [text["payload"] for text in texts if text["message_type"] == "gap"]
    assert [(gap["stream"], gap["code"], gap["first"], gap["last"]) for gap in gaps] == [
        ("wf-42/loss", Code.MESSAGE_TOO_BIG, offset, offset) for offset in range(3)
    ]
    assert [text["offset"] for text in texts if text["message_type"] == "message"] == [3]


def test_what_is_too_large_is_never_decoded(monkeypatch: pytest.MonkeyPatch) -> None:
    """A small frame may declare gigabytes: their size is looked at before they are made."""
    world = World()
    peer = person(world)
    peer.send(SUBSCRIBE)
    publisher = world.publisher("wf-42/loss")
    monkeypatch.setattr(text_format, "decode", lambda *_: pytest.fail("it was decoded"))
    publisher.publish(0, bytes(20_000_000), chain=Chain(codec="zstd"))
    texts = news(peer, world)
    assert [text["payload"]["code"] for text in texts if text["message_type"] == "gap"] == [Code.MESSAGE_TOO_BIG]


def test_an_open_is_answered() -> None:
    world = World()
    peer = person(world)
    peer.send('{"id":5,"message_type":"open","payload":{"stream":"wf-42/loss","kind":"event"}}')
    stream = only(peer, world, "stream")
    assert stream["payload"]["alias"] == 5
    assert stream["payload"]["kind"] == "event"
    peer.send(message(id=6))
    assert only(peer, world, "ack")["payload"]["request"] == 6


def test_the_bridge_opens_silently() -> None:
    world = World()
    peer = person(world)
    peer.send(message(id=6))
    assert [text["message_type"] for text in news(peer, world)] == ["ack"]


def test_an_alias_at_the_end_of_its_range_does_not_stop_the_bridge() -> None:
    world = World()
    peer = person(world)
    peer.send('{"id":5,"message_type":"open","payload":{"alias":4294967295,"stream":"wf-42/a"}}')
    news(peer, world)
    peer.send(message("wf-42/b", id=6))
    assert only(peer, world, "ack")["payload"] == {"request": 6, "stream": "wf-42/b", "offset": 0}


ERRORS: list[tuple[str, Code, int | None]] = [
    ("nonsense", Code.INVALID_REQUEST, None),
    ("[]", Code.INVALID_REQUEST, None),
    ('{"id":7}', Code.INVALID_REQUEST, 7),
    ('{"id":7,"message_type":"shout"}', Code.UNKNOWN_MESSAGE_TYPE, 7),
    ('{"id":7,"message_type":"subscribe","payload":{"pattern":3}}', Code.INVALID_REQUEST, 7),
    ('{"id":7,"message_type":"subscribe","payload":{"pattern":"a//b"}}', Code.INVALID_NAME, 7),
    ('{"id":7,"message_type":"unsubscribe","payload":{"subscription":9}}', Code.INVALID_REQUEST, 7),
    ('{"id":7,"message_type":"message"}', Code.INVALID_REQUEST, 7),
    (message("one-segment", id=7), Code.INVALID_NAME, 7),
    (message("agent:planner", id=7), Code.INVALID_NAME, 7),
    (message(id=7, kind="loud"), Code.INVALID_REQUEST, 7),
    (message(id=7, headers=[]), Code.INVALID_REQUEST, 7),
    (message(id=7, payload={"dtype": "object", "shape": [1], "data": "AA=="}), Code.INVALID_TENSOR, 7),
    (message(id=7, payload={"dtype": "uint8", "shape": [2], "data": "AA=="}), Code.SIZE_MISMATCH, 7),
    (message(id=7, payload={"dtype": "uint8", "shape": [1], "data": "A*=="}), Code.CORRUPT_PAYLOAD, 7),
    (message(id=7, payload={"dtype": "uint8", "shape": [2**40, 2**40], "data": ""}), Code.SIZE_MISMATCH, 7),
    ('{"id":7,"message_type":"request","stream":"agent:nobody"}', Code.NO_SUCH_PEER, 7),
    ('{"id":7,"message_type":"request","stream":"wf-42/loss"}', Code.INVALID_NAME, 7),
    ('{"id":7,"message_type":"reply","peer":1,"correlation":9}', Code.NOT_REQUESTED, 7),
    ('{"id":7,"message_type":"authenticate","payload":{}}', Code.INVALID_REQUEST, 7),
]


@pytest.mark.parametrize(("text", "code", "request_id"), ERRORS)
def test_every_mistake_is_answered_with_its_code_and_its_id(text: str, code: Code, request_id: int | None) -> None:
    world = World()
    peer = person(world)
    peer.send(text)
    error = only(peer, world, "error")["payload"]
    assert (error["code"], error.get("request")) == (code, request_id)
    assert peer.transport.closed is None
    peer.send(message(id=8))
    assert only(peer, world, "ack")["payload"]["request"] == 8


def test_a_request_to_a_stream_does_not_create_it() -> None:
    world = World()
    peer = person(world)
    peer.send('{"id":7,"message_type":"request","stream":"wf-42/loss"}')
    world.settle()
    assert not len(world.core.streams)


def test_a_message_of_another_kind_is_refused() -> None:
    world = World()
    peer = person(world)
    peer.send(message(id=1, kind="event"))
    peer.send(message(id=2, kind="state"))
    peer.send(message(id=3))
    texts = news(peer, world)
    assert [text["message_type"] for text in texts] == ["ack", "error", "ack"]
    assert (texts[1]["payload"]["code"], texts[1]["payload"]["request"]) == (Code.KIND_MISMATCH, 2)


@pytest.mark.parametrize(
    ("text", "code"),
    [
        (MESSAGE, Code.UNEXPECTED_MESSAGE),
        (SUBSCRIBE, Code.UNEXPECTED_MESSAGE),
        ('{"message_type":"hello","payload":{}}', Code.BAD_HELLO),
        ('{"message_type":"hello","client_type":"agent","payload":{"versions":[9]}}', Code.UNSUPPORTED_VERSION),
    ],
)
def test_a_greeting_that_fails_closes(text: str, code: Code) -> None:
    world = World()
    peer = TextPeer(world)
    peer.send(text)
    assert only(peer, world, "error")["payload"]["code"] == code
    assert peer.transport.closed is not None
    assert peer.transport.closed[0] == code


@pytest.mark.parametrize("message_type", ["ack", "gap"])
def test_what_only_the_server_sends_closes(message_type: str) -> None:
    world = World()
    peer = person(world)
    payload = {"request": 1, "stream": "a/b", "offset": 1, "code": 5000, "first": 1, "last": 1}
    peer.send(orjson.dumps({"message_type": message_type, "payload": payload}))
    assert peer.transport.closed is not None
    assert peer.transport.closed[0] == Code.UNEXPECTED_MESSAGE


def test_a_pong_is_taken() -> None:
    world = World()
    peer = person(world)
    peer.send('{"message_type":"pong","payload":{"t0":1,"t1":2,"t2":3}}')
    assert news(peer, world) == []
    assert peer.transport.closed is None


def test_a_ping_is_answered() -> None:
    world = World()
    peer = TextPeer(world)
    peer.send('{"message_type":"ping","payload":{"t0":5}}')
    pong = only(peer, world, "pong")
    assert pong["payload"]["t0"] == 5


def ask_person() -> tuple[World, TextPeer, Peer]:
    world = World(limits=Limits(max_frame_bytes=8192))
    peer = person(world)
    peer.send('{"id":1,"message_type":"subscribe","payload":{"pattern":"agent:person"}}')
    asker = world.peer("asker", ("lz4",))
    asker.open(0, "agent:person")
    asker.forget()
    news(peer, world)
    return world, peer, asker


def test_a_request_and_a_reply_in_text() -> None:
    world, peer, asker = ask_person()
    asker.open(1, "wf/x")
    frame = bytearray(b"".join(asker.message(1, b"hi")))
    frame[4], frame[8:12], frame[16:24] = Opcode.REQUEST, bytes(4), (9).to_bytes(8, "little")
    asker.send(bytes(frame))
    request = only(peer, world, "request")
    assert (request["stream"], request["correlation"]) == ("agent:person", 9)
    assert request["peer"] == asker.session.connection.peer
    peer.send(orjson.dumps({"message_type": "reply", "peer": request["peer"], "correlation": 9, "failed": True}))
    world.settle()
    (reply,) = asker.read().arrivals
    assert (reply.opcode, reply.offset) == (Opcode.REPLY, 9)
    assert reply.flags


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
    assert not asker.session.asked
    assert not peer.session.owed


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
    assert offsets in ([2, 3], [3])


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
