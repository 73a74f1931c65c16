"""MessageText: binary messages as text, whole and in pieces, and refusals with documented codes."""

from __future__ import annotations

import tracemalloc
from dataclasses import replace

import numpy as np
import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.errors import Code, InvalidArgument, RequestRefused, UnsupportedDtype
from gateway.protocol.dtypes import code_of
from gateway.protocol.extensions import Quantization
from gateway.protocol.json_body import JsonBody
from gateway.protocol.json_message import JsonMessage, read_message
from gateway.protocol.message_text import (
    BASE64_BYTES,
    MAX_FIELDS_BYTES,
    render_batch,
    render_message,
    render_records,
    write_message,
)
from gateway.protocol.messages import Kind
from gateway.protocol.meta import Meta, parse_meta, write_meta
from gateway.protocol.tensors import payload_buffers, spec_of
from gateway.protocol.wire import MAX_BATCH_RECORDS, MAX_NAME_BYTES
from tests.protocol.json_messages import FLOATS, ONE_TWO, Array, arrays, binary, read, rendered, same


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
    text = rendered(envelope, meta, payload)
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
    first, second = render_batch(
        JsonMessage("message", stream="a/b", offset=9), meta, np.array([1.0, 2.0]).tobytes(), 2
    )
    assert same(read(first).tensors[0][1], np.array(1.0))
    assert same(read(second).tensors[0][1], np.array(2.0))


def test_a_batch_of_the_wrong_size() -> None:
    meta = parse_meta(write_meta([spec_of(np.zeros(()))], None))
    with pytest.raises(RequestRefused) as refused:
        render_batch(JsonMessage("message", offset=9), meta, bytes(9), 2)
    assert refused.value.code == Code.SIZE_MISMATCH


def test_the_fields_that_all_records_of_a_batch_repeat_have_a_bound() -> None:
    meta = parse_meta(write_meta([spec_of(np.zeros(0, np.uint8), "\x01" * MAX_NAME_BYTES)], None))
    envelope = JsonMessage("message", id=1, stream="a/b", offset=1)
    (text,) = render_batch(envelope, meta, b"", 1)
    count = MAX_FIELDS_BYTES // len(text)
    assert count < MAX_BATCH_RECORDS
    with pytest.raises(RequestRefused, match=f"more than {MAX_FIELDS_BYTES}: publish fewer") as refused:
        render_batch(envelope, meta, b"", count + 1)
    assert refused.value.code == Code.MESSAGE_TOO_BIG


def test_the_data_of_a_batch_does_not_count_as_fields() -> None:
    record = np.zeros(2 * MAX_FIELDS_BYTES // MAX_BATCH_RECORDS, np.uint8)
    meta = parse_meta(write_meta([spec_of(record)], None))
    envelope = JsonMessage("message", id=1, stream="a/b", offset=1)
    first = next(render_batch(envelope, meta, bytes(2 * MAX_FIELDS_BYTES), MAX_BATCH_RECORDS))
    assert same(read(first).tensors[0][1], record)


@pytest.mark.parametrize("max_bytes", [0, 15, 16, 100])
def test_a_text_past_its_bound(max_bytes: int) -> None:
    envelope = JsonMessage("message", stream="a/b")
    meta, payload = binary(("", np.zeros(12, np.uint8)))
    text = rendered(envelope, meta, payload)
    assert len(text) > max_bytes
    assert rendered(envelope, meta, payload, max_bytes=len(text)) == text
    with pytest.raises(RequestRefused, match=f"takes {max_bytes} at most") as refused:
        render_message(envelope, meta, payload, max_bytes=max_bytes)
    assert refused.value.code == Code.MESSAGE_TOO_BIG


def test_the_data_is_copied_into_base64_and_into_the_text_only() -> None:
    meta, payload = binary(("", np.zeros(3_000_000, np.uint8)))
    tracemalloc.start()
    text = rendered(JsonMessage("message", stream="a/b"), meta, payload)
    written = tracemalloc.get_traced_memory()[1]
    parsed = JsonBody.parse("test", text)
    tracemalloc.reset_peak()
    kept = tracemalloc.get_traced_memory()[0]
    read_message(parsed)
    decoded = tracemalloc.get_traced_memory()[1] - kept
    tracemalloc.stop()
    assert written < 2 * len(text) + 10_000
    assert decoded < len(payload) + 10_000


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


def test_quantized_numbers_say_how_they_are_restored() -> None:
    quantized = Quantization(code_of(np.dtype("<f4")), 0.25, 128.0)
    text = write_message(JsonMessage("message", stream="a/b", view=8, quantized=quantized))
    assert orjson.loads(text)["quantized"] == {"dtype": "float32", "scale": 0.25, "zero_point": 128.0}


@given(records=arrays().filter(lambda array: array.size > 0), count=st.integers(1, 5), name=st.sampled_from(["", "x"]))
def test_the_texts_of_a_batch_are_those_of_its_records(records: Array, count: int, name: str) -> None:
    payload = b"".join(payload_buffers([records])) * count
    meta = parse_meta(write_meta([spec_of(records, name)], None))
    envelope = JsonMessage(
        "message",
        id=98,
        stream='a/"offset":98',
        kind=Kind.EVENT,
        peer=3,
        timestamp=1.5,
        offset=98,
        epoch=7,
        client_id='"offset":98,',
        view=2,
    )
    expected = [
        rendered(replace(envelope, id=98 + index, offset=98 + index), meta, payload[: len(payload) // count])
        for index in range(count)
    ]
    assert list(render_batch(envelope, meta, payload, count)) == expected
    assert [b"".join(text.pieces()) for text in render_records(envelope, meta, payload, count)] == expected
    longest = max(map(len, expected))
    assert list(render_batch(envelope, meta, payload, count, max_bytes=longest)) == expected
    for render in (render_batch, render_records):
        with pytest.raises(RequestRefused) as refused:
            render(envelope, meta, payload, count, max_bytes=longest - 1)
        assert refused.value.code == Code.MESSAGE_TOO_BIG


def test_long_data_is_written_in_pieces_of_one_text() -> None:
    array = np.arange(3 * BASE64_BYTES + 1, dtype=np.uint32).view(np.uint8)[: 3 * BASE64_BYTES + 1]
    meta, payload = binary(("x", array))
    pieces = list(render_message(JsonMessage("message", stream="a/b"), meta, payload).pieces())
    assert max(map(len, pieces)) <= BASE64_BYTES // 3 * 4
    assert same(read(b"".join(pieces)).tensors[0][1], array)
