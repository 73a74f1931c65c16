"""Chunks on their way out: cut, encoded ahead, each with the bytes of the payload that it stands for."""

from __future__ import annotations

import numpy as np
import pytest

from gateway.client.sending.content import content_of
from gateway.client.sending.outbound_chunk import READ_AHEAD, OutboundChunks, encoded_chunk
from gateway.protocol.dtypes import BYTE
from gateway.protocol.encoding import PLAIN, Chain, decode
from gateway.protocol.transfers import ChunkPlan

CHUNK_BYTES = 4096


@pytest.mark.parametrize("chain", [PLAIN, Chain.parse("shuffle+zstd:1")])
@pytest.mark.parametrize("unchanging", [True, False])
@pytest.mark.parametrize("first", [0, 2])
async def test_the_chunks_stand_for_the_rest_of_the_payload(chain: Chain, unchanging: bool, first: int) -> None:
    array = np.arange(2_000, dtype=np.float64)
    content = content_of(array, None)
    plan = ChunkPlan(1, CHUNK_BYTES, array.nbytes)
    chunks = [chunk async for chunk in OutboundChunks(content, plan, chain, first, unchanging=unchanging)]
    parts = [chunk.data if chunk.content is None else chunk.content for chunk in chunks]
    assert b"".join(map(b"".join, parts)) == array.tobytes()[first * CHUNK_BYTES :]
    assert [chunk.encoding is None for chunk in chunks] == [not chain.names] * (4 - first)
    assert [chunk.content is None for chunk in chunks] == [not chain.names and not unchanging] * (4 - first)


async def test_encoded_chunks_stand_for_copies_that_were_made_in_order() -> None:
    array = np.zeros(4 * CHUNK_BYTES, np.uint8)
    plan = ChunkPlan(1, CHUNK_BYTES, array.nbytes)
    values = []
    async for encoding, data, content in OutboundChunks(
        content_of(array, None), plan, Chain.parse("zstd:1"), 0, unchanging=False
    ):
        array[:] += 1
        assert encoding is not None
        assert content is not None
        assert bytes(decode(encoding, data[0])) == b"".join(content)
        values.append(content[0][0])
    assert values == [0] * (READ_AHEAD + 1) + [1], "the last one was copied when the second one was asked for"


async def test_chunks_of_bytes_are_views_of_them() -> None:
    payload = bytes(10_000)
    content = content_of(np.zeros(10_000, np.uint8), None)._replace(buffers=[payload])
    plan = ChunkPlan(1, CHUNK_BYTES, len(payload))
    async for chunk in OutboundChunks(content, plan, PLAIN, 0, unchanging=content.unchanging):
        (view,) = chunk.data
        assert isinstance(view, memoryview)
        assert view.obj is payload


def test_a_chunk_that_does_not_compress_is_sent_as_it_is() -> None:
    noise = np.random.default_rng(1).integers(0, 256, 1000, np.uint8)
    encoding, data, content = encoded_chunk([noise.data], Chain.parse("zstd:1"), BYTE)
    assert encoding is None
    assert data == content == [noise.data]
