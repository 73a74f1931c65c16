"""Invariant: one Zstandard frame with its content size; what it says of itself is checked before it is decoded."""

from __future__ import annotations

import tracemalloc

import pytest
import zstandard

from gateway.errors import Code, RequestRefused
from gateway.protocol.codecs.zstd import Zstd

SKIPPABLE = b"\x50\x2a\x4d\x18\x04\x00\x00\x00abcd"


def code_of(data: bytes, decoded_bytes: int) -> int:
    with pytest.raises(RequestRefused) as caught:
        Zstd().decode(data, decoded_bytes, 0)
    return caught.value.code


def lying(frame: bytes, content_bytes: int) -> bytes:
    """The frame with an 8-byte content size of our choice in its header (RFC 8878, section 3.1.1.1)."""
    header_bytes = zstandard.frame_header_size(frame)
    single_segment = 0x20
    return frame[:4] + bytes([0xC0 | single_segment]) + content_bytes.to_bytes(8, "little") + frame[header_bytes:]


def test_encoded_frames_name_their_size() -> None:
    for level in (None, -7, 3, 19):
        assert zstandard.frame_content_size(bytes(Zstd().encode(bytes(12345), level, 0))) == 12345


def test_a_lying_content_size_is_refused_before_it_is_allocated() -> None:
    frame = bytes(Zstd().encode(bytes(100_000), None, 0))
    bomb = lying(frame, 1 << 30)
    assert zstandard.frame_content_size(bomb) == 1 << 30
    tracemalloc.start()
    try:
        codes = {code_of(bomb, 1000), code_of(bomb, 1 << 30), code_of(lying(frame, 2**63), 2**63)}
        peak_bytes = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert codes == {Code.CORRUPT_PAYLOAD}
    assert peak_bytes < 1_000_000


@pytest.mark.parametrize("declared", [99_999, 100_001])
def test_a_content_size_that_is_slightly_wrong(declared: int) -> None:
    frame = bytes(Zstd().encode(bytes(100_000), None, 0))
    assert code_of(lying(frame, declared), declared) == Code.CORRUPT_PAYLOAD


def test_other_frames_of_the_format_are_refused() -> None:
    compressor = zstandard.ZstdCompressor
    frame = compressor().compress(bytes(1000))
    unsized = compressor(write_content_size=False).compress(bytes(1000))
    for data, decoded_bytes in (
        (unsized, 1000),
        (SKIPPABLE, 0),
        (SKIPPABLE, 4),
        (SKIPPABLE + frame, 1000),
        (frame + frame, 2000),
        (frame + frame, 1000),
    ):
        assert code_of(data, decoded_bytes) == Code.CORRUPT_PAYLOAD


def test_a_checksum_is_checked() -> None:
    frame = zstandard.ZstdCompressor(write_checksum=True).compress(b"abc" * 100)
    assert bytes(Zstd().decode(frame, 300, 0)) == b"abc" * 100
    assert code_of(frame[:-1] + bytes([frame[-1] ^ 1]), 300) == Code.CORRUPT_PAYLOAD


def test_a_failed_frame_does_not_spoil_the_next() -> None:
    codec = Zstd()
    frame = bytes(codec.encode(bytes(range(256)) * 100, 1, 0))
    for _ in range(10):
        with pytest.raises(RequestRefused):
            codec.decode(frame[:-3], 25_600, 0)
        assert bytes(codec.decode(frame, 25_600, 0)) == bytes(range(256)) * 100
