"""Frames of clients that write them by hand, also wrong ones."""

from __future__ import annotations

import json
import struct
from typing import Final

import numpy as np

from gateway.protocol.meta import write_tensor_meta
from gateway.protocol.wire import (
    BATCH_BLOCK,
    CHUNK_HEADER,
    CHUNK_PLAN,
    DATA_HEADER,
    FLAG_CHUNKED,
    FRAME_START,
    PADDING,
    PING_FRAME,
    Opcode,
)

BYTE: Final = np.dtype(np.uint8)


def frame(opcode: int, body: bytes = b"") -> bytes:
    """Return a frame of any opcode and body."""
    size = FRAME_START.size + len(body)
    return FRAME_START.pack(size, opcode, 0, 0) + body + PADDING[-size % 8]


def control(opcode: Opcode, **fields: object) -> bytes:
    """Return a frame with a JSON body."""
    return frame(opcode, json.dumps(fields, separators=(",", ":")).encode())


def open_stream(alias: int, stream: str, kind: str = "state", **fields: object) -> bytes:
    """Return OPEN."""
    return control(Opcode.OPEN, alias=alias, stream=stream, kind=kind, **fields)


def subscribe(number: int, pattern: str, **fields: object) -> bytes:
    """Return SUBSCRIBE; ``number`` is that of the request and of the subscription."""
    return control(Opcode.SUBSCRIBE, request=number, subscription=number, pattern=pattern, **fields)


def message(
    alias: int, sequence: int, payload: bytes, *, opcode: int = Opcode.MESSAGE, flags: int = 0, dtype: np.dtype = BYTE
) -> bytes:
    """Return a MESSAGE with one tensor of one dimension, or a REQUEST."""
    meta = write_tensor_meta(dtype, (len(payload) // dtype.itemsize,))
    size = DATA_HEADER.size + len(meta) + len(payload)
    header = DATA_HEADER.pack(size, opcode, flags, len(meta) // 8, alias, 0, sequence, 1)
    return header + meta + payload + PADDING[-size % 8]


def headed_message(alias: int, sequence: int, headers: bytes) -> bytes:
    """Return a MESSAGE without tensors whose headers are these bytes."""
    meta = bytes(8) + headers + bytes(-len(headers) % 8)
    size = DATA_HEADER.size + len(meta)
    return DATA_HEADER.pack(size, Opcode.MESSAGE, 0, len(meta) // 8, alias, 0, sequence, 1) + meta


def batch(alias: int, sequence: int, count: int) -> bytes:
    """Return a BATCH of so many records of one byte."""
    meta = write_tensor_meta(BYTE, ())
    size = DATA_HEADER.size + BATCH_BLOCK.size + len(meta) + count
    header = DATA_HEADER.pack(size, Opcode.BATCH, 0, len(meta) // 8, alias, 0, sequence, 1)
    return header + BATCH_BLOCK.pack(count, 0) + meta + bytes(count) + PADDING[-size % 8]


def large_head(alias: int, sequence: int, transfer: int, chunk_bytes: int, payload_bytes: int) -> bytes:
    """Return the MESSAGE that announces a payload in chunks."""
    meta = write_tensor_meta(BYTE, (payload_bytes,))
    size = DATA_HEADER.size + len(meta) + CHUNK_PLAN.size
    header = DATA_HEADER.pack(size, Opcode.MESSAGE, FLAG_CHUNKED, len(meta) // 8, alias, 0, sequence, 1)
    return header + meta + CHUNK_PLAN.pack(transfer, chunk_bytes, payload_bytes)


def chunk(transfer: int, index: int, data: bytes) -> bytes:
    """Return CHUNK."""
    size = CHUNK_HEADER.size + len(data)
    return CHUNK_HEADER.pack(size, Opcode.CHUNK, 0, 0, transfer, index) + data + PADDING[-size % 8]


def ping() -> bytes:
    """Return PING."""
    return PING_FRAME.pack(PING_FRAME.size, Opcode.PING, 0, 0, 0)


def split(received: bytearray) -> list[tuple[int, bytes]]:
    """Remove the complete WebSocket frames of a server from what has come, and return their opcodes and payloads."""
    found: list[tuple[int, bytes]] = []
    at = 0
    while len(received) >= at + 2:
        size, head = received[at + 1], 2
        if size >= 126:
            head = 4 if size == 126 else 10
            if len(received) < at + head:
                break
            (size,) = struct.unpack_from("!H" if head == 4 else "!Q", received, at + 2)
        end = at + head + size
        if len(received) < end:
            break
        found.append((received[at] & 15, bytes(received[at + head : end])))
        at = end
    del received[:at]
    return found


def websocket(data: bytes, *, opcode: int = 2, fin: bool = True) -> bytes:
    """Return a WebSocket frame of a client, masked with zeros."""
    first = (0x80 if fin else 0) | opcode
    size = len(data)
    if size < 126:
        head = struct.pack("!BB", first, 0x80 | size)
    elif size < 1 << 16:
        head = struct.pack("!BBH", first, 0x80 | 126, size)
    else:
        head = struct.pack("!BBQ", first, 0x80 | 127, size)
    return head + bytes(4) + data
