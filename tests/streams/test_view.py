"""Views computed: compared with numpy's own slicing and casting, for runs, batches and large messages."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.errors import Code, RequestRefused
from gateway.ids import Epoch, StreamId, StreamName
from gateway.protocol.data import DataFrame, parse_data, write_data
from gateway.protocol.dtypes import BYTE, code_of
from gateway.protocol.encoding import PLAIN, Chain, encode
from gateway.protocol.frames import bytes_of, iter_frames
from gateway.protocol.limits import Limits
from gateway.protocol.messages import Kind
from gateway.protocol.meta import parse_meta, write_meta
from gateway.protocol.quantization import cast, dequantize
from gateway.protocol.tensors import payload_buffers, payload_layout, spec_of, view_tensors
from gateway.protocol.transfers import ChunkPlan, split_payload
from gateway.protocol.views import View
from gateway.protocol.wire import Buffer, Opcode
from gateway.streams.large import LargeMessage, StoredChunk
from gateway.streams.run import Run
from gateway.streams.stream import Stream
from gateway.streams.view import JOINED_FRAME_BYTES, Misfit, Shown, ShownLarge, ViewPart, show
from tests.protocol.strategies import Array, arrays, chains, dtypes, indices, same_bits

STREAM = Stream(StreamId(1), StreamName("wf/field"), Kind.STATE, Epoch(5))
OWN = Stream(StreamId(9), StreamName("wf/field"), Kind.STATE, Epoch(5))
LIMITS = Limits()


def message(
    tensors: dict[str, Array], offset: int = 3, *, headers: dict[str, Any] | None = None, chain: Chain = PLAIN
) -> list[Buffer]:
    payload: Buffer = b"".join(payload_buffers(list(tensors.values()))) if tensors else b""
    encoding = None
    if chain != PLAIN and (encoded := encode(chain, payload, BYTE)) is not None:
        encoding, payload = encoded
    return write_data(
        Opcode.MESSAGE,
        stream=1,
        publisher=17,
        offset=offset,
        timestamp_ns=100 + offset,
        meta=write_meta([spec_of(array, name) for name, array in tensors.items()], headers),
        encoding=encoding,
        payload=(payload,),
    )


def run(*frames: list[Buffer], first: int = 3, count: int | None = None) -> Run:
    data = b"".join([b"".join(frame) for frame in frames])
    return Run(STREAM, first, count or len(frames), (data,), len(data), 0, 1)


def batch(records: Array, first: int = 3) -> Run:
    frame = write_data(
        Opcode.BATCH,
        stream=1,
        publisher=17,
        offset=first,
        timestamp_ns=100,
        meta=write_meta([spec_of(records[0])]),
        count=len(records),
        payload=payload_buffers([records]),
    )
    return Run(STREAM, first, len(records), tuple(frame), bytes_of(frame), 0, len(records))


def large(array: Array, chunk_bytes: int = 4096, chain: Chain = PLAIN) -> LargeMessage:
    plan = ChunkPlan(7, chunk_bytes, array.nbytes)
    head = LargeMessage(STREAM, Opcode.MESSAGE, 17, 103, 0, write_meta([spec_of(array)], {"step": 1}), plan)
    head.offset = 3
    for pieces in split_payload(payload_buffers([array]), chunk_bytes):
        piece = b"".join(pieces)
        encoded = None if chain == PLAIN else encode(chain, piece, array.dtype)
        head.chunks.append(StoredChunk(None, piece) if encoded is None else StoredChunk(*encoded))
    return head


def frames_of(parts: list[ViewPart]) -> list[DataFrame]:
    """All frames, as a receiver cuts them."""
    found: list[DataFrame] = []
    for part in parts:
        if isinstance(part, Shown):
            data = memoryview(b"".join(part.run.buffers))
            assert len(data) == part.run.size
            cut = [parse_data(data, frame) for frame in iter_frames(data)]
            assert part.run.first == cut[0].offset
            assert part.run.count == sum(frame.count for frame in cut)
            assert part.run.last_count == cut[-1].count
            *_, last = iter_frames(data)
            assert part.run.last_at == last.start
            found += cut
        elif isinstance(part, ShownLarge):
            found.append(part.frame)
    return found


def tensors_of(frame: DataFrame) -> dict[str, Array]:
    specs = parse_meta(frame.meta).specs
    count = frame.count if frame.opcode == Opcode.BATCH else None
    views = view_tensors(specs, frame.payload, count=count)
    return {spec.name: array for spec, array in zip(specs, views, strict=True)}


def only(parts: list[ViewPart]) -> DataFrame:
    (frame,) = frames_of(parts)
    return frame


@given(arrays(max_ndim=4), indices(), dtypes | st.none(), chains() | st.just(PLAIN))
def test_a_message_is_sliced_and_cast_as_numpy_does_it(
    array: Array, index: tuple[Any, ...], target: np.dtype[Any] | None, chain: Chain
) -> None:
    view = View(index, target)
    parts = show(view, run(message({"": array}, chain=chain)), OWN, LIMITS)
    try:
        view.check(spec_of(array))
        expected, how = cast(np.asarray(array[index]), array.dtype if target is None else target)
    except (RequestRefused, OverflowError):
        (misfit,) = parts
        assert isinstance(misfit, Misfit)
        assert (misfit.first, misfit.last, misfit.refusal.code) == (3, 3, Code.INVALID_VIEW)
        return
    frame = only(parts)
    assert (frame.stream, frame.publisher, frame.offset, frame.timestamp_ns) == (9, 17, 3, 103)
    assert same_bits(tensors_of(frame)[""], expected)
    assert (None if frame.extensions is None else frame.extensions.quantized) == how


@given(arrays(max_ndim=3), st.integers(1, 4))
def test_a_view_is_applied_to_each_record_of_a_batch(record: Array, count: int) -> None:
    if record.ndim == 0:
        return
    records = np.stack([np.roll(record, shift, axis=0) for shift in range(count)])
    frame = only(show(View(np.s_[::2]), batch(records), OWN, LIMITS))
    assert (frame.opcode, frame.count, frame.offset) == (Opcode.BATCH, count, 3)
    assert same_bits(tensors_of(frame)[""], np.ascontiguousarray(records[:, ::2]))


def test_a_quantized_batch_has_one_scale() -> None:
    records = np.array([[0.0, 1.0], [254.0, 255.0]], np.float32)
    frame = only(show(View(dtype="uint8"), batch(records), OWN, LIMITS))
    assert frame.extensions is not None
    how = frame.extensions.quantized
    assert how == (code_of(records.dtype), 1.0, 0.0)
    assert dequantize(tensors_of(frame)[""], how).tolist() == records.tolist()


@given(st.sampled_from([PLAIN, Chain(codec="lz4"), Chain(shuffle=True, codec="zstd")]), st.integers(1, 5000))
def test_a_large_message_is_viewed_whole(chain: Chain, length: int) -> None:
    array = np.arange(length, dtype=np.int32) // 7
    frame = only(show(View(np.s_[::-3], "float32"), large(array, chain=chain), OWN, LIMITS))
    assert same_bits(tensors_of(frame)[""], array[::-3].astype(np.float32))
    assert parse_meta(frame.meta).headers == {"step": 1}
    assert (frame.offset, frame.publisher, frame.timestamp_ns) == (3, 17, 103)


def test_what_is_large_goes_out_in_chunks_and_what_is_middling_alone() -> None:
    array = np.zeros((1024, 1024), np.float32)
    (part,) = show(View(dtype="float64"), large(array, chunk_bytes=LIMITS.chunk_bytes), OWN, LIMITS)
    assert isinstance(part, ShownLarge)
    assert (part.element, len(part.frame.payload)) == (np.dtype(np.float64), 8 * 2**20)
    (middling,) = show(View(np.s_[::32, ::2]), large(array), OWN, LIMITS)
    assert isinstance(middling, Shown)
    assert middling.frame is not None
    assert middling.element == np.float32


def test_a_view_of_everything_copies_nothing() -> None:
    array = np.zeros(JOINED_FRAME_BYTES, np.uint8)
    entry = run(message({"": array}))
    (part,) = show(View(), entry, OWN, LIMITS)
    assert isinstance(part, Shown)
    assert np.shares_memory(np.frombuffer(part.run.buffers[1], np.uint8), np.frombuffer(entry.buffers[0], np.uint8))


def test_headers_and_other_tensors() -> None:
    tensors: dict[str, Array] = {"w": np.ones((4, 4), np.float32), "b": np.arange(4, dtype=np.int8)}
    headers = {"loss": 0.1, "step": 2**60}
    both = only(show(View(np.s_[::2], "float16"), run(message(tensors, headers=headers)), OWN, LIMITS))
    assert {name: array.shape for name, array in tensors_of(both).items()} == {"w": (2, 4), "b": (2,)}
    one = only(show(View(np.s_[::2], "uint8", tensor="w"), run(message(tensors, headers=headers)), OWN, LIMITS))
    assert list(tensors_of(one)) == ["w"]
    assert one.extensions is not None
    assert parse_meta(one.meta).headers == parse_meta(both.meta).headers == headers
    nothing = only(show(View(np.s_[::2]), run(message({}, headers=headers)), OWN, LIMITS))
    assert (tensors_of(nothing), parse_meta(nothing.meta).headers) == ({}, headers)
    assert not only(show(View(), run(message({})), OWN, LIMITS)).meta


def test_of_several_tensors_one_at_most_is_quantized() -> None:
    floats: dict[str, Array] = {"w": np.ones(4, np.float32), "b": np.ones(4, np.float32)}
    integers: dict[str, Array] = {"w": np.full(4, 3, np.int64), "b": np.array([0, 1000])}
    for tensors in (floats, integers):
        (misfit,) = show(View(dtype="uint8"), run(message(tensors)), OWN, LIMITS)
        assert isinstance(misfit, Misfit)
        assert "name it by `tensor`" in misfit.refusal.message


def test_small_messages_become_one_run_and_a_misfit_stands_in_its_place() -> None:
    fits, other = np.arange(6.0).reshape(2, 3), np.arange(3.0)
    frames = [message({"": array}, offset) for offset, array in enumerate([fits, fits, other, other, fits], start=3)]
    before, misfit, after = show(View(np.s_[:, 1]), run(*frames), OWN, LIMITS)
    assert isinstance(before, Shown)
    assert isinstance(after, Shown)
    assert isinstance(misfit, Misfit)
    assert [(part.run.first, part.run.count) for part in (before, after)] == [(3, 2), (7, 1)]
    assert (misfit.first, misfit.last) == (5, 6)
    assert "float64 and shape [3]" in misfit.refusal.message
    assert [tensors_of(frame)[""].tolist() for frame in frames_of([before, after])] == [[1.0, 4.0]] * 3


def test_a_result_beyond_the_limits_does_not_fit() -> None:
    array = np.zeros(1000, np.uint8)
    limits = replace(LIMITS, max_message_bytes=7999, max_frame_bytes=9000)
    (misfit,) = show(View(dtype="float64"), run(message({"": array})), OWN, limits)
    assert isinstance(misfit, Misfit)
    assert "8000 bytes is larger than 7999" in misfit.refusal.message
    (misfit,) = show(View(dtype="float64"), batch(np.zeros((100, 10), np.uint8)), OWN, limits)
    assert isinstance(misfit, Misfit)
    assert only(show(View(dtype="float32"), batch(np.zeros((100, 10), np.uint8)), OWN, limits)).count == 100


def test_what_cannot_be_decoded_is_a_misfit_of_its_own() -> None:
    array = np.zeros(1000, np.uint8)
    whole = bytearray(b"".join(message({"": array}, chain=Chain(codec="zstd"))))
    whole[whole.index(b"\x28\xb5\x2f\xfd")] ^= 0xFF  # the magic number of a frame
    (misfit,) = show(View(), Run(STREAM, 3, 1, (bytes(whole),), len(whole), 0, 1), OWN, LIMITS)
    assert isinstance(misfit, Misfit)
    assert misfit.refusal.code == Code.CORRUPT_PAYLOAD


@pytest.mark.parametrize("count", [1, 3])
def test_layouts_agree(count: int) -> None:
    tensors = {str(index): np.arange(index + 1, dtype=np.uint8) for index in range(count)}
    frame = only(show(View(np.s_[:1]), run(message(tensors)), OWN, LIMITS))
    assert payload_layout(parse_meta(frame.meta).specs)[1] == len(frame.payload)
