"""Numbers and byte layouts of the wire, all in one place (``spec/protocol.md``).

Knows struct formats, opcodes, flags and limits. No other module states a number of the wire.
"""

from __future__ import annotations

import enum
import struct
from typing import Final

SUBPROTOCOL_BINARY: Final = "frys.v1"
SUBPROTOCOL_JSON: Final = "frys.v1.json"
VERSION: Final = 1

Buffer = bytes | bytearray | memoryview
"""Types that the protocol reads from and writes to."""


class Opcode(enum.IntEnum):
    """Type of a frame (spec section 2)."""

    HELLO = 0x01
    WELCOME = 0x02
    AUTHENTICATE = 0x03
    AUTHENTICATED = 0x04
    OPEN = 0x05
    STREAM = 0x06
    SUBSCRIBE = 0x07
    SUBSCRIBED = 0x08
    UNSUBSCRIBE = 0x09
    UNSUBSCRIBED = 0x0A
    ERROR = 0x0B
    GO_AWAY = 0x0C
    REFRESH = 0x0D
    NOTICE = 0x0E
    ACCOUNT = 0x0F
    MESSAGE = 0x10
    BATCH = 0x11
    REQUEST = 0x12
    REPLY = 0x13
    CHUNK = 0x18
    END = 0x19
    ABORT = 0x1A
    ACK = 0x1B
    GAP = 0x1C
    PING = 0x1D
    PONG = 0x1E
    CREDIT = 0x1F
    DONE = 0x20
    RESUME = 0x21
    CANCEL = 0x22
    REPLAY = 0x23
    IN_PROGRESS = 0x24
    CONFLATED = 0x25
    DELETE = 0x26
    DELETED = 0x27
    ATTEND = 0x28
    ATTENDING = 0x29
    AWARENESS = 0x2A
    MEMBERS = 0x2B
    REPORT = 0x2C


JSON_OPCODES: Final = frozenset(op for op in Opcode if op < Opcode.MESSAGE or Opcode.DELETE <= op <= Opcode.MEMBERS)
DATA_OPCODES: Final = frozenset({Opcode.MESSAGE, Opcode.BATCH, Opcode.REQUEST, Opcode.REPLY})

# Flags of data frames and chunks (spec sections 5 and 6.2). Plain ints: they are tested once per frame.
FLAG_ENCODED: Final = 0x01
FLAG_CHUNKED: Final = 0x02
FLAG_ACK: Final = 0x04
FLAG_FAILED: Final = 0x08
FLAG_EXTENDED: Final = 0x10
FLAG_MORE: Final = 0x20

# Flags of ACK, END and PING (spec sections 7.1, 6.3 and 9).
ACK_DURABILITY: Final = 0x03
"""Bits of an ACK that hold the durability of the message."""
ACK_REPEATED: Final = 0x04
END_CHECKSUM: Final = 0x01
PING_REPORT: Final = 0x01

FRAME_START: Final = struct.Struct("<IBBH")
"""frame_bytes, opcode, flags, meta_units (spec section 2)."""

DATA_HEADER: Final = struct.Struct("<IBBHIIQq")
"""frame_bytes, opcode, flags, meta_units, stream, publisher, offset, timestamp_ns (spec section 5)."""

DATA_ROUTE: Final = struct.Struct("<IIQ")
"""stream, publisher, offset: the fields that the server overwrites, at :data:`ROUTE_AT` (spec section 5)."""
ROUTE_AT: Final = 8

OFFSET_AT: Final = 16
"""Index of the offset in a data frame (spec section 5)."""

TIMESTAMP_AT: Final = 24
"""Index of the timestamp in a data frame (spec section 5)."""

FLAGS_AT: Final = 5
"""Index of the flags in a frame (spec section 2)."""

EXTENSION_BLOCK: Final = struct.Struct("<HHI")
"""units, zero, zero: the start of the extension block (spec section 5.3)."""

EXTENSION_FIELD: Final = struct.Struct("<BBHI")
"""type, zero, units, value: the start of each field in it (spec section 5.3)."""

EXTENT: Final = struct.Struct("<QQQ")
"""start, count, step: one dimension of a region (spec section 5.3)."""

BATCH_BLOCK: Final = struct.Struct("<II")
"""count, zero (spec section 5)."""

CHUNK_PLAN: Final = struct.Struct("<IIQ")
"""transfer, chunk_bytes, payload_bytes (spec section 6.1)."""

CHUNK_HEADER: Final = struct.Struct("<IBBHII")
"""frame start, transfer, index (spec section 6.2)."""

END_FRAME: Final = struct.Struct("<IBBHIIQq")
"""frame start, transfer, checksum, offset, timestamp_ns (spec section 6.3)."""

ABORT_FRAME: Final = struct.Struct("<IBBHII")
"""frame start, transfer, code (spec section 6.4)."""

RESUME_FRAME: Final = struct.Struct("<IBBHII")
"""frame start, transfer, index (spec section 6.5)."""

ACK_FRAME: Final = struct.Struct("<IBBHIIQQ")
"""frame start, alias, count, sequence, offset (spec section 7.1)."""

RANGE_FRAME: Final = struct.Struct("<IBBHIIQQ")
"""GAP, REPLAY and DONE: frame start, stream, code, first, last (spec sections 7.2 to 7.4)."""

IN_PROGRESS_FRAME: Final = struct.Struct("<IBBHI4xQQ")
"""frame start, stream, four reserved bytes, first, last (spec section 7.8)."""

CONFLATED_FRAME: Final = struct.Struct("<IBBHI4xQ")
"""frame start, stream, four reserved bytes, count (spec section 7.9)."""

REPORT_FRAME: Final = struct.Struct("<IBBHQQQQ")
"""frame start, decoded_bytes, decode_ns, unread_bytes, unread_ns (spec section 7.10)."""

REPORT_COUNT: Final = struct.Struct("<I4x")
"""positions, four reserved bytes: what stands behind the fields of REPORT (spec section 7.10)."""

REPORT_POSITION: Final = struct.Struct("<IIQ")
"""stream, behind, offset: one position in REPORT (spec section 7.10)."""

CREDIT_FRAME: Final = struct.Struct("<IBBHIIQ")
"""frame start, subscription, messages, bytes (spec section 7.5)."""

CANCEL_FRAME: Final = struct.Struct("<IBBHI4xQ")
"""frame start, peer, four reserved bytes, correlation (spec section 8.1)."""

PING_FRAME: Final = struct.Struct("<IBBHq")
"""frame start, t0 (spec section 9)."""

PONG_FRAME: Final = struct.Struct("<IBBHqqq")
"""frame start, t0, t1, t2 (spec section 9)."""

ENCODING_BLOCK: Final = struct.Struct("<Q8B")
"""decoded_bytes, four times (step id, parameter) (spec section 10.1)."""

DESCRIPTOR: Final = struct.Struct("<BBBB")
"""dtype, ndim, name_bytes, flags (spec section 5.1)."""
DESCRIPTOR_MORE: Final = 0x01
DESCRIPTOR_WIDE: Final = 0x02
NO_TENSOR: Final = 0

ALIGNMENT: Final = 8
"""Frames, blocks and tensors start on multiples of this (spec section 2)."""

# Limits that are part of the protocol (spec sections 5, 6, 7.10, 13); limits.py has the configurable ones.
MAX_NDIM: Final = 32
MAX_NAME_BYTES: Final = 255
MAX_TENSORS: Final = 255
MAX_HEADERS_BYTES: Final = 64 * 1024
MAX_BATCH_RECORDS: Final = 65_536
MIN_CHUNK_BYTES: Final = 4096
MAX_CHUNK_BYTES: Final = 4 * 1024 * 1024
CHUNK_BYTES_MULTIPLE: Final = 64
MAX_STEPS: Final = 4
MAX_POSITIONS: Final = 64
"""Positions in one REPORT (spec section 7.10)."""
KNOWN_POSITIONS: Final = 256
"""Positions that both sides of a connection know: those that were named last (spec section 7.10)."""
PRODUCER_KEPT_S: Final = 600.0
"""Time for which the sequences of a producer are remembered after its connection is gone (spec section 4.6)."""

PADDING: Final = tuple(bytes(n) for n in range(ALIGNMENT))
"""``PADDING[-n % ALIGNMENT]`` are the zero bytes that follow ``n`` bytes."""


def padded(size: int) -> int:
    """Return the next multiple of 8 at or above ``size``."""
    return (size + 7) & ~7
