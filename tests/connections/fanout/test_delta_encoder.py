"""DeltaEncoder: messages and chunks as differences to the version before."""

from __future__ import annotations

import numpy as np
import pytest

from gateway.connections.fanout.delta_encoder import all_integers, delta_chunk, delta_run, payload_of
from gateway.connections.fanout.recode import frame_of, recode_chunk
from gateway.ids import Epoch, StreamId, StreamName
from gateway.protocol.data import write_data
from gateway.protocol.encoding import PLAIN, Chain, decode, encode
from gateway.protocol.frames import bytes_of
from gateway.protocol.messages import Kind
from gateway.protocol.meta import write_meta
from gateway.protocol.sampling import MIN_BYTES
from gateway.protocol.tensors import TensorSpec
from gateway.protocol.transfers import ChunkPlan
from gateway.protocol.wire import Opcode
from gateway.streams.large import LargeMessage, StoredChunk
from gateway.streams.plain_payload import PlainPayload
from gateway.streams.run import Run
from gateway.streams.stream import Stream

SOURCE = Stream(StreamId(7), StreamName("wf/a"), Kind.STATE, Epoch(1))
FLOAT = np.dtype(np.float32)
OLD = np.random.default_rng(1).normal(size=6000).astype(np.float32)
NEW = OLD.copy()
NEW[::100] += 1
XOR = Chain(codec="zstd", level=1, delta="xor", distance=1)
LZ4 = Chain(codec="lz4")
LZ4_XOR = Chain(codec="lz4", delta="xor", distance=1)


def run(payload: bytes, offset: int, chain: Chain = PLAIN, count: int = 1) -> Run:
    found = encode(chain, payload, np.dtype("<u4")) if chain != PLAIN else None
    encoding, data = (None, payload) if found is None else (found[0], bytes(found[1]))
    buffers = write_data(
        Opcode.BATCH if count > 1 else Opcode.MESSAGE,
        stream=7,
        publisher=3,
        offset=offset,
        timestamp_ns=9,
        meta=write_meta([TensorSpec("", FLOAT, (len(payload) // count // 4,))], None),
        count=count if count > 1 else None,
        encoding=encoding,
        payload=(data,),
    )
    return Run.of_frame(SOURCE, offset, buffers, count)


def base_of(offset: int = 4) -> PlainPayload:
    base = payload_of(run(OLD.tobytes(), offset))
    assert base is not None
    return base


@pytest.mark.parametrize("distance", [1, 2, 255])
def test_a_delta_says_how_far_back_its_base_is(distance: int) -> None:
    whole = run(NEW.tobytes(), 300)
    delta = delta_run(whole, frame_of(whole), XOR, np.dtype("<u4"), base_of(300 - distance))
    assert delta is not None
    assert delta.is_delta
    assert (delta.first, delta.count, delta.size) == (300, 1, bytes_of(delta.buffers))
    frame = frame_of(delta)
    assert frame.encoding is not None
    assert frame.encoding.distance == distance
    assert bytes(decode(frame.encoding, frame.payload, base=OLD.tobytes())) == NEW.tobytes()
    assert frame._replace(payload=memoryview(b""), encoding=None, flags=0) == frame_of(whole)._replace(
        payload=memoryview(b""), flags=0
    )


def test_what_came_encoded_is_decoded_first_and_kept_where_it_is_smaller() -> None:
    zeros = np.zeros(6000, np.float32)
    whole = run(zeros.tobytes(), 5, LZ4)
    assert delta_run(whole, frame_of(whole), XOR, np.dtype("<u4"), base_of()) is None
    steps = np.repeat(NEW[:3000], 2)
    encoded = run(steps.tobytes(), 5, Chain(codec="zstd"))
    base = payload_of(run(np.repeat(OLD[:3000], 2).tobytes(), 4, LZ4))
    assert base is not None
    assert frame_of(encoded).encoding is not None
    delta = delta_run(encoded, frame_of(encoded), XOR, np.dtype("<u4"), base)
    assert delta is not None
    assert delta.size < encoded.size // 5


def test_what_changes_altogether_is_no_delta() -> None:
    whole = run(np.random.default_rng(2).bytes(24_000), 5)
    assert delta_run(whole, frame_of(whole), XOR, np.dtype("<u4"), base_of()) is None


def test_chunks_refer_to_the_same_place() -> None:
    plain = StoredChunk(None, NEW.tobytes()[4096:8192])
    delta = delta_chunk(plain, XOR, np.dtype("<u4"), base_of(), 4096, frozenset())
    assert delta.encoding is not None
    assert delta.encoding.distance == 1
    assert bytes(decode(delta.encoding, delta.data, base=OLD.tobytes()[4096:8192])) == plain.data


def test_a_chunk_that_is_no_delta_goes_out_so_that_it_can_be_read() -> None:
    zeros = bytes(4096)
    came = recode_chunk(StoredChunk(None, zeros), LZ4, np.dtype("<u4"))
    assert delta_chunk(came, XOR, np.dtype("<u4"), base_of(), 0, frozenset({"lz4", "xor", "zstd"})) is came
    unreadable = delta_chunk(came, LZ4_XOR, np.dtype("<u4"), base_of(), 0, frozenset({"xor"}))
    assert unreadable.encoding is None
    assert unreadable.data == zeros
    noise = StoredChunk(None, np.random.default_rng(5).bytes(4096))
    assert delta_chunk(noise, XOR, np.dtype("<u4"), base_of(), 0, frozenset()) is noise


def test_what_can_be_a_base() -> None:
    assert base_of(9).offset == 9
    assert payload_of(run(OLD.tobytes(), 0, count=2)) is None
    assert payload_of(run(OLD[: MIN_BYTES // 4 - 1].tobytes(), 0)) is None
    small = payload_of(run(OLD[: MIN_BYTES // 4].tobytes(), 0))
    assert small is not None
    assert small.part(0, MIN_BYTES) == OLD.tobytes()[:MIN_BYTES]
    compressed = payload_of(run(np.zeros(6000, np.float32).tobytes(), 3, LZ4))
    assert compressed is not None
    assert bytes(compressed.part(0, 24_000)) == bytes(24_000)


def test_a_large_message_is_a_base_once_it_has_its_offset() -> None:
    meta = write_meta([TensorSpec("", FLOAT, (6000,))], None)
    message = LargeMessage(SOURCE, Opcode.MESSAGE, 3, 9, 0, meta, ChunkPlan(1, 4096, 24_000))
    message.chunks = [StoredChunk(None, OLD.tobytes()[at : at + 4096]) for at in range(0, 24_000, 4096)]
    assert payload_of(message) is None
    message.offset = 8
    base = payload_of(message)
    assert base is not None
    assert (base.offset, base.specs) == (8, (TensorSpec("", FLOAT, (6000,)),))
    assert bytes(base.part(4000, 300)) == OLD.tobytes()[4000:4300]


def test_integers_of_one_size() -> None:
    ints, floats = TensorSpec("a", np.dtype(np.int32), (3,)), TensorSpec("b", FLOAT, (3,))
    assert all_integers((ints,))
    assert all_integers((ints, TensorSpec("c", np.dtype(np.uint32), ())))
    assert not all_integers((ints, floats))
    assert not all_integers((ints, TensorSpec("c", np.dtype(np.int64), ())))
    assert not all_integers(())
