"""Sizes of chunks: that of WELCOME, advice for some streams, and sizes that the protocol does not have."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from gateway.client.session.chunk_sizes import MAX_ADVISED, ChunkSizes
from gateway.protocol.wire import CHUNK_BYTES_MULTIPLE, MAX_CHUNK_BYTES, MIN_CHUNK_BYTES

KIB = 1024


def agreed(chunk_bytes: int = 512 * KIB, frame_bytes: int = 8 * 1024 * KIB) -> ChunkSizes:
    sizes = ChunkSizes()
    assert sizes.agree(chunk_bytes, frame_bytes) == chunk_bytes
    return sizes


def test_advice_is_for_one_stream_until_it_is_taken_back() -> None:
    sizes = agreed()
    sizes.advise("wf/a", 2048 * KIB)
    assert (sizes.of("wf/a"), sizes.of("wf/b")) == (2048 * KIB, 512 * KIB)
    sizes.advise("wf/a", None)
    assert sizes.of("wf/a") == 512 * KIB
    sizes.advise("wf/c", None)
    assert sizes.of("wf/c") == 512 * KIB


@given(st.integers(0, 2**32 - 1), st.integers(MIN_CHUNK_BYTES, 16 * 1024 * KIB))
def test_any_advice_gives_a_size_of_the_protocol_that_fits_a_frame(chunk_bytes: int, frame_bytes: int) -> None:
    sizes = ChunkSizes()
    for found in (sizes.agree(chunk_bytes, frame_bytes), sizes.of("wf/a")):
        assert MIN_CHUNK_BYTES <= found <= min(frame_bytes, MAX_CHUNK_BYTES)
        assert not found % CHUNK_BYTES_MULTIPLE
    sizes.advise("wf/a", chunk_bytes)
    assert sizes.of("wf/a") == sizes.agree(chunk_bytes, frame_bytes)


def test_advice_for_very_many_streams_takes_bounded_memory() -> None:
    sizes = agreed()
    for number in range(MAX_ADVISED + 10):
        sizes.advise(f"wf/{number}", 1024 * KIB)
    assert len(sizes._advised_bytes) == MAX_ADVISED
    assert (sizes.of("wf/0"), sizes.of(f"wf/{MAX_ADVISED + 9}")) == (512 * KIB, 1024 * KIB)
