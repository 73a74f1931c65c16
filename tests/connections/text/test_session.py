"""TextSession: what comes in as ``frys.v1.json``, and how it is answered (spec section 14)."""

from __future__ import annotations

import base64
import gc
import json
import tracemalloc
from typing import NoReturn

import orjson
import pytest

from gateway.connections.consumers.settings import ConsumerSettings
from gateway.connections.sessions.session import MAX_UNREADABLE, AliasBinding
from gateway.connections.text import session as text_session
from gateway.errors import Code
from gateway.protocol.limits import Limits
from gateway.protocol.long_text import SHORT_TEXT_BYTES
from gateway.protocol.messages import Kind
from gateway.protocol.wire import Opcode
from tests.connections.memory import Peer, TextPeer, World
from tests.connections.text_messages import HELLO, MESSAGE, SUBSCRIBE, message, news, only, person


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
    assert ack["payload"] == {"request": 2, "stream": "wf-42/loss", "offset": 0, "durability": "memory"}
    assert arrived["payload"] == {"dtype": "float32", "shape": [2], "data": "AACAPwAAAEA="}
    assert (arrived["id"], arrived["offset"], arrived["stream"]) == (0, 0, "wf-42/loss")
    assert (arrived["client_id"], arrived["client_type"]) == ("person", "agent")
    assert arrived["epoch"] == stream["payload"]["epoch"]


def test_a_message_without_ack_gets_none() -> None:
    world = World()
    peer = person(world)
    peer.send(message(ack=False))
    assert [text["message_type"] for text in news(peer, world)] == []


def test_an_open_is_answered() -> None:
    world = World()
    peer = person(world)
    peer.send('{"id":5,"message_type":"open","payload":{"stream":"wf-42/loss","kind":"event"}}')
    stream = only(peer, world, "stream")
    assert stream["payload"]["alias"] == 5
    assert stream["payload"]["kind"] == "event"
    peer.send(message(id=6))
    assert only(peer, world, "ack")["payload"]["request"] == 6


def test_an_alias_is_opened_silently() -> None:
    world = World()
    peer = person(world)
    peer.send(message(id=6))
    assert [text["message_type"] for text in news(peer, world)] == ["ack"]


def test_an_alias_at_the_end_of_its_range_does_not_stop_the_session() -> None:
    world = World()
    peer = person(world)
    peer.send('{"id":5,"message_type":"open","payload":{"alias":4294967295,"stream":"wf-42/a"}}')
    news(peer, world)
    peer.send(message("wf-42/b", id=6))
    assert only(peer, world, "ack")["payload"] == {
        "request": 6,
        "stream": "wf-42/b",
        "offset": 0,
        "durability": "memory",
    }


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


def test_an_error_about_a_subscription_names_no_message() -> None:
    world = World(limits=Limits(max_subscribed_streams=1))
    peer = person(world)
    peer.send('{"id":1,"message_type":"subscribe","payload":{"pattern":"**"}}')
    peer.send(message("wf/a", id=9))
    news(peer, world)
    peer.send(message("wf/b", id=10))
    texts = {text["message_type"]: text["payload"] for text in news(peer, world)}
    error = texts["error"]
    assert (error["code"], error["subscription"], error["stream"]) == (Code.LIMIT_EXCEEDED, 1, "wf/b")
    assert "request" not in error
    assert texts["ack"]["request"] == 10


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


@pytest.mark.parametrize("spaces", ["", " " * SHORT_TEXT_BYTES], ids=["short", "long"])
@pytest.mark.parametrize("message_type", ["welcome", "hello", "ack", "gap", "authenticated"])
def test_what_the_state_does_not_allow_closes_whatever_its_fields_are(message_type: str, spaces: str) -> None:
    world = World()
    peer = person(world)
    peer.send(f'{{"message_type":"{message_type}"{spaces}}}')
    world.settle()
    assert peer.transport.closed is not None
    assert peer.transport.closed[0] == Code.UNEXPECTED_MESSAGE


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
    assert request["peer"] == asker.session.peer.id
    peer.send(orjson.dumps({"message_type": "reply", "peer": request["peer"], "correlation": 9, "failed": True}))
    world.settle()
    (reply,) = asker.read().arrivals
    assert (reply.opcode, reply.offset) == (Opcode.REPLY, 9)
    assert reply.flags


def test_a_publish_that_is_refused_later_on_names_its_id_and_stream() -> None:
    world = World(consumers=ConsumerSettings(limit_bytes=1000))
    world.subscriber("wf/full")
    peer = person(world)
    peer.send(message("wf/full", id=1, kind="collaboration"))
    peer.send(message("wf/full", id=2))
    peer.send(message("wf/full", id=0))
    only_acks = [text["payload"]["request"] for text in news(peer, world)]
    assert only_acks == [1, 2, 0]
    peer.send(message("wf/full", id=3))
    error = only(peer, world, "error")["payload"]
    assert (error["code"], error["request"], error["stream"]) == (Code.QUEUE_FULL, 3, "wf/full")
    peer.send(message("wf/full", id=4, ack=False))
    assert only(peer, world, "error")["payload"]["request"] == 4
    assert not peer.form._publishes


class Unsearchable(dict[int, AliasBinding]):
    """Aliases that are only looked up, one by one."""

    def items(self) -> NoReturn:
        raise AssertionError("all aliases are searched")


def test_the_alias_of_a_stream_is_found_without_a_look_at_all_others() -> None:
    world = World()
    peer = person(world)
    peer.send(message("wf/a", id=1))
    peer.session.bindings = Unsearchable(peer.session.bindings)
    for number in range(2, 5):
        peer.send(message("wf/a", id=number))
        peer.send(message(f"wf/{number}", id=number))
    assert {text["message_type"] for text in news(peer, world)} == {"ack"}
    assert len(peer.session.bindings) == 4


def test_names_of_aliases_are_forgotten_with_the_aliases() -> None:
    world = World(limits=Limits(max_aliases=4))
    peer = person(world)
    for number in range(30):
        peer.send(message(f"wf/{number}", id=number))
        peer.send(orjson.dumps({"message_type": "open", "id": 99, "payload": {"alias": 1, "stream": f"wf/o{number}"}}))
    assert len(peer.session.bindings) == 4
    assert len(peer.form._aliases) <= 8
    news(peer, world)
    peer.send(message("wf/o29", id=1))
    peer.send(message("wf/29", id=2))
    peer.send(message("wf/0", id=3))
    assert [text["payload"]["request"] for text in news(peer, world)] == [1, 2, 3]


def test_a_large_publish_above_the_limit_is_refused_once() -> None:
    world = World(limits=Limits(max_message_bytes=5000, chunk_bytes=4096))
    peer = person(world)
    data = base64.b64encode(bytes(6000)).decode()
    peer.send(message(id=3, payload={"dtype": "uint8", "shape": [6000], "data": data}))
    error = only(peer, world, "error")["payload"]
    assert (error["code"], error["request"]) == (Code.MESSAGE_TOO_BIG, 3)
    peer.send(message(id=4))
    assert only(peer, world, "ack")["payload"]["offset"] == 0


def test_new_streams_are_refused_while_the_gateway_stops() -> None:
    world = World()
    peer = person(world)
    peer.send(message("wf/old", id=1))
    news(peer, world)
    world.core.go_away("stop", 1.0)
    peer.send(message("wf/new", id=2))
    peer.send(message("wf/old", id=3))
    away, error, ack = news(peer, world)
    assert away["message_type"] == "go_away"
    assert (error["payload"]["code"], error["payload"]["request"]) == (Code.DRAINING, 2)
    assert ack["payload"]["request"] == 3


def test_what_goes_wrong_inside_closes_that_connection_only(monkeypatch: pytest.MonkeyPatch) -> None:
    world = World()
    peer, other = person(world), person(world)
    with monkeypatch.context() as patch:
        patch.setattr(text_session, "submit", lambda *_, **__: 1 // 0)
        peer.send(message(id=1))
    assert peer.transport.closed is not None
    assert peer.transport.closed[0] == Code.INTERNAL_ERROR
    assert only(peer, world, "error")["payload"]["code"] == Code.INTERNAL
    other.send(message(id=1))
    assert only(other, world, "ack")["payload"]["offset"] == 0


@pytest.mark.parametrize("text", [message(), '{"message_type":"open","payload":{"stream":"wf-42/late"}}', "no JSON"])
def test_a_text_that_comes_after_the_close_is_ignored(text: str) -> None:
    world = World()
    peer = person(world)
    peer.session.connection.close(Code.GOING_AWAY, "stopping")
    peer.send(text)
    world.settle()
    assert not list(world.core.streams)
    assert peer.transport.late == []


def test_more_streams_than_aliases_are_published_to() -> None:
    world = World(limits=Limits(max_aliases=3))
    peer = person(world)
    for _ in range(2):
        for stream in range(5):
            peer.send(message(stream=f"run-{stream}/loss"))
    acks = [text["payload"] for text in news(peer, world) if text["message_type"] == "ack"]
    assert [(ack["stream"], ack["offset"]) for ack in acks] == [
        (f"run-{stream}/loss", offset) for offset in range(2) for stream in range(5)
    ]
    assert len(peer.session.bindings) == 3


def test_each_message_to_a_stream_that_cannot_be_opened_gets_its_own_error_however_many_names_there_are() -> None:
    many = 20
    world = World(limits=Limits(max_aliases=3))
    world.publisher(*[f"run-{number}/loss" for number in range(3)], kind=Kind.EVENT)
    peer = person(world)
    for number in range(many):
        peer.send(message(id=number, stream=f"run-{number % 3}/loss", kind="state"))
        peer.send(message(id=many + number, stream=f"run-{number}/x.dead"))
        open_ = {"alias": number, "stream": f"run-{number % 3}/loss", "kind": "state"}
        peer.send(orjson.dumps({"message_type": "open", "id": 99, "payload": open_}))
    errors = [text["payload"] for text in news(peer, world) if text["message_type"] == "error"]
    answered = [(error["request"], error["error"]) for error in errors if "request" in error]
    assert sorted(answered) == [
        *[(number, "KIND_MISMATCH") for number in range(many)],
        *[(many + number, "FORBIDDEN") for number in range(many)],
    ]
    assert [error["alias"] for error in errors if "request" not in error] == list(range(many))
    assert not peer.form._publishes
    # Nothing is stuck: as many aliases as there may be were refused, and are given to other streams.
    for number in range(many):
        peer.send(message(id=number, stream=f"good-{number}/loss"))
    acks = [text["payload"] for text in news(peer, world) if text["message_type"] == "ack"]
    assert [ack["request"] for ack in acks] == list(range(many))


def test_streams_that_the_client_does_not_receive_any_more_take_no_memory() -> None:
    world = World()
    peer = person(world)

    def look_at_a_view(number: int) -> None:
        view = {"pattern": "wf-42/loss", "subscription": number, "view": {"max_rate_hz": 1 + number / 1000}}
        peer.send(json.dumps({"id": 1, "message_type": "subscribe", "payload": view}))
        peer.send(json.dumps({"id": 2, "message_type": "unsubscribe", "payload": {"subscription": number}}))
        assert [text["message_type"] for text in news(peer, world)[-3:]] == ["subscribed", "stream", "unsubscribed"]

    peer.send(MESSAGE)
    news(peer, world)
    for number in range(50):
        look_at_a_view(number)
    tracemalloc.start()
    try:
        for number in range(50, 550):
            look_at_a_view(number)
        gc.collect()
        left_bytes, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert left_bytes < 500 * 50, "an entry of a dict and a tuple take more than 100 bytes"


def test_a_text_that_is_no_utf8_closes_the_connection() -> None:
    peer = person(World())
    peer.send(b'{"message_type":"ping","payload":{"t0":"\xff"}}')
    assert peer.transport.closed is not None
    code, reason = peer.transport.closed
    assert code == Code.INVALID_DATA
    assert "at byte 40 of 44" in reason


LARGE = base64.b64encode(bytes(range(256)) * 6000).decode()
LARGE_PAYLOAD = {"dtype": "uint8", "shape": [256 * 6000], "data": LARGE}


def test_a_long_text_keeps_its_place_and_gives_others_their_turn() -> None:
    world = World()
    peer, other = person(world), world.publisher("wf-42/other")
    subscriber = world.subscriber("**")
    world.take_one_step_a_turn()
    peer.send(message(id=1, kind="event", payload=LARGE_PAYLOAD))
    peer.send(message(id=2, payload={"dtype": "uint8", "shape": [1], "data": "AA=="}))
    other.publish(0, b"meanwhile")
    world.turns(10)
    assert [arrival.payload for arrival in subscriber.read().arrivals] == [b"meanwhile"]
    assert [text["payload"]["request"] for text in news(peer, world)] == [1, 2]
    arrivals = subscriber.read().arrivals
    assert [arrival.payload for arrival in arrivals] == [b"meanwhile", bytes(range(256)) * 6000, b"\0"]


def test_a_large_request_that_is_refused_is_named() -> None:
    world = World()
    peer = person(world)
    peer.send(orjson.dumps({"id": 5, "message_type": "request", "stream": "agent:nobody", "payload": LARGE_PAYLOAD}))
    error = only(peer, world, "error")["payload"]
    assert (error["code"], error["request"]) == (Code.NO_SUCH_PEER, 5)
    peer.send('{"message_type":"unsubscribe","payload":{"subscription":9,"request":6}}')
    assert only(peer, world, "error")["payload"]["request"] == 6


def test_a_large_message_without_ack_leaves_nothing_to_be_acknowledged() -> None:
    world = World()
    peer = person(world)
    peer.send(message(payload=LARGE_PAYLOAD, ack=False))
    assert news(peer, world) == []
    assert peer.form._publishes == {}


def test_a_long_text_is_decoded_for_the_others_when_its_client_has_left() -> None:
    world = World()
    peer = person(world)
    subscriber = world.subscriber("**")
    peer.send(message(payload=LARGE_PAYLOAD, ack=False))
    world.core.disconnect(peer.session)
    world.settle()
    assert [arrival.payload for arrival in subscriber.read().arrivals] == [bytes(range(256)) * 6000]


@pytest.mark.parametrize("noise", [b"[1," * 1_000_000, b'{"data":"' + LARGE.encode() + b"!"])
def test_a_long_text_that_is_no_message_is_refused(noise: bytes) -> None:
    world = World()
    peer = person(world)
    peer.send(noise)
    peer.send(message(id=3))
    error, ack = news(peer, world)
    assert (error["payload"]["code"], ack["payload"]["request"]) == (Code.MESSAGE_TOO_BIG, 3)


@pytest.mark.parametrize("at", [10, 2_000_000])
def test_a_long_text_that_is_no_utf8_closes_the_connection(at: int) -> None:
    world = World()
    peer = person(world)
    text = bytearray(message(id=1, payload=LARGE_PAYLOAD, headers={"note": "x" * 60_000}).encode())
    text[at] = 0xFF
    peer.send(bytes(text))
    world.settle()
    assert peer.transport.closed is not None
    code, reason = peer.transport.closed
    assert code == Code.INVALID_DATA
    assert f"at byte {at} of {len(text)}" in reason


def test_a_part_of_a_subscribe_that_is_too_large_is_answered_with_the_last_part() -> None:
    world = World()
    peer = person(world)
    first = {"pattern": "wf-42/*", "more": True, "since": {f"wf-42/{number}": [1, 1] for number in range(6000)}}
    peer.send(orjson.dumps({"id": 4, "message_type": "subscribe", "payload": first}))
    assert news(peer, world) == []
    peer.send('{"id":4,"message_type":"subscribe","payload":{"pattern":"wf-42/*","since":{}}}')
    error = only(peer, world, "error")["payload"]
    assert (error["code"], error["request"]) == (Code.MESSAGE_TOO_BIG, 4)


@pytest.mark.parametrize(
    "text", ["no JSON", '{"message_type":"never"}', '{"message_type":"open","payload":{"stream":5}}']
)
def test_very_many_texts_in_a_row_that_cannot_be_read_close_the_connection(text: str) -> None:
    world = World()
    peer = person(world)
    for _ in range(MAX_UNREADABLE - 1):
        peer.send(text)
    peer.send('{"message_type":"ping","payload":{"t0":5}}')
    for _ in range(MAX_UNREADABLE - 1):
        peer.send(text)
    before = peer.transport.closed
    peer.send(text)
    assert peer.transport.closed is not None
    assert peer.transport.closed[0] == Code.UNEXPECTED_MESSAGE
    assert before is None


def test_tensors_that_are_refused_close_nothing() -> None:
    world = World()
    peer = person(world)
    wrong = {
        "message_type": "message",
        "stream": "wf-42/a",
        "payload": {"dtype": "float64", "shape": [9], "data": "AA=="},
    }
    for _ in range(2 * MAX_UNREADABLE):
        peer.send(json.dumps(wrong))
    assert peer.transport.closed is None


def test_texts_wait_behind_the_backlog() -> None:
    world = World()
    peer = person(world)
    peer.session.backlog.add(lambda: False)
    peer.send('{"message_type":"ping","payload":{"t0":5}}')
    assert peer.texts() == []
    world.settle()
    (pong,) = peer.texts()
    assert json.loads(pong)["payload"]["t0"] == 5


@pytest.mark.parametrize("size", [1000, 450_000])
def test_tasks_for_a_client_that_reads_nothing_wait_at_their_stream_and_come_in_order(size: int) -> None:
    world = World()
    publisher = world.publisher("wf-42/tasks", kind=Kind.COLLABORATION)
    peer = person(world)
    peer.send(SUBSCRIBE)
    world.settle()
    peer.texts()
    connection = peer.session.connection
    peer.transport.fill_up()
    count = 40
    for number in range(count):
        publisher.publish(0, bytes([number]) * size, ack=True)
        world.settle()
    assert connection.outbox is not None
    assert connection.outbox.waiting_bytes < 2 * (size * 4 // 3 + 1000)
    offsets: list[int] = []
    while len(offsets) < count:
        peer.transport.read_on()
        world.settle()
        offsets += [text["offset"] for text in map(json.loads, peer.texts()) if text["message_type"] == "message"]
    assert offsets == [*range(count)]
