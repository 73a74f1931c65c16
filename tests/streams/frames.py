"""Runs of real frames, as the router makes them."""

from __future__ import annotations

import numpy as np

from gateway.ids import Epoch, StreamId, StreamName
from gateway.protocol.data import write_data
from gateway.protocol.frames import iter_frames
from gateway.protocol.messages import Kind
from gateway.protocol.meta import write_meta
from gateway.protocol.tensors import TensorSpec
from gateway.protocol.transfers import ChunkPlan
from gateway.protocol.wire import BATCH_BLOCK, DATA_HEADER, Opcode
from gateway.streams.history import Entry
from gateway.streams.large import LargeMessage, StoredChunk
from gateway.streams.run import Run
from gateway.streams.stream import Stream

SOURCE = Stream(StreamId(1), StreamName("wf/a"), Kind.EVENT, Epoch(1))
RECORD = write_meta([TensorSpec("", np.dtype(np.uint8), (1,))], None)


def frame(offset: int, count: int | None = None) -> bytes:
    """A MESSAGE, or a BATCH of so many records; each holds one byte, its offset modulo 256."""
    opcode = Opcode.MESSAGE if count is None else Opcode.BATCH
    payload = bytes((offset + index) % 256 for index in range(count or 1))
    parts = write_data(opcode, stream=1, offset=offset, timestamp_ns=5, meta=RECORD, count=count, payload=(payload,))
    return b"".join(parts)


def run_of(first: int, counts: list[int | None], source: Stream = SOURCE) -> Run:
    """Frames one after the other from offset ``first`` on; ``None`` is a MESSAGE, a number a BATCH."""
    data = bytearray()
    offset, last_at = first, 0
    for count in counts:
        last_at = len(data)
        data += frame(offset, count)
        offset += count or 1
    return Run(source, first, offset - first, (data,), len(data), last_at, counts[-1] or 1)


def large_of(offset: int, payload_bytes: int = 5000, source: Stream = SOURCE) -> LargeMessage:
    """A large message that is whole and has its offset."""
    message = LargeMessage(source, Opcode.MESSAGE, 9, 5, 0, RECORD, ChunkPlan(1, 4096, payload_bytes))
    for start in range(0, payload_bytes, 4096):
        message.chunks.append(StoredChunk(None, bytes(min(4096, payload_bytes - start))))
    message.offset = offset
    return message


def offsets_in(entry: Entry) -> list[int]:
    """The offsets that the frames of an entry carry."""
    if isinstance(entry, LargeMessage):
        assert entry.offset is not None
        return [entry.offset]
    message = memoryview(b"".join(entry.buffers))
    found: list[int] = []
    for at in iter_frames(message):
        offset = DATA_HEADER.unpack_from(message, at.start)[6]
        batch = at.opcode == Opcode.BATCH
        count = BATCH_BLOCK.unpack_from(message, at.start + DATA_HEADER.size)[0] if batch else 1
        found += range(offset, offset + count)
    return found
