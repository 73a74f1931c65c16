"""Invariant: read from either end, and in whatever pieces, a payload has the CRC-32 of its bytes."""

from __future__ import annotations

import zlib

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.protocol import checksum as checksum_module
from gateway.protocol.checksum import checksum_from_the_end, checksum_of


def test_the_checksum_of_buffers_is_that_of_their_bytes() -> None:
    numbers = np.arange(6, dtype=np.float64)
    assert checksum_of([b"ab", numbers.data, b""]) == zlib.crc32(b"ab" + numbers.tobytes())
    assert checksum_of([b"cd"], checksum_of([b"ab"])) == zlib.crc32(b"abcd")
    assert checksum_of([]) == checksum_from_the_end([]) == 0


@given(st.lists(st.binary(max_size=3000), max_size=5))
def test_from_the_end_it_is_the_same(buffers: list[bytes]) -> None:
    assert checksum_from_the_end(buffers) == zlib.crc32(b"".join(buffers))


@pytest.mark.parametrize("size", [1, (1 << 18) - 1, 1 << 18, (1 << 20) + 12_345])
def test_of_long_payloads_too(size: int) -> None:
    payload = np.random.default_rng(size).integers(0, 256, size, np.uint8)
    assert checksum_from_the_end([payload.data, memoryview(b"tail")]) == zlib.crc32(payload.tobytes() + b"tail")


def test_the_last_bytes_are_read_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checksum_module, "_PIECE_BYTES", 4)
    pieces = [bytes(piece) for piece in checksum_module._pieces_from_the_end([b"abcdef", b"ghi"])]
    assert pieces == [b"ghi", b"cdef", b"ab"]
