"""payload: checks that every way in shares, and a frame's form on the way out."""

from __future__ import annotations

import numpy as np
import pytest

from gateway.connections.inbound.payload import (
    COPIED_FRAME_BYTES,
    check_payload,
    check_size,
    element_bytes,
    frame_as_run,
)
from gateway.errors import Code, RequestRefused
from gateway.ids import Epoch, StreamId, StreamName
from gateway.protocol.data import DataFrame, parse_data, write_data
from gateway.protocol.encoding import Chain, Encoding, encode
from gateway.protocol.frames import Frame, frame_at
from gateway.protocol.limits import Limits
from gateway.protocol.messages import Kind
from gateway.protocol.meta import Meta, parse_meta, write_meta
from gateway.protocol.tensors import TensorSpec
from gateway.protocol.wire import Opcode
from gateway.streams.stream import Stream

SOURCE = Stream(StreamId(7), StreamName("wf/a"), Kind.EVENT, Epoch(1))
ALL = frozenset({"lz4", "zstd", "snappy", "shuffle", "xor"})


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


def test_a_good_payload_gives_the_size_of_its_elements() -> None:
    for shape, count, payload in (((3,), None, bytes(6)), ((), 5, bytes(10)), ((0,), None, b"")):
        _, _, frame, meta = parsed(payload, shape, count=count)
        assert check_payload(frame, meta, ALL, Limits()) == 2
    assert element_bytes(parse_meta(b"")) == 1


def test_sizes_that_do_not_fit() -> None:
    assert refusal(bytes(5), (3,)) == Code.SIZE_MISMATCH
    assert refusal(bytes(10), (3,), count=2) == Code.SIZE_MISMATCH
    assert refusal(bytes(6), (100_000,)) == Code.MESSAGE_TOO_BIG
    assert refusal(bytes(6), (3,), count=2**32 - 1) == Code.MESSAGE_TOO_BIG
    with pytest.raises(RequestRefused):
        check_size(2**63, Limits())


def test_encodings_that_do_not_fit() -> None:
    found = encode(Chain(codec="zstd"), bytes(2000), 2)
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
