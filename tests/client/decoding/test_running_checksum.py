"""The checksum of a payload that grows is that of the whole, whatever came when."""

import asyncio
import zlib

import numpy as np
import pytest

from gateway.client.decoding.running_checksum import INLINE_CHECKSUM_BYTES, STEP_BYTES, RunningChecksum
from gateway.protocol.transfers import Assembler, Chunk, ChunkPlan

CHUNK_BYTES = 1024 * 1024


def noise(size: int) -> bytes:
    return np.random.default_rng(5).bytes(size)


@pytest.mark.parametrize("size", [1, INLINE_CHECKSUM_BYTES, INLINE_CHECKSUM_BYTES + 1, STEP_BYTES, 3 * STEP_BYTES + 77])
@pytest.mark.parametrize("turns", [False, True])
async def test_it_is_that_of_the_whole(size: int, turns: bool) -> None:
    payload = memoryview(noise(size))
    plan = ChunkPlan(1, CHUNK_BYTES, size)
    assembler = Assembler(plan)
    checksum = RunningChecksum(assembler)
    for index in range(plan.chunk_count):
        data = payload[index * CHUNK_BYTES : (index + 1) * CHUNK_BYTES]
        assembler.receive(Chunk(1, index, None, data))
        checksum.advance()
        if turns:
            await asyncio.sleep(0)
    found: asyncio.Future[int] = asyncio.get_running_loop().create_future()
    checksum.finish(found.set_result)
    assert await found == zlib.crc32(payload)


async def test_what_is_short_is_known_at_once() -> None:
    assembler = Assembler(ChunkPlan(1, CHUNK_BYTES, 5))
    assembler.receive(Chunk(1, 0, None, memoryview(b"hello")))
    found: list[int] = []
    RunningChecksum(assembler).finish(found.append)
    assert found == [zlib.crc32(b"hello")]
