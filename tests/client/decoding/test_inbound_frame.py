"""Tests that a data frame is checked against its descriptors before anything is decoded."""

import numpy as np
import pytest

from gateway.client.decoding.inbound_frame import InboundFrame
from gateway.client.messages.message import Message
from gateway.client.messages.record_batch import RecordBatch
from gateway.errors import Code, RequestRefused
from gateway.protocol.data import parse_data, write_data
from gateway.protocol.encoding import Chain, encode
from gateway.protocol.extensions import Extensions, Quantization
from gateway.protocol.frames import iter_frames
from gateway.protocol.messages import Kind
from gateway.protocol.meta import write_meta
from gateway.protocol.tensors import TensorSpec
from gateway.protocol.transfers import ChunkPlan
from gateway.protocol.wire import Buffer, Opcode

F4 = np.dtype("<f4")
META = write_meta([TensorSpec("", F4, (2,))])


def received(frame: list[Buffer]) -> InboundFrame:
    """The frame as it arrives, published at 7 and received at 9."""
    message = memoryview(b"".join(frame))
    return InboundFrame(parse_data(message, next(iter_frames(message))), 9)


def test_a_message() -> None:
    frame = write_data(
        Opcode.MESSAGE, stream=3, offset=5, timestamp_ns=7, publisher=2, meta=META, payload=[np.ones(2, F4).data]
    )
    inbound = received(frame)
    inbound.check()
    message = inbound.item("wf/x", Kind.EVENT, 11, inbound.frame.payload)
    assert isinstance(message, Message)
    assert (message.offset, message.publisher, message.timestamp_ns, message.received_ns) == (5, 2, 7, 9)
    assert message.tensor.tolist() == [1, 1]


def test_a_batch() -> None:
    payload = np.arange(6, dtype=F4).tobytes()
    inbound = received(
        write_data(Opcode.BATCH, stream=3, offset=5, timestamp_ns=7, meta=META, count=3, payload=[payload])
    )
    inbound.check()
    batch = inbound.item("wf/x", Kind.EVENT, 11, inbound.frame.payload)
    assert isinstance(batch, RecordBatch)
    assert (batch.offset, batch.count, batch.array.shape) == (5, 3, (3, 2))


@pytest.mark.parametrize("count", [None, 3])
def test_a_view_says_how_its_integers_stand_for_numbers(count: int | None) -> None:
    how = Quantization(12, 0.5, 128.0)
    frame = write_data(
        Opcode.MESSAGE if count is None else Opcode.BATCH,
        stream=3,
        offset=5,
        timestamp_ns=7,
        meta=write_meta([TensorSpec("", np.dtype(np.uint8), ())]),
        count=count,
        payload=[bytes(range(128, 128 + (count or 1)))],
        extensions=Extensions(quantized=how),
    )
    inbound = received(frame)
    inbound.check()
    item = inbound.item("wf/x", Kind.EVENT, 11, inbound.frame.payload)
    assert item.quantization == how
    assert item.dequantized().dtype == np.float32
    assert item.dequantized().tolist() == (0.0 if count is None else [0.0, 0.5, 1.0])


def test_an_encoded_payload_is_checked_by_what_it_declares() -> None:
    encoded = encode(Chain.parse("zstd"), bytes(80_000), np.dtype("<u4"))
    assert encoded is not None
    encoding, data = encoded
    good = write_meta([TensorSpec("", F4, (20_000,))])
    for meta, fits in [(good, True), (META, False)]:
        inbound = received(
            write_data(Opcode.MESSAGE, stream=1, offset=0, timestamp_ns=0, meta=meta, encoding=encoding, payload=[data])
        )
        if fits:
            inbound.check()
        else:
            with pytest.raises(RequestRefused, match="80000 bytes, its descriptors say 8"):
                inbound.check()


def test_a_chunk_plan_is_checked_too() -> None:
    inbound = received(
        write_data(Opcode.MESSAGE, stream=1, offset=0, timestamp_ns=0, meta=META, plan=ChunkPlan(1, 4096, 9))
    )
    with pytest.raises(RequestRefused) as caught:
        inbound.check()
    assert caught.value.code == Code.SIZE_MISMATCH


@pytest.mark.parametrize("payload", [b"", bytes(7), bytes(16)])
def test_a_lying_length_is_refused(payload: bytes) -> None:
    inbound = received(write_data(Opcode.MESSAGE, stream=1, offset=0, timestamp_ns=0, meta=META, payload=[payload]))
    with pytest.raises(RequestRefused) as caught:
        inbound.check()
    assert caught.value.code == Code.SIZE_MISMATCH


@pytest.mark.parametrize(
    "meta",
    [
        b"",
        write_meta([TensorSpec("", F4, ())], {"a": 1}),
        write_meta([TensorSpec("a", F4, ()), TensorSpec("b", F4, ())]),
    ],
)
def test_a_batch_has_one_tensor_and_no_headers(meta: bytes) -> None:
    payload_bytes = {0: 0}.get(len(meta), 12 if b"b" in meta else 4)
    inbound = received(
        write_data(Opcode.BATCH, stream=1, offset=0, timestamp_ns=0, meta=meta, count=1, payload=[bytes(payload_bytes)])
    )
    with pytest.raises(RequestRefused) as caught:
        inbound.check()
    assert caught.value.code == Code.INVALID_TENSOR
