"""Chunks on their way out: cut, encoded ahead, each with the bytes of the payload that it stands for."""

from __future__ import annotations

import numpy as np
import pytest

from gateway.client.sending.content import content_of
from gateway.client.sending.outbound_chunk import OutboundChunks, encoded_chunk
from gateway.protocol.encoding import PLAIN, Chain, decode
from gateway.protocol.transfers import ChunkPlan

CHUNK_BYTES = 4096


@pytest.mark.parametrize("chain", [PLAIN, Chain.parse("shuffle+zstd:1")])
@pytest.mark.parametrize("first", [0, 2])
async def test_the_chunks_stand_for_the_rest_of_the_payload(chain: Chain, first: int) -> None:
    array = np.arange(2_000, dtype=np.float64)
    plan = ChunkPlan(1, CHUNK_BYTES, array.nbytes)
    chunks = [chunk async for chunk in OutboundChunks(content_of(array, None), plan, chain, first)]
    assert b"".join(b"".join(chunk.content) for chunk in chunks) == array.tobytes()[first * CHUNK_BYTES :]
    assert [chunk.encoding is None for chunk in chunks] == [not chain.names] * (4 - first)


def test_an_encoded_chunk_stands_for_a_copy() -> None:
    array = np.zeros(1_000)
    encoding, data, content = encoded_chunk([array.data.cast("B")], Chain.parse("zstd:1"), 8)
    array[:] = 1.0
    assert encoding is not None
    assert bytes(decode(encoding, data[0])) == b"".join(content) == bytes(array.nbytes)


def test_a_chunk_that_does_not_compress_is_sent_as_its_copy() -> None:
    noise = np.random.default_rng(1).integers(0, 256, 1000, np.uint8)
    encoding, data, content = encoded_chunk([noise.data], Chain.parse("zstd:1"), 1)
    assert encoding is None
    assert data == content == [noise.tobytes()]
