"""Invariant: the raw format of Snappy; its preamble is checked before the block is decoded."""

from __future__ import annotations

import tracemalloc

import pytest

from gateway.errors import Code, RequestRefused
from gateway.protocol.codecs.snappy import Snappy


def test_bytes_of_the_format() -> None:
    """The preamble 15, a literal of 1, a copy of 14 from 1 before (Snappy format description)."""
    assert bytes(Snappy().decode(b"\x0f\x00x\x36\x01\x00", 15, 0)) == b"x" * 15


@pytest.mark.parametrize("preamble", [b"", b"\x80", b"\xff\xff\xff\xff", b"\x80\x80\x80\x80\x80\x01"])
def test_a_preamble_that_does_not_end(preamble: bytes) -> None:
    with pytest.raises(RequestRefused, match="preamble") as caught:
        Snappy().check_size(preamble, 0, 0)
    assert caught.value.code == Code.CORRUPT_PAYLOAD


def test_a_lying_preamble_is_refused_before_it_is_allocated() -> None:
    bomb = b"\xff\xff\xff\xff\x0f" + bytes(Snappy().encode(bytes(1000), None, 0))[2:]
    tracemalloc.start()
    try:
        for decoded_bytes in (1000, 2**32 - 1):
            with pytest.raises(RequestRefused) as caught:
                Snappy().decode(bomb, decoded_bytes, 0)
            assert caught.value.code == Code.CORRUPT_PAYLOAD
        peak_bytes = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak_bytes < 1_000_000
