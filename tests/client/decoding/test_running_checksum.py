"""The checksum of a payload that grows is that of the whole, whatever came when."""

import asyncio
import zlib

import numpy as np
import pytest

from gateway.client.decoding import running_checksum
from gateway.client.decoding.running_checksum import RunningChecksum
from gateway.protocol.transfers import Assembler, Chunk, ChunkPlan

CHUNK_BYTES = 1024 * 1024


def noise(size: int) -> bytes:
    return np.random.default_rng(5).bytes(size)


@pytest.mark.parametrize("size", [1, 262_144, 262_145, 4_194_304, 3 * 4_194_304 + 77])
@pytest.mark.parametrize("turns", [False, True])
@pytest.mark.parametrize(("step_bytes", "inline_bytes"), [(4_194_304, 262_144), (262_144, 4_194_304)])
async def test_it_is_that_of_the_whole(
    size: int, turns: bool, step_bytes: int, inline_bytes: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By either library, of which one is computed in threads."""
    monkeypatch.setattr(running_checksum, "STEP_BYTES", step_bytes)
    monkeypatch.setattr(running_checksum, "INLINE_CHECKSUM_BYTES", inline_bytes)
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
