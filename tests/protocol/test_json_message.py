"""Tensors in JSON: round trip over all dtypes and shapes, rendering from binary, refusals with documented codes."""

from __future__ import annotations

import base64
import math
import tracemalloc
from typing import Any

import numpy as np
import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst

from gateway.errors import Code, InvalidArgument, RequestRefused, UnsupportedDtype
from gateway.protocol.dtypes import DTYPES, code_of, dtype_name
from gateway.protocol.extensions import Quantization
from gateway.protocol.json_body import JsonBody
from gateway.protocol.json_message import (
    DataType,
    JsonMessage,
    read_message,
    read_reply,
    read_request,
    render_batch,
    render_message,
    write_message,
)
from gateway.protocol.messages import Kind
from gateway.protocol.meta import Meta, parse_meta, write_meta
from gateway.protocol.tensors import payload_buffers, spec_of
from gateway.protocol.wire import Buffer, Opcode

Array = np.ndarray[Any, Any]
ONE_TWO = np.array([1, 2], np.float32)
FLOATS = {"dtype": "float32", "shape": [2], "data": "AACAPwAAAEA="}


def read(text: Buffer) -> JsonMessage:
    return read_message(JsonBody.parse("test", text))


def body(**fields: object) -> JsonBody:
    return JsonBody.parse("test", orjson.dumps(fields))


def binary(*named: tuple[str, Array], headers: dict[str, Any] | None = None) -> tuple[Meta, bytes]:
    """The meta block, parsed again, and the payload of a message."""
    meta = parse_meta(write_meta([spec_of(array, name) for name, array in named], headers))
    return meta, b"".join(payload_buffers([array for _, array in named]))


def same(left: Array, right: Array) -> bool:
    return (left.dtype, left.shape, left.tobytes()) == (right.dtype, right.shape, right.tobytes())


@st.composite
def arrays(draw: st.DrawFn) -> Array:
    dtype = draw(st.sampled_from(DTYPES))
    shape = draw(npst.array_shapes(min_dims=0, max_dims=4, min_side=0, max_side=4))
    size = math.prod(shape) * dtype.itemsize
    data = draw(st.binary(min_size=size, max_size=size))
    if dtype == np.bool_:
        data = bytes(byte & 1 for byte in data)
    return np.frombuffer(data, dtype).reshape(shape) if size else np.empty(shape, dtype)


@given(st.dictionaries(st.text(max_size=8), arrays(), max_size=3))
def test_tensors_come_back(tensors: dict[str, Array]) -> None:
    named = tuple(tensors.items())
    written = write_message(JsonMessage("message", stream="a/b", tensors=named))
    assert render_message(JsonMessage("message", stream="a/b"), *binary(*named)) == written
    back = read(written).tensors
    assert [name for name, _ in back] == list(tensors)
    assert all(same(array, tensors[name]) and not array.flags.writeable for name, array in back)


@pytest.mark.parametrize("dtype", DTYPES, ids=dtype_name)
def test_the_data_is_base64_of_the_little_endian_bytes(dtype: np.dtype[Any]) -> None:
    array = np.array([[0, 1], [1, 0]]).astype(dtype)
    written = write_message(JsonMessage("message", stream="a/b", tensors=(("", array),)))
    payload = orjson.loads(written)["payload"]
    assert payload == {"dtype": dtype_name(dtype), "shape": [2, 2], "data": base64.b64encode(array.tobytes()).decode()}


def test_all_fields_of_a_delivered_message() -> None:
    envelope = JsonMessage(
        "message",
        id=7,
        stream="wf-42/loss",
        kind=Kind.EVENT,
        timestamp=1.5,
        offset=7,
        epoch=3,
        peer=9,
        client_id="trainer",
        client_type="agent",
    )
    meta, payload = binary(("w", ONE_TWO), ("b", np.array(3, np.uint8)), headers={"step": 7})
    text = render_message(envelope, meta, payload)
    assert orjson.loads(text) == {
        "id": 7,
        "timestamp": 1.5,
        "client_id": "trainer",
        "client_type": "agent",
        "message_type": "message",
        "headers": {"step": 7},
        "stream": "wf-42/loss",
        "kind": "event",
        "peer": 9,
        "offset": 7,
        "epoch": 3,
        "payload": {"tensors": {"w": FLOATS, "b": {"dtype": "uint8", "shape": [], "data": "Aw=="}}},
    }
    back = read(text)
    assert (back.id, back.kind, back.offset, back.epoch, back.peer) == (7, Kind.EVENT, 7, 3, 9)
    assert (back.client_id, back.client_type, back.headers) == ("trainer", "agent", {"step": 7})
    assert back.timestamp_ns == 1_500_000_000


def test_a_message_without_tensors() -> None:
    text = render_message(JsonMessage("message", stream="a/b"), *binary(headers={"a": 1}))
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


def test_a_batch_is_rendered_record_by_record() -> None:
    records = np.arange(6, dtype=np.int16).reshape(3, 2)
    meta = parse_meta(write_meta([spec_of(records[0], "x")], None))
    envelope = JsonMessage("message", id=10, stream="a/b", offset=10)
    texts = list(render_batch(envelope, meta, records.tobytes(), 3))
    messages = [read(text) for text in texts]
    assert [(message.id, message.offset) for message in messages] == [(10, 10), (11, 11), (12, 12)]
    assert [message.tensors[0][0] for message in messages] == ["x"] * 3
    assert all(same(message.tensors[0][1], record) for message, record in zip(messages, records, strict=True))


def test_a_batch_of_scalars() -> None:
    meta = parse_meta(write_meta([spec_of(np.zeros(()))], None))
    first, second = render_batch(JsonMessage("message", stream="a/b"), meta, np.array([1.0, 2.0]).tobytes(), 2)
    assert same(read(first).tensors[0][1], np.array(1.0))
    assert same(read(second).tensors[0][1], np.array(2.0))


def test_a_batch_of_the_wrong_size() -> None:
    meta = parse_meta(write_meta([spec_of(np.zeros(()))], None))
    with pytest.raises(RequestRefused) as refused:
        list(render_batch(JsonMessage("message"), meta, bytes(9), 2))
    assert refused.value.code == Code.SIZE_MISMATCH


@pytest.mark.parametrize("max_bytes", [0, 15, 16, 100])
def test_a_text_past_its_bound(max_bytes: int) -> None:
    envelope = JsonMessage("message", stream="a/b")
    meta, payload = binary(("", np.zeros(12, np.uint8)))
    text = render_message(envelope, meta, payload)
    assert len(text) > max_bytes
    assert render_message(envelope, meta, payload, max_bytes=len(text)) == text
    with pytest.raises(RequestRefused, match=f"takes {max_bytes} at most") as refused:
        render_message(envelope, meta, payload, max_bytes=max_bytes)
    assert refused.value.code == Code.MESSAGE_TOO_BIG


def test_the_data_is_copied_into_base64_and_into_the_text_only() -> None:
    meta, payload = binary(("", np.zeros(3_000_000, np.uint8)))
    tracemalloc.start()
    text = render_message(JsonMessage("message", stream="a/b"), meta, payload)
    written = tracemalloc.get_traced_memory()[1]
    parsed = JsonBody.parse("test", text)
    tracemalloc.reset_peak()
    kept = tracemalloc.get_traced_memory()[0]
    read_message(parsed)
    decoded = tracemalloc.get_traced_memory()[1] - kept
    tracemalloc.stop()
    assert written < 2 * len(text) + 10_000
    assert decoded < len(payload) + 10_000


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


def test_headers_that_can_be_read_but_not_written() -> None:
    nested = orjson.loads(b'{"a":' * 500 + b"1" + b"}" * 500)
    with pytest.raises(RequestRefused, match="headers") as refused:
        render_message(JsonMessage("message"), Meta((), nested, 0), b"")
    assert refused.value.code == Code.INVALID_REQUEST
    with pytest.raises(RequestRefused, match="headers"):
        read_message(JsonBody("test", {"stream": "a/b", "headers": nested}))


def test_a_payload_that_is_not_what_the_meta_block_says() -> None:
    meta, payload = binary(("", np.zeros(3)))
    with pytest.raises(RequestRefused) as refused:
        render_message(JsonMessage("message"), meta, payload[1:])
    assert refused.value.code == Code.SIZE_MISMATCH


def test_arrays_that_cannot_be_written() -> None:
    array = np.zeros(1)
    with pytest.raises(UnsupportedDtype):
        write_message(JsonMessage("message", tensors=(("", np.array(["x"])),)))
    with pytest.raises(InvalidArgument, match="different names"):
        write_message(JsonMessage("message", tensors=(("a", array), ("a", array))))


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


def test_quantized_numbers_say_how_they_are_restored() -> None:
    quantized = Quantization(code_of(np.dtype("<f4")), 0.25, 128.0)
    text = write_message(JsonMessage("message", stream="a/b", view=8, quantized=quantized))
    assert orjson.loads(text)["quantized"] == {"dtype": "float32", "scale": 0.25, "zero_point": 128.0}
