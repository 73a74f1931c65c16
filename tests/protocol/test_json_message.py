"""Tensors in JSON: round trip over all dtypes and shapes, rendering from binary, refusals with documented codes."""

from __future__ import annotations

import base64
from typing import Any

import numpy as np
import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.errors import Code, RequestRefused
from gateway.protocol.dtypes import DTYPES, dtype_name
from gateway.protocol.json_body import JsonBody
from gateway.protocol.json_message import DataType, JsonMessage, read_message, read_reply, read_request
from gateway.protocol.message_text import write_message
from gateway.protocol.wire import Opcode
from tests.protocol.json_messages import FLOATS, ONE_TWO, Array, arrays, binary, body, read, rendered, same


@given(st.dictionaries(st.text(max_size=8), arrays(), max_size=3))
def test_tensors_come_back(tensors: dict[str, Array]) -> None:
    named = tuple(tensors.items())
    written = write_message(JsonMessage("message", stream="a/b", tensors=named))
    assert rendered(JsonMessage("message", stream="a/b"), *binary(*named)) == written
    back = read(written).tensors
    assert [name for name, _ in back] == list(tensors)
    assert all(same(array, tensors[name]) and not array.flags.writeable for name, array in back)


@pytest.mark.parametrize("dtype", DTYPES, ids=dtype_name)
def test_the_data_is_base64_of_the_little_endian_bytes(dtype: np.dtype[Any]) -> None:
    array = np.array([[0, 1], [1, 0]]).astype(dtype)
    written = write_message(JsonMessage("message", stream="a/b", tensors=(("", array),)))
    payload = orjson.loads(written)["payload"]
    assert payload == {"dtype": dtype_name(dtype), "shape": [2, 2], "data": base64.b64encode(array.tobytes()).decode()}


def test_a_message_without_tensors() -> None:
    text = rendered(JsonMessage("message", stream="a/b"), *binary(headers={"a": 1}))
    assert orjson.loads(text)["payload"] is None
    back = read(text)
    assert (back.tensors, back.headers, back.timestamp_ns) == ((), {"a": 1}, None)
    assert read(b'{"stream":"a/b","payload":{"tensors":{}}}').tensors == ()


def test_defaults_of_a_publish() -> None:
    message = read_message(body(stream="a/b", payload=FLOATS))
    assert (message.message_type, message.stream, message.kind, message.id) == ("message", "a/b", None, None)
    assert message.ack
    assert same(message.tensors[0][1], ONE_TWO)
    assert not read(write_message(JsonMessage("message", stream="a/b", ack=False))).ack


def test_a_request_and_its_reply() -> None:
    assert read_request(body(id=4, stream="agent:planner", payload=FLOATS)).correlation == 4
    asked = write_message(JsonMessage("request", id=4, stream="agent:planner", correlation=5, peer=2))
    request = read_request(JsonBody.parse("test", asked))
    assert (request.stream, request.correlation, request.peer) == ("agent:planner", 5, 2)
    replied = write_message(JsonMessage("reply", correlation=5, peer=2, failed=True, headers={"error": "no"}))
    reply = read_reply(JsonBody.parse("test", replied))
    assert (reply.correlation, reply.peer, reply.failed, reply.headers) == (5, 2, True, {"error": "no"})


def test_what_a_request_and_a_reply_need() -> None:
    with pytest.raises(RequestRefused, match="'id' is required"):
        read_request(body(stream="agent:planner"))
    with pytest.raises(RequestRefused, match="'stream' is required"):
        read_request(body(id=1))
    with pytest.raises(RequestRefused, match="'correlation' is required"):
        read_reply(body(peer=1))
    with pytest.raises(RequestRefused, match="'peer' is required"):
        read_reply(body(correlation=1))


@pytest.mark.parametrize(
    ("payload", "code"),
    [
        pytest.param([1, 2], Code.INVALID_REQUEST, id="a list"),
        pytest.param(3.5, Code.INVALID_REQUEST, id="a number"),
        pytest.param({}, Code.INVALID_REQUEST, id="an empty object"),
        pytest.param({"tensors": []}, Code.INVALID_REQUEST, id="tensors a list"),
        pytest.param({"tensors": {"a": 1}}, Code.INVALID_REQUEST, id="a tensor a number"),
        pytest.param(FLOATS | {"shape": None}, Code.INVALID_REQUEST, id="no shape"),
        pytest.param(FLOATS | {"shape": [-2]}, Code.INVALID_REQUEST, id="a negative dimension"),
        pytest.param(FLOATS | {"shape": [2.0]}, Code.INVALID_REQUEST, id="a float dimension"),
        pytest.param(FLOATS | {"data": None}, Code.INVALID_REQUEST, id="no data"),
        pytest.param(FLOATS | {"data": [1, 2]}, Code.INVALID_REQUEST, id="data a list"),
        pytest.param(FLOATS | {"dtype": "float31"}, Code.INVALID_TENSOR, id="an unknown dtype"),
        pytest.param(FLOATS | {"dtype": "O"}, Code.INVALID_TENSOR, id="object"),
        pytest.param(FLOATS | {"dtype": "x" * 10**6}, Code.INVALID_TENSOR, id="a long dtype"),
        pytest.param(FLOATS | {"shape": [1] * 33}, Code.INVALID_TENSOR, id="33 dimensions"),
        pytest.param({"dtype": "int8", "shape": [0, 2**63], "data": ""}, Code.INVALID_TENSOR, id="empty but too big"),
        pytest.param({"tensors": {"é" * 128: FLOATS}}, Code.INVALID_TENSOR, id="a long name"),
        pytest.param({"tensors": {str(n): FLOATS for n in range(256)}}, Code.INVALID_TENSOR, id="256 tensors"),
        pytest.param(FLOATS | {"shape": [3]}, Code.SIZE_MISMATCH, id="too little data"),
        pytest.param(FLOATS | {"shape": [1]}, Code.SIZE_MISMATCH, id="too much data"),
        pytest.param(FLOATS | {"dtype": "uint8", "shape": [7]}, Code.SIZE_MISMATCH, id="one byte less than the data"),
        pytest.param(FLOATS | {"shape": [2**64 - 1] * 32}, Code.SIZE_MISMATCH, id="a huge shape"),
        pytest.param(FLOATS | {"data": "AACAPwAAAEA"}, Code.SIZE_MISMATCH, id="no padding"),
        pytest.param(FLOATS | {"data": "AACAPwAAA\nA="}, Code.CORRUPT_PAYLOAD, id="a newline"),
        pytest.param(FLOATS | {"data": "AACAPwAAAE_="}, Code.CORRUPT_PAYLOAD, id="the alphabet of URLs"),
        pytest.param(FLOATS | {"data": "AACAPwAAAEé="}, Code.CORRUPT_PAYLOAD, id="not ASCII"),
    ],
)
def test_bad_tensors(payload: object, code: Code) -> None:
    with pytest.raises(RequestRefused) as refused:
        read_message(body(stream="a/b", payload=payload))
    assert refused.value.code == code
    assert len(refused.value.message) < 1000


@pytest.mark.parametrize("data", ["AACAPwAAAEA", "AACA\nPwAA\nAEA="])
def test_base64_that_other_programs_write_is_refused_with_the_rule(data: str) -> None:
    for payload, name in (
        (FLOATS | {"data": data}, "the tensor"),
        ({"tensors": {"x": FLOATS | {"data": data}}}, "tensor 'x'"),
    ):
        with pytest.raises(RequestRefused) as refused:
            read_message(body(stream="a/b", payload=payload))
        assert refused.value.message == (
            f"{len(data)} characters of base64 cannot hold the 8 bytes of {name}:"
            " it is padded with '=' to a multiple of 4, and has no line breaks"
        )


@pytest.mark.parametrize(("size", "chars"), [(7, 12), (8, 12), (9, 12), (11, 16), (0, 0)])
def test_data_of_another_size_than_the_shape_is_refused_with_both_sizes(size: int, chars: int) -> None:
    data = base64.b64encode(bytes(size)).decode()
    for payload, name in (
        (FLOATS | {"data": data, "shape": [6]}, "the tensor"),
        ({"tensors": {"x": FLOATS | {"data": data, "shape": [6]}}}, "tensor 'x'"),
    ):
        with pytest.raises(RequestRefused) as refused:
            read_message(body(stream="a/b", payload=payload))
        assert refused.value.code == Code.SIZE_MISMATCH
        problem = f"data of {name} has {size} bytes ({chars} characters of base64), its dtype and shape say 24"
        assert refused.value.message == problem


def test_an_id_is_below_2_to_the_53() -> None:
    assert read_message(body(stream="a/b", id=2**53 - 1)).id == 2**53 - 1
    with pytest.raises(RequestRefused, match=rf"field 'id' must be from 0 to {2**53 - 1}, met {2**53}"):
        read_message(body(stream="a/b", id=2**53))


@pytest.mark.parametrize(
    "fields",
    [
        {"stream": None},
        {"stream": 5},
        {"kind": "queue"},
        {"ack": 1},
        {"failed": "no"},
        {"id": "x"},
        {"peer": 2**32},
        {"epoch": 2**53},
        {"timestamp": -1},
        {"timestamp": 1e10},
        {"headers": []},
        {"headers": {"x": "y" * 2**16}},
    ],
    ids=lambda fields: next(iter(fields)),
)
def test_bad_fields(fields: dict[str, object]) -> None:
    with pytest.raises(RequestRefused) as refused:
        read_message(body(**{"stream": "a/b", "payload": FLOATS} | fields))
    assert refused.value.code == Code.INVALID_REQUEST


@pytest.mark.parametrize(
    ("message_type", "opcode"),
    [("message", Opcode.MESSAGE), ("request", Opcode.REQUEST), ("reply", Opcode.REPLY)],
)
def test_the_frame_that_means_the_same(message_type: DataType, opcode: Opcode) -> None:
    assert JsonMessage(message_type).opcode == opcode


def test_seconds_become_whole_nanoseconds() -> None:
    message = JsonMessage("request", timestamp=1.5, deadline=2.000000001)
    assert (message.timestamp_ns, message.deadline_ns) == (1_500_000_000, 2_000_000_001)
    assert (JsonMessage("request").timestamp_ns, JsonMessage("request").deadline_ns) == (None, None)
