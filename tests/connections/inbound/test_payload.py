"""payload: checks that every way in shares, and a frame's form on the way out."""

from __future__ import annotations

import numpy as np
import pytest

from gateway.connections.inbound.payload import (
    COPIED_FRAME_BYTES,
    check_encoding,
    check_payload,
    check_size,
    cut_as_run,
    frame_as_run,
    readdressed,
)
from gateway.errors import Code, RequestRefused
from gateway.ids import Epoch, StreamId, StreamName
from gateway.protocol.data import DataFrame, parse_data, write_data
from gateway.protocol.dtypes import BYTE
from gateway.protocol.encoding import Chain, Encoding, encode
from gateway.protocol.frames import Frame, frame_at
from gateway.protocol.limits import Limits
from gateway.protocol.messages import Kind
from gateway.protocol.meta import Meta, parse_meta, write_meta
from gateway.protocol.tensors import TensorSpec
from gateway.protocol.wire import Opcode
from gateway.streams.stream import Stream

SOURCE = Stream(StreamId(7), StreamName("wf/a"), Kind.EVENT, Epoch(1))
ALL = frozenset({"lz4", "zstd", "snappy", "pco", "shuffle", "xor"})


def parsed(
    payload: bytes, shape: tuple[int, ...], *, count: int | None = None, encoding: Encoding | None = None
) -> tuple[bytes, Frame, DataFrame, Meta]:
    meta = write_meta([TensorSpec("", np.dtype(np.int16), shape)], None)
    opcode = Opcode.MESSAGE if count is None else Opcode.BATCH
    data = b"".join(
        write_data(
            opcode, stream=1, offset=2, timestamp_ns=3, meta=meta, count=count, encoding=encoding, payload=(payload,)
        )
    )
    frame = frame_at(data, 0)
    found = parse_data(memoryview(data), frame)
    return data, frame, found, parse_meta(found.meta)


def refusal(payload: bytes, shape: tuple[int, ...], **options: object) -> int:
    codecs = frozenset(options.pop("codecs", ALL))  # type: ignore[call-overload]
    limits = Limits(max_message_bytes=100_000)
    _, _, frame, meta = parsed(payload, shape, **options)  # type: ignore[arg-type]
    with pytest.raises(RequestRefused) as refused:
        check_payload(frame, meta, codecs, limits)
    code: int = refused.value.code
    return code


def test_a_good_payload_gives_the_dtype_of_its_elements() -> None:
    for shape, count, payload in (((3,), None, bytes(6)), ((), 5, bytes(10)), ((0,), None, b"")):
        _, _, frame, meta = parsed(payload, shape, count=count)
        assert check_payload(frame, meta, ALL, Limits()) == np.dtype("<i2")
    assert parse_meta(b"").element == BYTE


def test_sizes_that_do_not_fit() -> None:
    assert refusal(bytes(5), (3,)) == Code.SIZE_MISMATCH
    assert refusal(bytes(10), (3,), count=2) == Code.SIZE_MISMATCH
    assert refusal(bytes(6), (100_000,)) == Code.MESSAGE_TOO_BIG
    assert refusal(bytes(6), (1 << 20,), count=65_536) == Code.MESSAGE_TOO_BIG
    with pytest.raises(RequestRefused):
        check_size(2**63, Limits())


def test_encodings_that_do_not_fit() -> None:
    found = encode(Chain(codec="zstd"), bytes(2000), np.dtype("<u2"))
    assert found is not None
    encoding, data = found[0], bytes(found[1])
    assert refusal(data, (1000,), encoding=encoding, codecs=("lz4",)) == Code.UNKNOWN_CODEC
    assert refusal(data, (999,), encoding=encoding) == Code.SIZE_MISMATCH
    assert refusal(data, (900,), encoding=Encoding(1800, encoding.steps)) == Code.CORRUPT_PAYLOAD


@pytest.mark.parametrize("elements", [4, COPIED_FRAME_BYTES])
def test_a_frame_on_its_way_out_names_stream_publisher_and_offset(elements: int) -> None:
    payload = np.arange(elements, dtype=np.uint16).tobytes()
    data, frame, found, _ = parsed(payload, (elements,))
    run = frame_as_run(data, frame, found, SOURCE, 9, 41)
    out = b"".join(run.buffers)
    sent = parse_data(memoryview(out), frame_at(out, 0))
    assert (sent.stream, sent.publisher, sent.offset, sent.timestamp_ns) == (7, 9, 41, 3)
    assert sent.payload == payload
    assert len(out) == run.size
    copied = not any(isinstance(buffer, memoryview) and buffer.obj is data for buffer in run.buffers)
    assert copied == (len(out) <= COPIED_FRAME_BYTES)


def test_a_message_may_be_as_large_as_the_limits_and_no_larger() -> None:
    limits = Limits(max_message_bytes=1 << 20, max_frame_bytes=1 << 18)
    check_size(1 << 20, limits)
    with pytest.raises(RequestRefused, match="split the tensor"):
        check_size((1 << 20) + 1, limits)
    _, _, frame, meta = parsed(bytes(1 << 18), (1 << 17,))
    assert check_payload(frame, meta, ALL, limits) == np.dtype("<i2")
    _, _, frame, meta = parsed(bytes((1 << 18) + 2), ((1 << 17) + 1,))
    with pytest.raises(RequestRefused, match="send it in chunks") as refused:
        check_payload(frame, meta, ALL, limits)
    assert refused.value.code == Code.MESSAGE_TOO_BIG


@pytest.mark.parametrize(("names", "headers"), [(("a", "b"), None), (("a",), {"step": 1}), ((), None)])
def test_a_record_batch_takes_one_tensor_and_no_headers(names: tuple[str, ...], headers: dict[str, int] | None) -> None:
    block = write_meta([TensorSpec(name, np.dtype(np.int16), (1,)) for name in names], headers)
    data = b"".join(
        write_data(Opcode.BATCH, stream=1, offset=2, timestamp_ns=3, meta=block, count=2, payload=(bytes(8),))
    )
    frame = parse_data(memoryview(data), frame_at(data, 0))
    with pytest.raises(RequestRefused) as refused:
        check_payload(frame, parse_meta(frame.meta), ALL, Limits())
    assert refused.value.code == Code.INVALID_TENSOR
    assert f"record batch of {len(names)} tensors" in refused.value.message


def test_a_delta_cannot_be_published_and_another_size_has_the_code_of_its_caller() -> None:
    base, payload = bytes(2000), bytes(1999) + b"1"
    delta = encode(Chain(delta="xor", distance=1, codec="zstd"), payload, BYTE, base=base)
    assert delta is not None
    with pytest.raises(RequestRefused, match="xor cannot be published") as refused:
        check_encoding(delta[0], delta[1], 2000, ALL, Code.BROKEN_TRANSFER)
    assert refused.value.code == Code.UNKNOWN_CODEC
    plain = encode(Chain(codec="zstd"), payload, BYTE)
    assert plain is not None
    check_encoding(plain[0], plain[1], 2000, ALL, Code.BROKEN_TRANSFER)
    with pytest.raises(RequestRefused, match="declares 2000 bytes") as refused:
        check_encoding(plain[0], plain[1], 1999, ALL, Code.BROKEN_TRANSFER)
    assert refused.value.code == Code.BROKEN_TRANSFER


def test_a_frame_that_is_cut_shares_its_payload_with_the_message_that_brought_it() -> None:
    payload = np.arange(100, dtype=np.uint16).tobytes()
    data, frame, found, _ = parsed(payload, (100,))
    cut = frame.end - len(found.payload)
    run = cut_as_run(memoryview(data), frame.start, cut, len(data), SOURCE, 9, 41, 1)
    head, shared = run.buffers
    assert isinstance(shared, memoryview)
    assert shared.obj is data
    assert bytes(head)[:16] != data[:16]
    out = parse_data(memoryview(b"".join(run.buffers)), frame_at(b"".join(run.buffers), 0))
    assert (out.stream, out.publisher, out.offset, bytes(out.payload)) == (7, 9, 41, payload)


@pytest.mark.parametrize("elements", [4, COPIED_FRAME_BYTES])
def test_a_run_for_another_source_leaves_the_first_as_it_is(elements: int) -> None:
    data, frame, found, _ = parsed(bytes(2 * elements), (elements,))
    run = frame_as_run(data, frame, found, SOURCE, 9, 41)
    before = b"".join(run.buffers)
    again = readdressed(run, Stream(StreamId(8), StreamName("wf/b"), Kind.EVENT, Epoch(1)), 10)
    out = b"".join(again.buffers)
    sent = parse_data(memoryview(out), frame_at(out, 0))
    assert (sent.stream, sent.publisher, sent.offset) == (8, 10, 41)
    assert (again.size, again.count, again.source.id) == (run.size, 1, 8)
    assert b"".join(run.buffers) == before
    assert all(ours is theirs for ours, theirs in zip(again.buffers[1:], run.buffers[1:], strict=True))
