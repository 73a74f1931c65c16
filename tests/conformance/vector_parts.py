"""What golden vectors are made of: frames by the tables of ``spec/protocol.md``, not by the code under test."""

from __future__ import annotations

import json
import struct
from dataclasses import dataclass
from typing import Final

import lz4.block
import numpy as np
import snappy
import zstandard
from pcodec import ChunkConfig, standalone

from gateway.errors import Code

T0: Final = 1_770_000_000_000_000_000
ENCODED, CHUNKED, ACK, FAILED, EXTENDED, MORE = 1, 2, 4, 8, 16, 32
MESSAGE, BATCH, REQUEST, REPLY = 0x10, 0x11, 0x12, 0x13
LZ4, ZSTD, SNAPPY, PCO, SHUFFLE, XOR = 1, 2, 3, 4, 16, 17
DIFF8, DIFF16, DIFF32, DIFF64 = 18, 19, 20, 21
PCO_NUMBERS: Final = {
    5: (8, "<i8", 1),
    6: (1, "<u1", 1),
    9: (8, "<u8", 1),
    11: (2, "<u2", 1),
    13: (8, "<f8", 1),
    14: (8, "<f4", 2),
    15: (16, "<f8", 2),
}
"""By code of the dtype: bytes of an element, the numbers that the file holds, and how many of them an element is."""
DELTAS: Final = frozenset({XOR, DIFF8, DIFF16, DIFF32, DIFF64})


@dataclass(frozen=True, slots=True)
class Definition:
    """One vector: what it shows, and its bytes."""

    name: str
    section: str
    about: str
    message: bytes
    error: Code | None = None
    base: bytes | None = None


# --- frames, from the tables of the specification -----------------------------------------------------------------


def pad(data: bytes) -> bytes:
    return data + bytes(-len(data) % 8)


def frame(opcode: int, body: bytes, *, flags: int = 0, units: int = 0) -> bytes:
    return pad(struct.pack("<IBBH", 8 + len(body), opcode, flags, units) + body)


def text(opcode: int, body: str) -> bytes:
    json.loads(body)
    return frame(opcode, body.encode())


def descriptor(
    code: int, shape: tuple[int, ...] = (), name: str = "", *, more: bool = False, wide: bool = False
) -> bytes:
    start = struct.pack("<BBBB", code, len(shape), len(name.encode()), more | wide << 1)
    return pad(start + struct.pack(f"<{len(shape)}{'Q' if wide else 'I'}", *shape) + name.encode())


def headers(body: str) -> bytes:
    return pad(body.encode())


NO_TENSOR: Final = descriptor(0)


def data(
    opcode: int = MESSAGE,
    meta: bytes = b"",
    payload: bytes = b"",
    *,
    flags: int = 0,
    route: tuple[int, int, int] = (7, 17, 12),
    time: int = T0,
    count: int | None = None,
) -> bytes:
    block = b"" if count is None else struct.pack("<II", count, 0)
    return frame(opcode, struct.pack("<IIQq", *route, time) + block + meta + payload, flags=flags, units=len(meta) // 8)


def extensions(*fields: bytes) -> bytes:
    body = b"".join(fields)
    return struct.pack("<HHI", 1 + len(body) // 8, 0, 0) + body


def extension(kind: int, value: int = 0, body: bytes = b"") -> bytes:
    return struct.pack("<BBHI", kind, 0, 1 + len(body) // 8, value) + body


def plan(transfer: int, chunk_bytes: int, payload_bytes: int) -> bytes:
    return struct.pack("<IIQ", transfer, chunk_bytes, payload_bytes)


def encoding(decoded_bytes: int, *steps: tuple[int, int]) -> bytes:
    return struct.pack("<Q8s", decoded_bytes, bytes(number for step in steps for number in step))


def chunk(transfer: int, index: int, payload: bytes, *, block: bytes = b"") -> bytes:
    return frame(0x18, struct.pack("<II", transfer, index) + block + payload, flags=ENCODED if block else 0)


def end(transfer: int, offset: int = 0) -> bytes:
    return frame(0x19, struct.pack("<IIQq", transfer, 0, offset, T0))


# --- payloads -----------------------------------------------------------------------------------------------------


def step_applied(step: tuple[int, int], payload: bytes, base: bytes) -> bytes:
    number, parameter = step
    if number == SHUFFLE:
        whole = len(payload) // parameter * parameter
        elements = np.frombuffer(payload[:whole], np.uint8).reshape(-1, parameter)
        return elements.T.tobytes() + payload[whole:]
    if number == XOR:
        return (np.frombuffer(payload, np.uint8) ^ np.frombuffer(base, np.uint8)).tobytes()
    if number in DELTAS:
        size = 1 << number - DIFF8
        whole = len(payload) // size * size
        now, before = (np.frombuffer(data[:whole], f"<u{size}") for data in (payload, base))
        return bytes(now - before) + payload[whole:]
    if number == LZ4:
        return bytes(lz4.block.compress(payload, store_size=False))
    if number == ZSTD:
        return zstandard.ZstdCompressor(level=3).compress(payload)
    if number == PCO:
        return pco_file(parameter, payload)
    return bytes(snappy.compress(payload))


def pco_file(dtype: int, payload: bytes) -> bytes:
    size, held, parts = PCO_NUMBERS[dtype]
    whole = len(payload) // size * size
    numbers = np.frombuffer(payload[:whole], held).reshape(-1, parts).T.ravel()
    file = standalone.simple_compress(numbers, ChunkConfig(enable_8_bit=True))
    return bytes(file) + payload[whole:]


def encoded(payload: bytes, *steps: tuple[int, int], base: bytes = b"") -> bytes:
    block = encoding(len(payload), *steps)
    for step in steps:
        payload = step_applied(step, payload, base)
    return block + payload


FLOATS: Final = np.array([[1, 2], [3, 4]], "<f4")
PLAIN: Final = descriptor(12, (2, 2))
TOKENS: Final = (np.arange(48, dtype="<i8") * 7 % 50).tobytes()
RAMP: Final = np.linspace(0, 1, 48, dtype="<f8").tobytes()
NEXT_RAMP: Final = np.linspace(0, 1.001, 48, dtype="<f8").tobytes()
COUNTERS: Final = np.array([0, 1, 255, -1, 2**31 - 1, -(2**31), 7, 8], "<i4").tobytes() + b"abc"
NEXT_COUNTERS: Final = np.array([1, 0, 256, 0, -(2**31), 2**31 - 1, 7, 9], "<i4").tobytes() + b"abd"
"""Steps by one, some of them over the end of the range; and bytes that are no whole element."""
LONG: Final = np.arange(1250, dtype="<f4").tobytes()
HALVES: Final = (np.arange(64, dtype="<u2") // 3 + 0x3F80).astype("<u2").tobytes()
"""bfloat16 numbers from 1 on, in small steps."""
WAVE: Final = np.exp(1j * np.arange(48) / 8).round(1)
SHORT: Final = np.array([1, 2, 3], "<f4").tobytes()
