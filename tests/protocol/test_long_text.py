"""Long texts, read in steps: whatever the text, the result is that of reading it at once, or it is too big."""

from __future__ import annotations

import base64
import os
from collections.abc import Generator, Iterator
from typing import Any, TypeVar

import numpy as np
import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.errors import Code, PeerError, RequestRefused
from gateway.protocol import long_text
from gateway.protocol.json_body import BodyRefused
from gateway.protocol.json_message import JsonMessage
from gateway.protocol.json_size import MAX_CONTAINERS
from gateway.protocol.json_text import TextMessage, parse_text
from gateway.protocol.long_text import MAX_JSON_BYTES, SHORT_TEXT_BYTES, Text, read_long_text, utf8_fault
from gateway.protocol.message_text import write_message
from gateway.protocol.wire import MAX_HEADERS_BYTES, MAX_NAME_BYTES, MAX_TENSORS
from tests.protocol.strategies import arrays, headers, names

T = TypeVar("T")
MARK = "0123456789abcdef"


def finish(work: Generator[None, None, T]) -> tuple[T, int]:
    """The result of a piece of work, and the number of its steps."""
    steps = 1
    while True:
        try:
            next(work)
        except StopIteration as over:
            result: T = over.value
            return result, steps
        steps += 1


def read(text: Text) -> TextMessage:
    return finish(read_long_text(text, MARK))[0]


def comparable(message: TextMessage) -> object:
    """A message as a value that is compared; arrays are not."""
    if not isinstance(message, JsonMessage):
        return message
    fields = {name: getattr(message, name) for name in JsonMessage.__slots__}
    fields["tensors"] = [(name, array.dtype, array.shape, array.tobytes()) for name, array in message.tensors]
    return fields


def outcome(text: Text, reader: Any) -> object:
    """What a reader makes of a text: the message, or the code and the numbers of its refusal."""
    try:
        return comparable(reader(text))
    except BodyRefused as refusal:
        return refusal.code, refusal.answers, refusal.more
    except PeerError as error:
        return error.code


@pytest.fixture
def small_steps() -> Iterator[None]:
    """Steps of a few bytes, and short strings cut out, so that short texts go every way."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(long_text, "_PIECE_BYTES", 16)
        patch.setattr(long_text, "_MIN_CHARS", 4)
        yield


def escaped(text: bytes, how: int) -> bytes:
    """A text of JSON, some of whose base64 is written with escapes."""
    if how & 1:
        text = text.replace(b"/", b"\\/")
    if how & 2:
        text = text.replace(b"A", b"\\u0041")
    return text.replace(b":", b" :\n ") if how & 4 else text


DATA = st.binary(max_size=30).map(lambda data: base64.b64encode(data).decode())
HEADERS = headers | st.fixed_dictionaries({"data": DATA, "a": st.fixed_dictionaries({"data": DATA})})
MESSAGES = st.builds(
    lambda named, fields, number: write_message(
        JsonMessage("message", id=number, stream="wf/a", tensors=tuple(named.items()), headers=fields)
    ),
    st.dictionaries(names, arrays(2), max_size=3) | arrays(3).map(lambda array: {"": array}),
    HEADERS,
    st.none() | st.integers(0, 9),
)
NOISE = st.sampled_from([*b'"\\:{}[],=/+Aa \n\x00\xff0', *b"data"])


@given(MESSAGES, st.integers(0, 7))
@settings(max_examples=200)
@pytest.mark.usefixtures("small_steps")
def test_a_message_is_read_as_it_is_at_once(text: bytes, how: int) -> None:
    text = escaped(text, how)
    expected = outcome(text, parse_text)
    assert outcome(text, read) == outcome(bytearray(text), read) == expected


@given(MESSAGES, st.integers(0, 7), st.lists(st.tuples(st.integers(0, 2000), st.integers(0, 3), NOISE), max_size=4))
@settings(max_examples=400)
@pytest.mark.usefixtures("small_steps")
def test_so_is_a_text_with_faults(text: bytes, how: int, faults: list[tuple[int, int, int]]) -> None:
    broken = bytearray(escaped(text, how))
    for place, left_out, noise in faults:
        at = place % len(broken)
        broken[at : at + left_out] = bytes([noise])
    assert outcome(broken, read) == outcome(broken, parse_text)


WORDS = (
    b'"data" : " \\ AAAA AA== ==== \\/ \\u0041 \\u00 { } , "dtype":"uint8","shape":[6] "message_type":"subscribe" '
    b'"data":"AAAAAAAA" {"message_type":"message","stream":"a/b","payload":{ "headers":{ \xc3\xa9 \xff'
).split(b" ")
PARTS = st.lists(st.sampled_from([*WORDS, b" ", b"\n", MARK.encode()]), max_size=20).map(b"".join)


@given(PARTS | st.binary(max_size=80))
@settings(max_examples=500)
@pytest.mark.usefixtures("small_steps")
def test_any_bytes_give_what_they_give_at_once(text: bytes) -> None:
    assert outcome(text, read) == outcome(text, parse_text)


@given(PARTS, st.integers(0, 60))
@settings(max_examples=300)
@pytest.mark.usefixtures("small_steps")
def test_beyond_the_bound_only_the_refusal_differs(text: bytes, bound: int) -> None:
    expected = outcome(text, parse_text)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(long_text, "MAX_JSON_BYTES", bound)
        found = outcome(text, read)
    assert found in (expected, (Code.MESSAGE_TOO_BIG, {}, False))
    if len(text) <= bound:
        assert found == expected


@given(PARTS | st.binary(max_size=80) | st.text(max_size=40).map(str.encode))
@settings(max_examples=300)
@pytest.mark.usefixtures("small_steps")
def test_what_is_no_utf8_is_found_where_it_is(text: bytes) -> None:
    expected = None
    try:
        text.decode()
    except UnicodeDecodeError as error:
        expected = f"a text message that is no UTF-8: {error.reason} at byte {error.start} of {len(text)}"
    assert finish(utf8_fault(text))[0] == expected


def tensor_text(data: bytes, **fields: Any) -> bytes:
    payload = {"dtype": "uint8", "shape": [len(data)], "data": base64.b64encode(data).decode()}
    return orjson.dumps({"message_type": "message", "stream": "a/b", "payload": payload, **fields})


@pytest.mark.parametrize("slash", [b"/", b"\\/"])
def test_a_tensor_of_megabytes_takes_many_steps(slash: bytes) -> None:
    data = os.urandom(3_000_000)
    message, steps = finish(read_long_text(tensor_text(data).replace(b"/", slash), MARK))
    assert isinstance(message, JsonMessage)
    assert message.tensors[0][1].tobytes() == data
    assert steps > 4_000_000 // long_text._PIECE_BYTES


def test_every_legal_message_keeps_the_bound() -> None:
    fill = {"pad": "x" * (MAX_HEADERS_BYTES - 10)}
    short = np.zeros((long_text._MIN_CHARS - 4) // 4 * 3, np.uint8)
    long = np.zeros(2 * long_text._MIN_CHARS, np.uint8)
    for array in (short, long):
        tensors = tuple((f"{number:03}".ljust(MAX_NAME_BYTES, "n"), array) for number in range(MAX_TENSORS))
        text = write_message(JsonMessage("message", stream="a/" + "b" * 250, tensors=tensors, headers=fill))
        assert len(text) > SHORT_TEXT_BYTES
        message = read(text)
        assert isinstance(message, JsonMessage)
        assert len(message.tensors) == MAX_TENSORS


def test_a_header_of_base64_stays_what_it_is() -> None:
    thumbnail = base64.b64encode(os.urandom(30_000)).decode()
    fields = {"data": thumbnail, "images": [{"data": thumbnail[:400]}]}
    message = read(tensor_text(os.urandom(100_000), headers=fields))
    assert isinstance(message, JsonMessage)
    assert message.headers == fields


def refused(text: bytes) -> tuple[RequestRefused, int]:
    """The refusal of a text, and the number of steps that it took."""
    work = read_long_text(text, MARK)
    for steps in range(1, 10_000):
        try:
            next(work)
        except RequestRefused as refusal:
            return refusal, steps
    raise AssertionError("the text was not refused")


MIB = 1 << 20


@pytest.mark.parametrize(
    "text",
    [
        b"[" * (4 * MIB),
        b'{"a":' * MIB,
        b"[" + b"1," * (2 * MIB) + b"1]",
        b'{"message_type":"message","stream":"a/b","payload":' + b"9" * MIB + b"}",
        b'"' + b"\\u0000" * MIB + b'"',
        b" " * (8 * MIB),
        orjson.dumps({"message_type": "message", "headers": {"a": "x" * MIB}}),
        orjson.dumps({"message_type": "message", "payload": {"dtype": "float32", "shape": [1], "data": [0.5] * MIB}}),
        orjson.dumps({"message_type": "message", "payload": {"data": "A" * MAX_JSON_BYTES + "*"}}),
    ],
)
def test_what_is_large_and_no_base64_is_not_parsed(text: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    parsed: list[Text] = []
    monkeypatch.setattr(long_text, "parse_text_body", parsed.append)
    refusal, steps = refused(text)
    assert refusal.code == Code.MESSAGE_TOO_BIG
    assert f"a text of {len(text)} bytes has more than {MAX_JSON_BYTES} beside" in refusal.message
    assert steps <= 2 * MAX_JSON_BYTES // long_text._PIECE_BYTES + 2
    assert not parsed


def test_base64_that_is_of_no_tensor_counts() -> None:
    refusal, _ = refused(orjson.dumps({"message_type": "message", "headers": {"data": "A" * (MAX_JSON_BYTES + 4)}}))
    assert refusal.code == Code.MESSAGE_TOO_BIG


def test_data_that_is_no_base64_is_named() -> None:
    refusal, _ = refused(tensor_text(bytes(MAX_JSON_BYTES)).replace(b"AAAA", b"AA\\n", 1))
    assert "data at byte 93 is no base64: Only base64 data is allowed" in refusal.message


def test_more_lists_than_are_parsed_at_once() -> None:
    lists = b"[" + b"[]," * MAX_CONTAINERS + b"{}"
    refusal, _ = refused(b'{"headers":' + lists + b" " * SHORT_TEXT_BYTES + b"]}")
    assert refusal.code == Code.MESSAGE_TOO_BIG
    assert "text message has 16387 lists and objects in" in refusal.message


@pytest.mark.parametrize(("strings", "too_big"), [(600, False), (2000, True)])
def test_more_strings_than_are_cut_out_are_text(strings: int, too_big: bool) -> None:
    tensor = {"dtype": "uint8", "shape": [3], "data": "AAEC"}
    fields = {"message_type": "message", "stream": "a/b", "payload": tensor, "further": [{"data": "A" * 256}] * strings}
    text = orjson.dumps(fields)
    if too_big:
        refusal, steps = refused(text)
        assert refusal.code == Code.MESSAGE_TOO_BIG
        assert steps < 2 * strings
    else:
        assert len(text) < MAX_JSON_BYTES
        assert comparable(read(text)) == comparable(parse_text(text))
