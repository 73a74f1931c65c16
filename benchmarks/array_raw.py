"""Clients of ``arrays.py`` that are the limit: two protocols of uvloop, a length before each array, no masking."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

import numpy as np

from benchmarks.array_clients import ArrayPlan, AsyncClient, Publish, Started, Take
from benchmarks.array_peers import Acknowledgements
from benchmarks.peers.raw import LENGTH
from benchmarks.processes import VerificationFailed
from benchmarks.stamped_arrays import Array

SCRATCH_BYTES: Final = 64 << 10
DIRECT_BYTES: Final = 32 << 10
"""Arrays from this size on are received in place, up to what came with the previous one; smaller ones in bulk."""


class _Writer(asyncio.Protocol):
    def __init__(self) -> None:
        self.acknowledgements = Acknowledgements()

    def data_received(self, data: bytes) -> None:
        for _ in data:
            self.acknowledgements.settle()


class _Reader(asyncio.BufferedProtocol):
    """Subscriber, whose receive buffer is the array itself."""

    def __init__(self, take: Take) -> None:
        self.ended: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._take = take
        self._scratch = bytearray(SCRATCH_BYTES)
        self._scratch_view = memoryview(self._scratch)
        self._filled = 0
        self._array: Array | None = None
        self._missing = self._scratch_view[:0]

    def get_buffer(self, sizehint: int) -> memoryview:
        return self._scratch_view[self._filled :] if self._array is None else self._missing

    def buffer_updated(self, nbytes: int) -> None:
        if self._array is None:
            self._filled += nbytes
            self._cut()
            return
        self._missing = self._missing[nbytes:]
        if not self._missing:
            array, self._array = self._array, None
            self._deliver(array)

    def _cut(self) -> None:
        """Deliver the arrays that are complete, and begin the one that is not."""
        start = 0
        while self._filled - start >= LENGTH.size:
            (length,) = LENGTH.unpack_from(self._scratch, start)
            begin, end = start + LENGTH.size, start + LENGTH.size + length
            if end <= self._filled:
                self._deliver(np.frombuffer(self._scratch, np.float32, length // 4, begin).copy())  # scratch is reused
            elif length >= DIRECT_BYTES:
                self._array = np.empty(length // 4, np.float32)
                room = self._array.data.cast("B")
                came = self._filled - begin
                room[:came] = self._scratch_view[begin : self._filled]
                self._missing = room[came:]
                end = self._filled
            else:
                break
            start = end
        rest = self._filled - start
        self._scratch[:rest] = self._scratch[start : self._filled]
        self._filled = rest

    def _deliver(self, array: Array) -> None:
        try:
            if self._take(array):
                self.ended.set_result(None)
        except VerificationFailed as failure:
            if not self.ended.done():
                self.ended.set_exception(failure)

    def connection_lost(self, exc: Exception | None) -> None:
        if not self.ended.done():
            self.ended.set_exception(exc or ConnectionError("the relay has closed"))


@asynccontextmanager
async def publishing_raw(plan: ArrayPlan) -> AsyncIterator[Publish]:
    """Connect to the relay, whose byte for each array acknowledges it."""
    loop = asyncio.get_running_loop()
    transport, writer = await loop.create_connection(_Writer, "127.0.0.1", plan.port)

    async def publish(array: Array) -> None:
        transport.writelines((LENGTH.pack(array.nbytes), array.data.cast("B")))
        await writer.acknowledgements.expect()

    yield publish
    transport.close()


async def receive_raw(plan: ArrayPlan, started: Started, take: Take) -> int:
    """Connect to the relay as the first of two."""
    loop = asyncio.get_running_loop()
    transport, reader = await loop.create_connection(lambda: _Reader(take), "127.0.0.1", plan.port)
    started()
    await reader.ended
    transport.close()
    return 0


RAW: Final = AsyncClient(publishing_raw, receive_raw)
