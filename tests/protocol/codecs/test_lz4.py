"""Invariant: the block format of LZ4, without a size, both ways."""

from __future__ import annotations

import numpy as np
import pytest

from gateway.errors import Code, RequestRefused
from gateway.protocol.codecs.lz4 import Lz4


def test_bytes_of_the_format() -> None:
    """A token of 1 literal and a match of 4 + 5, its offset 1, then the last 5 literals (LZ4 block format)."""
    block = b"\x15x\x01\x00" + b"\x50xxxxx"
    assert bytes(Lz4().decode(block, 15, 0)) == b"x" * 15


def test_levels_trade_speed_for_size() -> None:
    text = np.random.default_rng(1).integers(0, 9, 100_000).astype(np.uint8).tobytes()
    sizes = [len(Lz4().encode(text, level, 0)) for level in (-64, None, 12)]
    assert sizes == sorted(sizes, reverse=True)
    assert sizes[0] > sizes[-1]


def test_a_block_that_lz4_cannot_hold_is_refused() -> None:
    data = memoryview(bytes(9_000_000))
    with pytest.raises(RequestRefused, match="lz4 block cannot hold") as caught:
        Lz4().check_size(data, 0x7E000001, 0)
    assert caught.value.code == Code.CORRUPT_PAYLOAD
