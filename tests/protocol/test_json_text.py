"""Text messages: the same values as in binary, and whatever text comes, a documented error at most."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.errors import Code, PeerError, ProtocolViolation, RequestRefused
from gateway.ids import ClientId
from gateway.protocol.durability import Durability
from gateway.protocol.json_body import BodyRefused
from gateway.protocol.json_message import JsonMessage
from gateway.protocol.json_text import (
    JsonAck,
    JsonRange,
    TextMessage,
    parse_text,
    write_ack,
    write_cancel,
    write_pong,
    write_range,
    write_session_text,
)
from gateway.protocol.limits import WelcomeLimits
from gateway.protocol.message_text import write_message
from gateway.protocol.messages import (
    Account,
    Authenticate,
    Authenticated,
    ClientType,
    Counts,
    Delete,
    Deleted,
    Error,
    GoAway,
    Hello,
    Kind,
    Notice,
    Open,
    Refresh,
    SessionMessage,
    StreamInfo,
    Subscribe,
    Subscribed,
    Unsubscribe,
    Unsubscribed,
    Welcome,
)
from gateway.protocol.presence import Attend, Attending, Awareness, Members, PresentMember, Watching
from gateway.protocol.signals import Cancel, Credit, Ping, Pong, ProgramPosition, ReceiverReport
from gateway.protocol.wire import JSON_OPCODES, MAX_POSITIONS, Opcode

SPEC = (Path(__file__).parents[2] / "spec" / "protocol.md").read_text()
SECTION = SPEC.partition("## 14. The JSON subprotocol")[2].partition("## 15.")[0]

MESSAGES: list[SessionMessage] = [
    Hello((1,), ClientType.ADMIN_PANEL, ClientId("ann"), token="t"),
    Welcome(1, ClientId("ann"), "9f", 17, (), (), WelcomeLimits(1, 2, 3), 20.0, 5),
    Authenticate(1, "t"),
    Authenticated(1, None),
    Open(0, "wf-42/loss", Kind.STATE),
    StreamInfo(7, "wf-42/loss", Kind.EVENT, 1, 2),
    Subscribe(2, 1, "wf-42/*"),
    Subscribed(2, 1),
    Unsubscribe(3, 1),
    Unsubscribed(3, 1),
    Error(5203, "KIND_MISMATCH", "no", request=4),
    GoAway(1001, "stopping", 10.0),
    Refresh(7),
    Delete(5, "run-1/*"),
    Deleted(5, ("run-1/loss",), more=True),
    Notice("wf-42/tasks", 3, 3, 5218, "late", "worker"),
    Account(9, 1, {"wf-42/loss": Counts(1, 2, 3, 4, 5)}),
    Attend(4, "wf-42", {"role": "trainer"}, Watching.MEMBERS),
    Attending(4, "wf-42", 17),
    Awareness("wf-42", {"cursor": [1, 2]}),
    Members("wf-42", 1, (PresentMember("a", "agent", 17, 5, {}),), {"a": None}, ("b",), roster=True),
]


@pytest.mark.parametrize("message", MESSAGES, ids=lambda message: type(message).__name__)
def test_session_messages_are_those_of_binary(message: SessionMessage) -> None:
    written = write_session_text(message, id=9, timestamp=1.5)
    assert parse_text(written) == parse_text(written.decode()) == message
    fields = orjson.loads(written)
    assert (fields["id"], fields["timestamp"], fields["headers"]) == (9, 1.5, None)


TYPES_WITH_ID = ["authenticate", "open", "subscribe", "unsubscribe", "delete", "account", "attend"]


@pytest.mark.parametrize("message_type", TYPES_WITH_ID)
@pytest.mark.parametrize(
    ("identity", "problem"),
    [
        ({}, "is required"),
        ({"id": "one"}, "must be an integer, met a string"),
        ({"id": 2**53}, f"must be from 0 to {2**53 - 1}, met {2**53}"),
    ],
)
def test_an_id_that_stands_for_a_field_is_refused_by_its_name(
    message_type: str, identity: dict[str, object], problem: str
) -> None:
    payload = {"pattern": "a/b", "stream": "a/b", "token": "t", "scope": "a"}
    with pytest.raises(BodyRefused) as refused:
        parse_text(orjson.dumps({"message_type": message_type, "payload": payload, **identity}))
    assert refused.value.message == f"{message_type}: field 'id' {problem}"
    assert not refused.value.answers


def test_every_session_message_is_there() -> None:
    assert {message.opcode for message in MESSAGES} == JSON_OPCODES


@pytest.mark.parametrize(
    ("written", "message"),
    [
        (write_ack(JsonAck(4, "a/b", 2**64 - 1)), JsonAck(4, "a/b", 2**64 - 1)),
        (write_ack(JsonAck(None, "a/b", 0), timestamp=1.0), JsonAck(None, "a/b", 0)),
        (write_ack(JsonAck(1, "a/b", 0, Durability.OS)), JsonAck(1, "a/b", 0, Durability.OS)),
        (write_range(JsonRange(Opcode.GAP, "a/b", 5208, 7, 9)), JsonRange(Opcode.GAP, "a/b", 5208, 7, 9)),
        (write_range(JsonRange(Opcode.GAP, "a/b", 5217, 7, 9, 8)), JsonRange(Opcode.GAP, "a/b", 5217, 7, 9, 8)),
        (write_range(JsonRange(Opcode.REPLAY, "a/b", 0, 7, 9, 8)), JsonRange(Opcode.REPLAY, "a/b", 0, 7, 9, 8)),
        (b'{"id":1,"message_type":"ping","payload":{"t0":-9223372036854775808}}', Ping(-(2**63))),
        (write_pong(Pong(1, 2, 2**63 - 1)), Pong(1, 2, 2**63 - 1)),
    ],
    ids=["ack", "ack without id", "ack with durability", "gap", "gap of a view", "replay of a view", "ping", "pong"],
)
def test_signals(written: bytes, message: TextMessage) -> None:
    assert parse_text(written) == message


def test_a_ping_by_hand() -> None:
    assert parse_text('{"message_type":"ping"}') == Ping(0)


def test_the_example_session_of_the_spec() -> None:
    (block,) = re.findall(r"```\n(.*?)```", SECTION, re.DOTALL)
    hello, subscribe, message = (parse_text(line) for line in block.splitlines())
    assert hello == Hello((1,), ClientType.AGENT)
    assert subscribe == Subscribe(1, 1, "page-1/*")
    assert isinstance(message, JsonMessage)
    assert (message.id, message.stream) == (2, "page-1/loss")
    assert message.tensors[0][1].tolist() == [1.0, 2.0]


def test_the_message_types_are_those_of_the_spec() -> None:
    (row,) = re.findall(r"^\| `message_type` \| (the lower-case .*) \|$", SECTION, re.MULTILINE)
    for name in re.findall(r"`([a-z_]+)`", row):
        with pytest.raises(PeerError) as refused:
            parse_text(orjson.dumps({"message_type": name, "payload": 1}))
        assert refused.value.code in (Code.INVALID_REQUEST, Code.BAD_HELLO)


def test_the_id_stands_for_what_is_left_out() -> None:
    def text(message_type: str, **payload: object) -> str:
        return orjson.dumps({"id": 5, "message_type": message_type, "payload": payload}).decode()

    assert parse_text(text("subscribe", pattern="**")) == Subscribe(5, 5, "**")
    assert parse_text(text("subscribe", pattern="**", subscription=1, request=2)) == Subscribe(2, 1, "**")
    assert parse_text(text("unsubscribe", subscription=1)) == Unsubscribe(5, 1)
    assert parse_text(text("authenticate", token="t")) == Authenticate(5, "t")
    assert parse_text(text("open", stream="a/b")) == Open(5, "a/b")


def test_a_client_may_name_itself_outside_of_the_payload() -> None:
    text = b'{"message_type":"hello","client_id":"ann","client_type":"agent","payload":{"versions":[1]}}'
    assert parse_text(text) == Hello((1,), ClientType.AGENT, ClientId("ann"))
    text = (
        b'{"message_type":"hello","client_id":"a","client_type":"x","payload":{"versions":[1],"client_type":"agent"}}'
    )
    assert parse_text(text) == Hello((1,), ClientType.AGENT, ClientId("a"))


@pytest.mark.parametrize(
    ("text", "code", "answers"),
    [
        ("", Code.INVALID_REQUEST, None),
        ("hello", Code.INVALID_REQUEST, None),
        ("[]", Code.INVALID_REQUEST, None),
        (b"\xff", Code.INVALID_REQUEST, None),
        ("\ud800", Code.INVALID_REQUEST, None),
        ("{}", Code.INVALID_REQUEST, {}),
        ('{"id":1,"message_type":7}', Code.INVALID_REQUEST, {"request": 1}),
        ('{"id":1,"message_type":"batch"}', Code.UNKNOWN_MESSAGE_TYPE, {"request": 1}),
        ('{"id":"1","message_type":"nope"}', Code.UNKNOWN_MESSAGE_TYPE, {}),
        ('{"id":1,"message_type":"subscribe"}', Code.INVALID_REQUEST, {"request": 1}),
        ('{"id":1,"message_type":"subscribe","payload":{"request":2}}', Code.INVALID_REQUEST, {"request": 2}),
        ('{"id":1,"message_type":"open","payload":{"alias":2}}', Code.INVALID_REQUEST, {"request": 1, "alias": 2}),
        ('{"message_type":"subscribe","payload":{"pattern":"**"}}', Code.INVALID_REQUEST, {}),
        ('{"id":1,"message_type":"message"}', Code.INVALID_REQUEST, {"request": 1}),
        ('{"id":1,"message_type":"reply","correlation":3}', Code.INVALID_REQUEST, {"request": 1, "correlation": 3}),
        (
            '{"id":1,"message_type":"message","stream":"a/b","payload":{"dtype":"x","shape":[],"data":""}}',
            Code.INVALID_TENSOR,
            {"request": 1},
        ),
        ('{"message_type":"ping","payload":{"t0":1.5}}', Code.INVALID_REQUEST, {}),
    ],
)
def test_refusals(text: str | bytes, code: Code, answers: dict[str, int] | None) -> None:
    with pytest.raises(PeerError) as refused:
        parse_text(text)
    assert refused.value.code == code
    if answers is not None:
        assert isinstance(refused.value, BodyRefused)
        assert refused.value.answers == answers


def test_a_wrong_hello_is_a_violation() -> None:
    with pytest.raises(ProtocolViolation, match="versions") as violation:
        parse_text('{"id":1,"message_type":"hello","client_type":"agent"}')
    assert violation.value.code == Code.BAD_HELLO


DOCUMENTED = {
    Code.BAD_HELLO,
    Code.INVALID_REQUEST,
    Code.UNKNOWN_MESSAGE_TYPE,
    Code.INVALID_TENSOR,
    Code.SIZE_MISMATCH,
    Code.CORRUPT_PAYLOAD,
}


def check(text: str | bytes) -> None:
    try:
        parse_text(text)
    except PeerError as error:
        code = error.code
    else:
        return
    assert code in DOCUMENTED


@given(st.binary() | st.text())
def test_random_text(text: str | bytes) -> None:
    check(text)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)
TENSORS = st.fixed_dictionaries(
    {
        "dtype": st.sampled_from(["float32", "bool", "bfloat16", "complex128", "object"]) | JSON,
        "shape": st.lists(st.integers(0, 3) | st.integers(0, 2**64 - 1), max_size=4) | JSON,
        "data": st.text("AQz+/=\n", max_size=32) | JSON,
    }
)
WHOLE: list[Any] = [write_session_text(message, id=1) for message in MESSAGES] + [
    write_message(JsonMessage("message", id=1, stream="a/b", tensors=(("", np.zeros(2)),), headers={"a": 1})),
    write_message(JsonMessage("request", id=1, stream="agent:x", tensors=(("w", np.zeros(2)),))),
    write_message(JsonMessage("reply", correlation=1, peer=2, failed=True)),
    write_ack(JsonAck(1, "a/b", 2)),
    write_range(JsonRange(Opcode.GAP, "a/b", 5100, 1, 2)),
    b'{"id":null,"message_type":"ping","payload":{"t0":1}}',
    write_pong(Pong(1, 2, 3)),
]


@given(st.sampled_from(WHOLE), st.data())
def test_whole_messages_with_fields_replaced(text: bytes, data: st.DataObject) -> None:
    fields = orjson.loads(text)
    changed = data.draw(st.dictionaries(st.sampled_from(sorted(fields)), JSON, max_size=2))
    payload = fields["payload"]
    if payload and data.draw(st.booleans()):
        changed["payload"] = payload | data.draw(st.dictionaries(st.sampled_from(sorted(payload)), JSON, max_size=2))
    check(orjson.dumps(fields | changed))


@given(TENSORS | st.dictionaries(st.text(max_size=3), TENSORS, max_size=3).map(lambda named: {"tensors": named}))
def test_random_tensors(payload: object) -> None:
    check(orjson.dumps({"message_type": "message", "stream": "a/b", "payload": payload}))


def test_a_report_has_the_fields_that_it_names() -> None:
    payload = {"decoded_bytes": 4096, "decode_ns": 50_000, "unread_bytes": 7, "unread_ns": 2**64 - 1}
    text = {"message_type": "report", "payload": payload}
    assert parse_text(orjson.dumps(text)) == ReceiverReport(4096, 50_000, 7, 2**64 - 1)
    assert parse_text(orjson.dumps(text | {"payload": {"unread_ns": 5}})) == ReceiverReport(0, 0, 0, 5)
    assert parse_text(orjson.dumps(text | {"payload": None})) == ReceiverReport(0, 0, 0, 0)
    for wrong in (-1, 1.5, "many"):
        with pytest.raises(BodyRefused, match="decode_ns"):
            parse_text(orjson.dumps(text | {"payload": {"decode_ns": wrong}}))


def test_a_report_has_positions_of_the_program() -> None:
    def report(positions: object) -> bytes:
        return orjson.dumps({"message_type": "report", "payload": {"unread_bytes": 7, "positions": positions}})

    position = {"stream": 7, "behind": 3, "offset": 15}
    assert parse_text(report([position])) == ReceiverReport(0, 0, 7, 0, (ProgramPosition(7, 3, 15),))
    assert parse_text(report([])) == parse_text(report(None)) == ReceiverReport(0, 0, 7, 0)
    assert parse_text(report([position] * MAX_POSITIONS)) == ReceiverReport(
        0, 0, 7, 0, (ProgramPosition(7, 3, 15),) * MAX_POSITIONS
    )
    many: list[object] = [[position] * (MAX_POSITIONS + 1), [7], {}, [{"stream": 7}], [position | {"behind": 2**32}]]
    for wrong in many:
        with pytest.raises(BodyRefused, match="positions"):
            parse_text(report(wrong))


def test_credit_is_read_from_its_payload() -> None:
    text = b'{"message_type":"credit","payload":{"subscription":5,"messages":16,"bytes":1048576}}'
    assert parse_text(text) == Credit(5, 16, 1 << 20)
    with pytest.raises(RequestRefused):
        parse_text(b'{"message_type":"credit","payload":{"subscription":5,"messages":-1,"bytes":0}}')


def test_cancel_names_the_asker_only_to_a_replier() -> None:
    assert parse_text(write_cancel(Cancel(17, 99))) == Cancel(17, 99)
    assert parse_text(write_cancel(Cancel(0, 99))) == Cancel(0, 99)
    assert "peer" not in orjson.loads(write_cancel(Cancel(0, 99)))
