"""Frames into a decoder, and what comes out of it."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field

import numpy as np

from gateway.client.decoding.decode_meter import DecodeMeter
from gateway.client.decoding.decoding import Decoding
from gateway.client.decoding.delta_bases import DeltaBases
from gateway.client.decoding.inbound_frame import InboundFrame
from gateway.client.decoding.partial_transfers import PartialTransfers
from gateway.client.messages.read_flow_control import ReadFlowControl
from gateway.ids import ClientId
from gateway.protocol.data import parse_data, write_data
from gateway.protocol.dtypes import BYTE
from gateway.protocol.encoding import Chain, Encoding, encode
from gateway.protocol.frames import iter_frames
from gateway.protocol.limits import Limits, WelcomeLimits
from gateway.protocol.messages import Welcome
from gateway.protocol.meta import write_meta
from gateway.protocol.reorder_buffer import ReorderBuffer
from gateway.protocol.signals import Abort, End
from gateway.protocol.tensors import TensorSpec
from gateway.protocol.transfers import ChunkPlan, split_payload, write_chunk
from gateway.protocol.wire import Buffer, Opcode

U1 = np.dtype(np.uint8)
CHUNK_BYTES = 64 * 1024
WELCOME = Welcome(
    version=1,
    client_id=ClientId("a"),
    session="s",
    peer=1,
    codecs=("lz4", "zstd"),
    filters=("shuffle", "xor", "diff64"),
    limits=WelcomeLimits.of(Limits()),
    heartbeat_interval_s=20.0,
    time_ns=0,
)


@dataclass
class Noted:
    """A destination that notes what it gets."""

    order: ReorderBuffer = field(default_factory=ReorderBuffer)
    bases: DeltaBases | None = None
    delivered: list[tuple[int, bytes]] = field(default_factory=list)
    errors: list[Exception] = field(default_factory=list)
    progress: list[tuple[int, int]] = field(default_factory=list)
    changed: asyncio.Event = field(default_factory=asyncio.Event)

    def deliver(self, inbound: InboundFrame, payload: Buffer) -> None:
        self.delivered.append((inbound.offset, bytes(payload)))
        self.changed.set()

    def fail(self, error: Exception, inbound: InboundFrame | None) -> None:
        self.errors.append(error)
        self.changed.set()

    def advanced(self, received_bytes: int, payload_bytes: int) -> None:
        self.progress.append((received_bytes, payload_bytes))
        self.changed.set()

    async def received(self, nbytes: int) -> None:
        """Until so much of a large message has come."""
        while not any(received >= nbytes for received, _ in self.progress):
            self.changed.clear()
            await self.changed.wait()

    async def wait(self, count: int) -> None:
        """Until so many were delivered or have failed."""
        while len(self.delivered) + len(self.errors) < count:
            self.changed.clear()
            await self.changed.wait()


class Wire:
    """Frames into a decoder."""

    def __init__(self, max_message_bytes: int = 1 << 30, max_transfers: int = 4) -> None:
        self.reading: list[bool] = []
        self.resumed = asyncio.Event()
        self.flow = ReadFlowControl(self.read)
        self.meter = DecodeMeter()
        self.decoding = Decoding(
            WELCOME,
            self.flow,
            lambda: 99,
            max_message_bytes=max_message_bytes,
            max_transfers=max_transfers,
            partial_transfers=PartialTransfers(),
            meter=self.meter,
        )

    def read(self, reading: bool) -> None:
        """What the flow decides."""
        self.reading.append(reading)
        if reading:
            self.resumed.set()

    def message(self, to: Noted, offset: int, payload: bytes, chain: str = "none", base: bytes | None = None) -> None:
        """A message in one frame."""
        encoded = encode(Chain.parse(chain), payload, BYTE, base=base)
        encoding, data = encoded or (None, payload)
        self.frame(to, offset, len(payload), encoding, data)

    def frame(self, to: Noted, offset: int, payload_bytes: int, encoding: Encoding | None, data: Buffer) -> None:
        meta = write_meta([TensorSpec("", U1, (payload_bytes,))])
        frame = write_data(
            Opcode.MESSAGE, stream=1, offset=offset, timestamp_ns=0, meta=meta, encoding=encoding, payload=[data]
        )
        self._receive(to, frame)

    def begin(self, to: Noted, transfer: int, payload_bytes: int, offset: int = 0) -> None:
        """The data frame of a large message."""
        meta = write_meta([TensorSpec("", U1, (payload_bytes,))])
        plan = ChunkPlan(transfer, CHUNK_BYTES, payload_bytes)
        self._receive(to, write_data(Opcode.MESSAGE, stream=1, offset=offset, timestamp_ns=0, meta=meta, plan=plan))

    def chunk(self, transfer: int, index: int, data: Buffer, chain: str = "none", base: bytes | None = None) -> None:
        encoded = encode(Chain.parse(chain), bytes(data), BYTE, base=base)
        encoding, data = encoded or (None, data)
        self.raw_chunk(transfer, index, encoding, data)

    def raw_chunk(self, transfer: int, index: int, encoding: Encoding | None, data: Buffer) -> None:
        message = memoryview(b"".join(write_chunk(transfer, index, [data], encoding)))
        self.decoding.chunk_received(message, next(iter_frames(message)))

    def chunks(self, transfer: int, payload: bytes, chain: str = "none", base: bytes | None = None) -> None:
        for index, parts in enumerate(split_payload([payload], CHUNK_BYTES)):
            at = index * CHUNK_BYTES
            old = None if base is None else base[at : at + CHUNK_BYTES]
            self.chunk(transfer, index, b"".join(parts), chain, old)

    def placed(self, transfer: int, index: int, data: bytes, came: int = 16) -> bool:
        """A plain chunk that is read where it stays, if the decoder has a place for it; return whether it has.

        Args:
            came: bytes of the chunk's frame that have come when the decoder is asked.
        """
        frame = b"".join(write_chunk(transfer, index, [data]))
        placement = self.decoding.place(memoryview(frame[:came]), len(frame))
        if placement is None:
            return False
        placement.memory[:] = frame[-len(placement.memory) :]
        placement.filled()
        return True

    def end(self, transfer: int, offset: int, checksum: int | None = None) -> None:
        message = memoryview(End(transfer, offset, 0, checksum).write())
        self.decoding.end_received(message, next(iter_frames(message)))

    def abort(self, transfer: int, code: int) -> None:
        message = memoryview(Abort(transfer, code).write())
        self.decoding.abort_received(message, next(iter_frames(message)))

    def _receive(self, to: Noted, frame: list[Buffer]) -> None:
        message = memoryview(b"".join(frame))
        inbound = InboundFrame(parse_data(message, next(iter_frames(message))), 1)
        inbound.check()
        self.decoding.receive(inbound, to)


def counting(size: int) -> bytes:
    """A payload that compresses, and no part of which is like another."""
    return (np.arange(size // 4 + 1, dtype=np.uint32) // 3).tobytes()[:size]
