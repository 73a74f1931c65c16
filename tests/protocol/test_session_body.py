"""Messages with a JSON body: what is written is read again, the spec's examples too; bad bodies name the bad field."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.errors import Code, PeerError, ProtocolViolation, RequestRefused
from gateway.ids import ClientId
from gateway.protocol.durability import Durability
from gateway.protocol.frames import body_of, iter_frames
from gateway.protocol.json_body import BodyRefused
from gateway.protocol.limits import Limits, WelcomeLimits
from gateway.protocol.messages import (
    BEGINNING,
    Account,
    Authenticate,
    Authenticated,
    ClientType,
    Counts,
    Credits,
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
from gateway.protocol.session_body import (
    MAX_AGENT_CHARS,
    fields_of,
    parse_session,
    write_session,
)
from gateway.protocol.wire import JSON_OPCODES, Opcode

SPEC = (Path(__file__).parents[2] / "spec" / "protocol.md").read_text()
EXAMPLES = [
    pytest.param(Opcode[name], example, id=name.lower())
    for name, example in re.findall(r"\b([A-Z_]+):? `(\{[^`]*\})`", SPEC)
]

HELLO = Hello(
    versions=(1, 2),
    client_type=ClientType.AGENT,
    client_id=ClientId("trainer"),
    token="t",
    agent="frys-python/0.1",
    codecs=("lz4",),
    filters=("xor",),
    max_message_bytes=2**32,
)
WELCOME = Welcome(
    version=1,
    client_id=ClientId("trainer"),
    session="9f",
    peer=17,
    codecs=("lz4", "zstd"),
    filters=(),
    limits=WelcomeLimits.of(Limits()),
    heartbeat_interval_s=20.0,
    time_ns=1770000000000000000,
    agent="frys/0.1",
)
MESSAGES: list[SessionMessage] = [
    HELLO,
    Hello(versions=(), client_type=ClientType.WORKFLOW),
    WELCOME,
    Authenticate(1, "ü" * 9),
    Authenticated(1, 3600.5),
    Authenticated(1, None),
    Open(0, "wf-42/loss"),
    Open(2**32 - 1, "agent:planner", Kind.EVENT),
    StreamInfo(7, "wf-42/loss", Kind.STATE, 2**53 - 1, 2**64 - 1, 0),
    StreamInfo(7, "wf-42/loss", Kind.CONTROL, 0, 0),
    StreamInfo(None, "agent:planner", alias=3),
    Subscribe(2, 1, "wf-42/*"),
    Subscribed(2, 1),
    Unsubscribe(3, 1),
    Unsubscribed(3, 1),
    Error(Code.FORBIDDEN, "FORBIDDEN", "no"),
    Error(4100, "TOO_MANY_CONNECTIONS", "full", retry_after_s=2.5),
    Error(5299, "CODE_5299", "new", 1, 2, 3, 4, 5, "wf-42/loss", 6, 7),
    GoAway(1001, "server is stopping", 10.0),
    GoAway(1001, "server is stopping", 10.0, 0.25),
    GoAway(1001, "server is stopping", 10.0, 0.25, "wss://gateway-2.example.com"),
    Open(1, "wf/field", Kind.STATE, Durability.FSYNC, {"dtype": "float32", "shape": [64, None]}, 2**53 - 1, 2**64 - 1),
    StreamInfo(7, "wf/x", Kind.EVENT, 1, 20, durability=Durability.OS, since=12, recovered=False),
    StreamInfo(8, "wf/x", Kind.EVENT, 1, 20, subscription=3, schema={"dtype": "bool", "shape": []}),
    Subscribe(2, 1, "wf-42/*", BEGINNING),
    Subscribe(2, 1, "wf-42/*", 2**64 - 1, view={"slice": [[None, None, 4], 0]}),
    Subscribe(
        2,
        1,
        "wf-42/*",
        {"wf-42/a": (2**53 - 1, 2**64 - 1)},
        None,
        Credits(16, 2**40),
        {"wf-42/b": (5, 311)},
        {"wf-42/a": Counts(1, 2, 3, 4, 5)},
    ),
    Refresh(7),
    StreamInfo(7, "wf-42/loss", Kind.EVENT, 1, 12, ended="deleted"),
    Delete(5, "run-1/*"),
    Deleted(5, ("run-1/loss",)),
    Deleted(5, (), more=True),
    Notice("wf/tasks", 3, 4, 5218, "late", "worker"),
    Notice("wf/tasks", 3, 3, 5219, "tried 5 times"),
    Notice(None, None, None, 5225, "another client has come", "worker"),
    Notice(None, None, None, 5226, "a slow link", subscription=3),
    Subscribe(2, 1, "wf-42/*", lower={"dtype": "uint8"}),
    StreamInfo(8, "wf/x", Kind.STATE, 1, 20, subscription=3, since=19, lowered=False),
    Account(9, 1),
    Account(9, 1, {"wf/a": Counts(120, 0, 4, 16)}),
    Account(9, 1, {"wf/a": Counts(120, 0, 4, 16, 0, 7)}, more=True),
    Subscribe(2, 1, "wf-42/*", {"wf-42/a": (1, 2)}, account={"wf-42/a": Counts(3)}, more=True),
    Attend(2, "wf-42"),
    Attend(2, "wf-42/loss", {"role": "trainer"}, Watching.COUNT),
    Attending(2, "wf-42", 17),
    Awareness("wf-42", {"cursor": [1, 2]}),
    Awareness("wf-42"),
    Members("wf-42", 17),
    Members(
        "wf-42",
        2,
        (PresentMember("a", "agent", 17, 2**53 - 1, {"x": {"y": 1}}), PresentMember("b", "extension", 0, 0, {})),
        {"a": {"cursor": 1}, "b": None},
        ("c",),
        roster=True,
        more=False,
    ),
]


@pytest.mark.parametrize("message", MESSAGES, ids=lambda message: type(message).__name__)
def test_what_is_written_is_read_again(message: SessionMessage) -> None:
    written = write_session(message)
    (frame,) = iter_frames(written)
    assert (frame.opcode, frame.flags, frame.meta_units) == (message.opcode, 0, 0)
    assert parse_session(frame.opcode, body_of(memoryview(written), frame)) == message


def test_every_opcode_with_a_json_body_has_its_message() -> None:
    assert {message.opcode for message in MESSAGES} == JSON_OPCODES


@pytest.mark.parametrize(("opcode", "example"), EXAMPLES)
def test_the_examples_of_the_spec(opcode: Opcode, example: str) -> None:
    message = parse_session(opcode, example.encode())
    assert orjson.loads(orjson.dumps(fields_of(message))) == orjson.loads(example)


def test_the_spec_has_examples() -> None:
    assert {Opcode.HELLO, Opcode.WELCOME, Opcode.STREAM} <= {example.values[0] for example in EXAMPLES}


def test_what_does_not_apply_is_left_out_but_documented_nulls_stay() -> None:
    assert fields_of(Open(0, "a/b")) == {"alias": 0, "stream": "a/b"}
    assert fields_of(StreamInfo(None, "agent:x", alias=1)) == {"id": None, "stream": "agent:x", "alias": 1}
    assert fields_of(Authenticated(1, None)) == {"request": 1, "expires_s": None}
    assert fields_of(Error(5300, "FORBIDDEN", "no")) == {"code": 5300, "error": "FORBIDDEN", "message": "no"}


def test_unknown_fields_are_skipped() -> None:
    assert parse_session(Opcode.SUBSCRIBED, b'{"request":1,"subscription":2,"colour":{}}') == Subscribed(1, 2)


@pytest.mark.parametrize(
    ("changed", "field"),
    [
        ({"versions": None}, "versions"),
        ({"versions": [1, "2"]}, "versions"),
        ({"versions": [True]}, "versions"),
        ({"client_type": "robot"}, "client_type"),
        ({"client_type": 3}, "client_type"),
        ({"client_id": "a b"}, "client id"),
        ({"token": 7}, "token"),
        ({"codecs": "lz4"}, "codecs"),
        ({"max_message_bytes": -1}, "max_message_bytes"),
    ],
)
def test_a_wrong_hello(changed: dict[str, Any], field: str) -> None:
    body = orjson.dumps(fields_of(HELLO) | changed)
    with pytest.raises(ProtocolViolation, match=field) as violation:
        parse_session(Opcode.HELLO, body)
    assert violation.value.code == Code.BAD_HELLO


def test_a_hello_that_is_no_json() -> None:
    with pytest.raises(ProtocolViolation) as violation:
        parse_session(Opcode.HELLO, b"GET / HTTP/1.1")
    assert violation.value.code == Code.BAD_HELLO


@pytest.mark.parametrize(
    ("opcode", "fields", "field", "answers"),
    [
        (Opcode.SUBSCRIBE, {"request": 2, "subscription": 1}, "pattern", {"request": 2}),
        (Opcode.SUBSCRIBE, {"request": "2", "subscription": 1, "pattern": "**"}, "request", {}),
        (Opcode.SUBSCRIBE, {"request": 2, "subscription": 2**32, "pattern": "**"}, "subscription", {"request": 2}),
        (Opcode.UNSUBSCRIBE, {"subscription": 1}, "request", {}),
        (Opcode.OPEN, {"alias": 5, "stream": "a/b", "kind": "queue"}, "kind", {"alias": 5}),
        (Opcode.OPEN, {"alias": True, "stream": 5}, "alias", {}),
        (Opcode.AUTHENTICATE, {"request": 3, "token": None}, "token", {"request": 3}),
        (Opcode.STREAM, {"id": 7, "stream": "a/b", "kind": "state", "offset": 1}, "epoch", {}),
        (Opcode.GO_AWAY, {"code": 1001, "reason": "", "deadline_s": -1}, "deadline_s", {}),
        (Opcode.GO_AWAY, {"code": 1001, "reason": "", "deadline_s": 1, "address": 7}, "address", {}),
    ],
)
def test_a_wrong_body_names_the_field_and_what_it_answers(
    opcode: Opcode, fields: dict[str, Any], field: str, answers: dict[str, int]
) -> None:
    with pytest.raises(BodyRefused, match=f"{opcode.name}: field '{field}'") as refused:
        parse_session(opcode, orjson.dumps(fields))
    assert refused.value.code == Code.INVALID_REQUEST
    assert refused.value.answers == answers
    error = Error.of(refused.value)
    assert (error.error, error.request, error.alias) == (
        "INVALID_REQUEST",
        answers.get("request"),
        answers.get("alias"),
    )


@pytest.mark.parametrize("opcode", [0, Opcode.MESSAGE, 0x7F])
def test_an_opcode_without_json_body(opcode: int) -> None:
    with pytest.raises(RequestRefused) as refused:
        parse_session(opcode, b"{}")
    assert refused.value.code == Code.UNKNOWN_MESSAGE_TYPE


def check(opcode: int, body: bytes) -> None:
    """Whatever is read can be written; whatever cannot be read has a documented error."""
    try:
        message = parse_session(opcode, body)
    except PeerError as error:
        code = error.code
    else:
        assert parse_session(opcode, orjson.dumps(fields_of(message))) == message
        return
    assert code == (Code.BAD_HELLO if opcode == Opcode.HELLO else Code.INVALID_REQUEST)


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-3, 2**64 - 1) | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)


@given(st.sampled_from(sorted(JSON_OPCODES)), st.binary())
def test_random_bytes(opcode: int, body: bytes) -> None:
    check(opcode, body)


@given(st.sampled_from(MESSAGES), st.data())
def test_random_fields(message: SessionMessage, data: st.DataObject) -> None:
    fields = fields_of(message)
    changed = data.draw(st.dictionaries(st.sampled_from(sorted(fields)), VALUES, max_size=3))
    check(message.opcode, orjson.dumps(fields | changed))


@pytest.mark.parametrize(
    ("name", "value", "problem"),
    [
        ("since", "end", "since 'end' must be 'beginning', an offset or an object"),
        ("since", {"a/b": [1]}, r"since of 'a/b' must be two integers up to .*, met \(1,\)"),
        ("since", {"a/b": [2**53, 0]}, "since of 'a/b' must be two integers"),
        ("resume", {"a/b": [0, 2**32]}, "resume of 'a/b' must be two integers up to 4294967295 and 4294967295"),
    ],
)
def test_a_wrong_start_of_a_subscription(name: str, value: object, problem: str) -> None:
    fields = {"request": 2, "subscription": 1, "pattern": "**", name: value}
    with pytest.raises(BodyRefused, match=problem) as refused:
        parse_session(Opcode.SUBSCRIBE, orjson.dumps(fields))
    assert (refused.value.code, refused.value.answers) == (Code.INVALID_REQUEST, {"request": 2})


@pytest.mark.parametrize(("more", "known"), [("true", True), ("false", False), ("3", False)])
def test_a_refused_part_is_known_as_one(more: str, *, known: bool) -> None:
    body = f'{{"request":2,"subscription":1,"pattern":"wf/*","since":{{"wf/a":1}},"more":{more}}}'
    with pytest.raises(BodyRefused) as refused:
        parse_session(Opcode.SUBSCRIBE, body.encode())
    assert (refused.value.answers, refused.value.more) == ({"request": 2}, known)


@pytest.mark.parametrize("counts", ['{"delivered":-1}', '{"delivered":true}', '{"dropped":18446744073709551616}', "[]"])
def test_wrong_counts_are_refused(counts: str) -> None:
    body = f'{{"request":2,"subscription":1,"pattern":"wf/*","account":{{"wf/a":{counts}}}}}'
    with pytest.raises(BodyRefused, match=r"wf/a|delivered|dropped|JSON"):
        parse_session(Opcode.SUBSCRIBE, body.encode())


def test_absent_counts_are_0() -> None:
    body = b'{"request":2,"subscription":1,"streams":{"wf/a":{"dropped":null,"replayed":3},"wf/b":{}}}'
    assert parse_session(Opcode.ACCOUNT, body) == Account(2, 1, {"wf/a": Counts(replayed=3), "wf/b": Counts()})


def test_of_the_agent_of_a_client_the_beginning_is_kept() -> None:
    hello = parse_session(Opcode.HELLO, orjson.dumps({"versions": [1], "client_type": "agent", "agent": "x" * 60_000}))
    assert isinstance(hello, Hello)
    assert hello.agent == "x" * MAX_AGENT_CHARS


def test_the_agent_of_a_client_begins_no_line_in_a_log() -> None:
    body = {"versions": [1], "client_type": "agent", "agent": "frys-é/0.1 (a b)\n2026\r\x1b[31m\u2028"}
    hello = parse_session(Opcode.HELLO, orjson.dumps(body))
    assert isinstance(hello, Hello)
    assert hello.agent == "frys-é/0.1 (a b)?2026??[31m?"


ANNOUNCEMENT = StreamInfo(7, "wf/a", Kind.EVENT, 5, 12, durability=Durability.OS, since=11, recovered=True)


@pytest.mark.parametrize(
    "changed",
    [
        {},
        {"recovered": None},
        {"since": None},
        {"durability": None},
        {"ended": "deleted"},
        {"alias": 3},
        {"observed": True, "subscription": 4},
    ],
)
def test_every_announcement_is_read_alike(changed: dict[str, Any]) -> None:
    expected = replace(ANNOUNCEMENT, **changed)
    assert parse_session(Opcode.STREAM, orjson.dumps(fields_of(expected))) == expected


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("id", 2**32),
        ("id", True),
        ("kind", "loud"),
        ("kind", ["event"]),
        ("epoch", 2**53),
        ("epoch", 1.5),
        ("offset", -1),
        ("since", 2**64),
        ("since", "0"),
        ("durability", "stone"),
        ("durability", {}),
        ("recovered", 1),
        ("stream", 7),
    ],
)
def test_a_wrong_announcement(field: str, value: object) -> None:
    body = json.dumps(fields_of(ANNOUNCEMENT) | {field: value})
    with pytest.raises(RequestRefused):
        parse_session(Opcode.STREAM, body.encode())
