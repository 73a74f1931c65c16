"""Bodies of presence: what is no part of them, and their sizes. Round trips are in ``test_session_body.py``."""

from __future__ import annotations

from typing import Any

import orjson
import pytest

from gateway.errors import Code, RequestRefused
from gateway.protocol.presence import Members, Watching, json_of
from gateway.protocol.session_body import fields_of, parse_session, write_session
from gateway.protocol.wire import Opcode


@pytest.mark.parametrize(
    ("opcode", "fields", "problem"),
    [
        (Opcode.ATTEND, {"request": 1}, "scope"),
        (Opcode.ATTEND, {"scope": "wf"}, "request"),
        (Opcode.ATTEND, {"request": 1, "scope": "wf", "metadata": [1]}, "metadata"),
        (Opcode.ATTEND, {"request": 1, "scope": "wf", "watch": "everything"}, "must be one of members, count"),
        (Opcode.AWARENESS, {"scope": "wf", "state": 7}, "state"),
        (Opcode.MEMBERS, {"scope": "wf", "count": 1, "members": [7]}, "a list of objects"),
        (Opcode.MEMBERS, {"scope": "wf", "count": 1, "members": [{"client_id": "a"}]}, "client_type"),
        (Opcode.MEMBERS, {"scope": "wf", "count": 1, "awareness": {"a": 7}}, "an object"),
        (Opcode.MEMBERS, {"scope": "wf"}, "count"),
    ],
)
def test_a_wrong_body(opcode: Opcode, fields: dict[str, Any], problem: str) -> None:
    with pytest.raises(RequestRefused, match=problem) as refused:
        parse_session(opcode, orjson.dumps(fields))
    assert refused.value.code == Code.INVALID_REQUEST


def test_fragments_are_written_as_they_are() -> None:
    member = orjson.Fragment(b'{"client_id":"a","client_type":"agent","peer":1,"generation":2,"metadata":{"x":1}}')
    message = Members("wf", 1, [member], {"a": orjson.Fragment(b'{"c":1}'), "b": None}, ["c"])
    read = parse_session(Opcode.MEMBERS, orjson.dumps(fields_of(message)))
    assert isinstance(read, Members)
    assert read.members is not None
    assert read.members[0].metadata == {"x": 1}  # type: ignore[union-attr]  # what is read is no fragment
    assert read.awareness == {"a": {"c": 1}, "b": None}
    assert write_session(message)


def test_a_watch_is_read_by_its_name() -> None:
    assert [Watching("members"), Watching("count")] == list(Watching)


def test_the_bytes_of_metadata_are_counted_without_spaces() -> None:
    assert json_of("it", {"a": [1, 2]}, 11) == b'{"a":[1,2]}'
    with pytest.raises(RequestRefused, match="it has 11 bytes of JSON, more than 10") as refused:
        json_of("it", {"a": [1, 2]}, 10)
    assert refused.value.code == Code.MESSAGE_TOO_BIG


def test_what_is_no_json() -> None:
    with pytest.raises(RequestRefused, match="it is no JSON") as refused:
        json_of("it", {"a": object()}, 10)
    assert refused.value.code == Code.INVALID_REQUEST
