"""Versions that came as patches: how they become whole, once and from whatever there is."""

from __future__ import annotations

import numpy as np
import pytest

from gateway.errors import RequestRefused
from gateway.ids import Epoch, StreamId, StreamName
from gateway.protocol.data import parse_data, write_data
from gateway.protocol.encoding import Chain, encode
from gateway.protocol.frames import iter_frames
from gateway.protocol.messages import Kind
from gateway.protocol.meta import parse_meta, write_meta
from gateway.protocol.regions import Region
from gateway.protocol.signals import Gap
from gateway.protocol.tensors import Array, spec_of
from gateway.protocol.transfers import ChunkPlan
from gateway.protocol.wire import Opcode
from gateway.streams.large import LargeMessage, StoredChunk
from gateway.streams.run import Run
from gateway.streams.state import (
    MAX_CHANGES,
    LargePatch,
    Newest,
    Patch,
    PatchRun,
    RegionChange,
    patch_of,
    published_encoding,
    specs_of,
)
from gateway.streams.stream import Stream

STATE = np.arange(3000, dtype=np.uint16).reshape(50, 60)
CHUNK_BYTES = 4096


def stream() -> Stream:
    return Stream(StreamId(7), StreamName("wf/a"), Kind.STATE, Epoch(1))


def whole_run(source: Stream, offset: int = 0, array: Array = STATE, chain: Chain | None = None) -> Run:
    data = array.tobytes()
    encoding, payload = (None, data) if chain is None else encode(chain, data, np.dtype("<u2")) or (None, data)
    buffers = write_data(
        Opcode.MESSAGE,
        stream=7,
        offset=offset,
        timestamp_ns=0,
        meta=write_meta([spec_of(array)]),
        encoding=encoding,
        payload=(payload,),
    )
    return Run.of_frame(source, offset, (b"".join(buffers),))


def batch_run(source: Stream) -> Run:
    """Two records of the state's halves, each of 25 rows."""
    meta = write_meta([spec_of(STATE[:25])])
    payload = (STATE.tobytes(),)
    buffers = write_data(Opcode.BATCH, stream=7, offset=0, timestamp_ns=0, meta=meta, count=2, payload=payload)
    return Run.of_frame(source, 0, buffers, 2)


def whole_large(source: Stream, chain: Chain | None = None) -> LargeMessage:
    data = STATE.tobytes()
    plan = ChunkPlan(1, CHUNK_BYTES, len(data))
    message = LargeMessage(source, Opcode.MESSAGE, 3, 0, 0, write_meta([spec_of(STATE)]), plan)
    for at in range(0, len(data), CHUNK_BYTES):
        piece = data[at : at + CHUNK_BYTES]
        message.chunks.append(
            StoredChunk(*(encode(chain, piece, np.dtype("<u2")) or (None, piece)) if chain else (None, piece))
        )
    message.offset = 0
    return message


def patched(before: Newest, value: int, key: object = np.s_[2:4, ::2], headers: bytes = b"") -> PatchRun:
    """The next version: a patch of ``value``."""
    region = Region.of(key, specs_of(before)[0].shape)
    data = np.full(region.shape, value, np.uint16).tobytes()
    earlier = patch_of(before)
    offset = 1 if earlier is None else earlier.offset + 1
    patch = Patch(
        before,
        offset,
        RegionChange(0, region, [StoredChunk(None, data)]),
        headers=headers,
        publisher=17,
        timestamp_ns=123,
    )
    return PatchRun(Run(before.source, offset, 1, (b"",), 0, 0, 1), patch)


def frame_payload(run: Run) -> bytes:
    view = memoryview(b"".join(run.buffers))
    return bytes(parse_data(view, next(iter_frames(view))).payload)


def array_of(message: Newest | Gap | None) -> Array:
    """The state that a whole version holds."""
    assert isinstance(message, Run | LargeMessage)
    (spec,) = specs_of(message)
    if isinstance(message, LargeMessage):
        data = b"".join([chunk.data for chunk in message.chunks])
    else:
        data = frame_payload(message)
    return np.frombuffer(data, spec.dtype).reshape(spec.shape)


@pytest.mark.parametrize("chain", [None, Chain(shuffle=True, codec="lz4")])
@pytest.mark.parametrize("chunked", [False, True])
def test_a_version_is_made_whole_from_the_last_whole_one_and_all_patches_since(
    chain: Chain | None, chunked: bool
) -> None:
    source = stream()
    newest: Newest = whole_large(source, chain) if chunked else whole_run(source, chain=chain)
    expected = STATE.copy()
    for value in range(5):
        newest = patched(newest, value, np.s_[value, value:])
        expected[value, value:] = value
    patch = patch_of(newest)
    assert patch is not None
    patch.settle(patch.merging()(), 9)
    np.testing.assert_array_equal(array_of(patch.keyframe), expected)
    if chunked:
        assert isinstance(patch.keyframe, LargeMessage)
        assert patch.keyframe.plan == ChunkPlan(9, CHUNK_BYTES, STATE.nbytes)
        assert patch.keyframe.offset == 5
    # The next one starts from here, and what was handed out stays as it is.
    after = patch_of(patched(newest, 77, np.s_[:, :]))
    assert after is not None
    after.settle(after.merging()(), 10)
    np.testing.assert_array_equal(array_of(patch.keyframe), expected)
    assert (array_of(after.keyframe) == 77).all()


def test_work_that_was_begun_is_not_disturbed_by_versions_that_become_whole() -> None:
    first = patched(whole_run(stream()), 1, np.s_[0])
    second = patched(first, 2, np.s_[1])
    early = second.patch.merging()
    first.patch.settle(first.patch.merging()(), 0)
    second.patch.settle(early(), 0)
    np.testing.assert_array_equal(array_of(second.patch.keyframe)[:3, 0], [1, 2, STATE[2, 0]])
    kept = second.patch.keyframe
    second.patch.settle(early(), 0)
    assert second.patch.keyframe is kept


def test_who_keeps_a_version_elsewhere_makes_it_for_himself() -> None:
    version = patched(whole_run(stream()), 1, np.s_[0])
    work = version.patch.making()
    np.testing.assert_array_equal(array_of(work())[0], [1] * 60)
    assert version.patch.keyframe is None
    assert version.patch.waiting_changes == 1


def test_the_whole_version_has_the_headers_and_the_place_of_the_patch() -> None:
    version = patched(whole_run(stream()), 1, headers=write_meta([], {"step": 3})[8:])
    version.patch.settle(version.patch.merging()(), 0)
    assert isinstance(version.patch.keyframe, Run)
    view = memoryview(b"".join(version.patch.keyframe.buffers))
    frame = parse_data(view, next(iter_frames(view)))
    assert (frame.stream, frame.publisher, frame.offset, frame.timestamp_ns) == (7, 17, 1, 123)
    assert frame.extensions is None
    assert parse_meta(frame.meta).headers == {"step": 3}


def test_of_a_record_batch_the_last_record_is_the_state() -> None:
    batch = batch_run(stream())
    version = patched(batch, 9, np.s_[0])
    version.patch.settle(version.patch.merging()(), 0)
    expected = STATE[25:].copy()
    expected[0] = 9
    np.testing.assert_array_equal(array_of(version.patch.keyframe), expected)


def test_a_state_that_does_not_decode_makes_all_versions_gaps() -> None:
    source = stream()
    run = whole_run(source, array=np.zeros_like(STATE), chain=Chain(codec="lz4"))
    # The first byte of the block says how many literals follow: now more than there are.
    at = run.size - len(frame_payload(run))
    broken = Run(source, 0, 1, (bytes(run.buffers[0])[:at] + b"\xff" * (run.size - at),), run.size, 0, 1)
    first = patched(broken, 1)
    second = patched(first, 2)
    for version in (first, second):
        work = version.patch.merging()
        with pytest.raises(RequestRefused) as refusal:
            work()
        version.patch.settle(refusal.value, 0)
        assert version.patch.broken
        assert isinstance(version.patch.keyframe, Gap)
        assert specs_of(patched(broken, 1).patch.making()()) == ()
        assert version.patch.keyframe.first == version.patch.offset


def test_it_is_time_to_make_a_state_whole_when_as_much_is_kept_as_it_is_large() -> None:
    newest: Newest = whole_run(stream())
    count = 0
    while not (patch_of(newest) or patched(newest, 0).patch).due:
        newest = patched(newest, 0, np.s_[0:10])
        count += 1
    # 1200 bytes and what a patch costs beside them, of 6000.
    assert count == 4
    patch = patch_of(newest)
    assert patch is not None
    patch.expect()
    assert not patched(newest, 0).patch.due


def test_nor_do_small_patches_of_a_large_state_pile_up() -> None:
    newest: Newest = whole_run(stream(), array=np.zeros((2000, 2000), np.uint16))
    count = 0
    while not (patch_of(newest) or patched(newest, 0).patch).due:
        newest = patched(newest, 0, np.s_[0, 0])
        count += 1
    assert count == MAX_CHANGES


def test_tensors_are_read_from_the_head_of_whatever_is_the_newest() -> None:
    source = stream()
    large = whole_large(source)
    assert [spec.shape for spec in specs_of(whole_run(source))] == [(50, 60)]
    assert [spec.shape for spec in specs_of(batch_run(source))] == [(25, 60)]
    assert [spec.shape for spec in specs_of(large)] == [(50, 60)]
    assert [spec.shape for spec in specs_of(patched(large, 1))] == [(50, 60)]


def test_a_large_patch_carries_its_region_to_receivers() -> None:
    region = Region.of(np.s_[0:2, 0:3])
    message = LargePatch(stream(), Opcode.MESSAGE, 3, 0, 0, b"", ChunkPlan(1, 4096, 5000), region=region)
    assert message.extensions is not None
    assert message.extensions.region == message.region.extents
    assert (message.chunks, message.patch, patch_of(message)) == ([], None, None)


def test_the_encoding_of_a_version_by_its_publisher() -> None:
    source, chain = stream(), Chain.parse("shuffle+lz4")
    for version in (whole_run(source, chain=chain), whole_large(source, chain)):
        found = published_encoding(version)
        assert found is not None
        assert found.chain == "shuffle+lz4"
        assert 0 < found.ratio < 1
    for version in (
        whole_run(source),
        whole_large(source),
        batch_run(source),
        patched(whole_run(source, chain=chain), 1),
    ):
        assert published_encoding(version) is None
