"""recode: the same message in another encoding."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.connections.fanout.recode import (
    chunk_codecs,
    codec_names,
    decode_run,
    frame_of,
    last_record,
    readable,
    recodable_bytes,
    recode_chunk,
    recode_run,
    run_codecs,
    transcode_chunk,
    transcode_run,
)
from gateway.connections.ports import MAX_SAMPLE_BYTES
from gateway.errors import Code, RequestRefused
from gateway.ids import Epoch, StreamId, StreamName
from gateway.protocol.data import write_data
from gateway.protocol.encoding import PLAIN, Chain, Encoding, decode, encode
from gateway.protocol.frames import bytes_of
from gateway.protocol.messages import Kind
from gateway.protocol.meta import write_meta
from gateway.protocol.signals import Gap
from gateway.protocol.tensors import TensorSpec
from gateway.protocol.wire import Opcode
from gateway.streams.large import StoredChunk
from gateway.streams.run import Run
from gateway.streams.stream import Stream
from tests.protocol.strategies import chains

SOURCE = Stream(StreamId(7), StreamName("wf/a"), Kind.EVENT, Epoch(1))
PAYLOAD = np.arange(500, dtype=np.int64).tobytes()


def run(payload: bytes, chain: Chain = PLAIN, count: int = 1) -> Run:
    """A run of one frame: a message, or a batch of records of int64."""
    size = len(payload) // count // 8
    found = encode(chain, payload, np.dtype("<u8")) if chain != PLAIN else None
    encoding, data = (None, payload) if found is None else (found[0], bytes(found[1]))
    buffers = write_data(
        Opcode.BATCH if count > 1 else Opcode.MESSAGE,
        stream=7,
        publisher=3,
        offset=40,
        timestamp_ns=9,
        meta=write_meta([TensorSpec("", np.dtype(np.int64), (size,))], None),
        count=count if count > 1 else None,
        encoding=encoding,
        payload=(data,),
    )
    return Run.of_frame(SOURCE, 40, buffers, count)


@given(chain=chains(), count=st.sampled_from([1, 5]))
def test_encoding_and_decoding_give_the_payload_and_change_nothing_else(chain: Chain, count: int) -> None:
    plain = run(PAYLOAD, count=count)
    frame = frame_of(plain)
    encoded = recode_run(plain, frame, chain, np.dtype("<u8"))
    other = frame_of(encoded)
    assert (other.encoding is not None) == (encoded is not plain)
    decoded = recode_run(encoded, other, PLAIN, np.dtype("<u8"))
    assert frame_of(decoded)._replace(payload=memoryview(b"")) == frame._replace(
        payload=memoryview(b""), flags=other.flags & ~1
    )
    assert frame_of(decoded).payload == PAYLOAD
    assert (decoded.first, decoded.count, decoded.last_count) == (40, count, count)
    assert decoded.size == bytes_of(decoded.buffers)
    assert decoded.size % 8 == 0


def test_what_is_as_it_should_be_stays_the_same_object() -> None:
    plain, encoded = run(PAYLOAD), run(PAYLOAD, Chain(codec="zstd"))
    assert recode_run(plain, frame_of(plain), PLAIN, np.dtype("<u8")) is plain
    assert recode_run(encoded, frame_of(encoded), Chain(codec="lz4"), np.dtype("<u8")) is encoded
    noise = run(np.random.default_rng(1).bytes(4000))
    assert recode_run(noise, frame_of(noise), Chain(codec="lz4"), np.dtype("<u8")) is noise


@pytest.mark.parametrize("chain", [PLAIN, Chain(True, "zstd")])
def test_the_last_record_of_a_batch_is_a_message(chain: Chain) -> None:
    last = last_record(run(PAYLOAD, chain, count=5))
    frame = frame_of(last)
    assert (last.first, last.count) == (44, 1)
    assert (frame.opcode, frame.offset, frame.publisher, frame.timestamp_ns) == (Opcode.MESSAGE, 44, 3, 9)
    assert frame.payload == PAYLOAD[-800:]


def test_the_last_record_of_a_message_is_itself() -> None:
    message = run(PAYLOAD)
    assert last_record(message) is message


def test_chunks() -> None:
    plain = StoredChunk(None, PAYLOAD)
    assert recode_chunk(plain, PLAIN, np.dtype("<u8")) is plain
    encoded = recode_chunk(plain, Chain(True, "lz4"), np.dtype("<u8"))
    assert encoded.encoding is not None
    assert decode(encoded.encoding, encoded.data) == PAYLOAD
    assert recode_chunk(encoded, Chain(codec="zstd"), np.dtype("<u8")) is encoded
    assert bytes(recode_chunk(encoded, PLAIN, np.dtype("<u8")).data) == PAYLOAD


def test_the_encoding_of_a_publisher_is_replaced_by_a_smaller_one() -> None:
    lz4, zstd, element = Chain.parse("lz4"), Chain.parse("shuffle+zstd:3"), np.dtype("<u8")
    published, small = run(PAYLOAD, lz4), run(PAYLOAD, zstd)
    frame = frame_of(published)
    transcoded = transcode_run(published, frame, zstd, element)
    assert bytes_of(transcoded.buffers) == bytes_of(small.buffers)
    assert transcode_run(small, frame_of(small), lz4, element) is small
    assert frame_of(transcode_run(small, frame_of(small), PLAIN, element)).payload == PAYLOAD
    assert transcode_run(run(PAYLOAD), frame_of(run(PAYLOAD)), zstd, element).size == small.size
    chunk = transcode_chunk(StoredChunk(frame.encoding, frame.payload), zstd, element)
    assert chunk.encoding is not None
    assert decode(chunk.encoding, chunk.data) == PAYLOAD


def test_what_declares_very_much_is_not_decoded_for_those_who_can_take_it() -> None:
    encoding = frame_of(run(PAYLOAD, Chain.parse("lz4"))).encoding
    assert encoding is not None
    assert [
        recodable_bytes(bytes(9), each)
        for each in (None, encoding, replace(encoding, decoded_bytes=MAX_SAMPLE_BYTES + 1))
    ] == [9, 9, 0]


def test_what_cannot_be_decoded_is_refused() -> None:
    chunk = recode_chunk(StoredChunk(None, PAYLOAD), Chain(codec="lz4"), np.dtype("<u8"))
    assert chunk.encoding is not None
    broken = StoredChunk(Encoding(len(PAYLOAD) + 8, chunk.encoding.steps), chunk.data)
    with pytest.raises(RequestRefused) as refused:
        recode_chunk(broken, PLAIN, np.dtype("<u8"))
    assert refused.value.code == Code.CORRUPT_PAYLOAD


def test_names_of_codecs() -> None:
    assert codec_names([1, 16]) == {"lz4", "shuffle"}
    assert codec_names([]) == frozenset()


@pytest.mark.parametrize(("codecs", "decoded"), [((), True), (("lz4",), False), (("lz4", "shuffle"), False)])
def test_a_run_is_decoded_for_receivers_that_do_not_know_its_codecs(codecs: tuple[str, ...], decoded: bool) -> None:
    encoded = run(PAYLOAD, Chain(codec="lz4"), count=5)
    assert run_codecs(encoded) == {"lz4"}
    (made,) = decode_run(encoded, frozenset(codecs))
    assert isinstance(made, Run)
    frame = frame_of(made)
    assert (frame.encoding is None) == decoded
    assert frame.payload == (PAYLOAD if decoded else frame_of(encoded).payload)
    assert (made.first, made.count, made.last_at, made.last_count) == (40, 5, 0, 5)


def test_a_frame_that_cannot_be_decoded_is_a_gap() -> None:
    encoded = run(PAYLOAD, Chain(codec="lz4"), count=5)
    data = b"".join(encoded.buffers)
    broken = Run(SOURCE, 40, 5, (data[:-64] + b"\xff" * 64,), len(data), 0, 5)
    assert decode_run(broken, frozenset()) == [Gap(7, Code.CORRUPT_PAYLOAD, 40, 44)]
    (as_it_came,) = decode_run(broken, frozenset({"lz4"}))
    assert isinstance(as_it_came, Run)


def test_codecs_of_chunks() -> None:
    chunks = [StoredChunk(None, PAYLOAD)]
    assert chunk_codecs(chunks) == frozenset()
    chunks.append(recode_chunk(chunks[0], Chain(True, "zstd"), np.dtype("<u8")))
    assert chunk_codecs(chunks) == {"zstd", "shuffle"}
    assert [readable(chunk.encoding, frozenset({"zstd"})) for chunk in chunks] == [True, False]
