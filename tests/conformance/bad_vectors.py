"""The golden vectors that every implementation refuses, each with its documented error. Only ever append."""

from __future__ import annotations

import struct
from typing import Final

from gateway.errors import Code
from tests.conformance.vector_parts import (
    BATCH,
    CHUNKED,
    DIFF32,
    ENCODED,
    EXTENDED,
    LONG,
    LZ4,
    MESSAGE,
    NO_TENSOR,
    PLAIN,
    SHORT,
    SHUFFLE,
    SNAPPY,
    XOR,
    ZSTD,
    Definition,
    chunk,
    data,
    descriptor,
    encoded,
    encoding,
    end,
    extension,
    extensions,
    frame,
    headers,
    plan,
    text,
)


def bad(name: str, section: str, about: str, error: Code, message: bytes) -> Definition:
    return Definition(f"bad-{name}", section, about, message, error)


_TRANSFER: Final = data(MESSAGE, descriptor(12, (1250,)), plan(5, 4096, 5000), flags=CHUNKED, route=(7, 17, 0))

BAD: Final = (
    bad("empty", "2", "No frame at all", Code.MALFORMED_FRAME, b""),
    bad("length", "2", "Not a multiple of 8", Code.MALFORMED_FRAME, frame(0x1D, bytes(8)) + bytes(4)),
    bad("frame-bytes-0", "2", "A second frame of 0 bytes", Code.MALFORMED_FRAME, frame(0x1D, bytes(8)) + bytes(8)),
    bad("frame-bytes-7", "2", "Less than its start", Code.MALFORMED_FRAME, struct.pack("<IBBH", 7, 0x1D, 0, 0)),
    bad("frame-past-end", "2", "Reaches past the end", Code.MALFORMED_FRAME, struct.pack("<IBBHQ", 17, 0x1D, 0, 0, 0)),
    bad("opcode", "2", "Opcode 0x7f", Code.UNKNOWN_MESSAGE_TYPE, frame(0x7F, bytes(8))),
    bad("hello", "3.1", "No client_type", Code.BAD_HELLO, text(0x01, '{"versions":[1]}')),
    bad("subscribe", "2", "A number as pattern", Code.INVALID_REQUEST, text(0x07, '{"subscription":1,"pattern":5}')),
    bad("json", "2", "Not JSON", Code.INVALID_REQUEST, frame(0x07, b'{"request":')),
    bad("data-short", "5", "Shorter than its header", Code.MALFORMED_FRAME, frame(MESSAGE, bytes(16))),
    bad("ack-short", "7.1", "Shorter than its table", Code.MALFORMED_FRAME, frame(0x1B, bytes(16))),
    bad("meta-past-end", "5", "Meta block past the end", Code.MALFORMED_FRAME, frame(MESSAGE, bytes(32), units=2)),
    bad("encoding-past-end", "5", "Half a block", Code.MALFORMED_FRAME, data(payload=bytes(8), flags=ENCODED)),
    bad("batch-of-0", "5.2", "No records", Code.INVALID_REQUEST, data(BATCH, descriptor(6), count=0)),
    bad("dtype", "11", "Code 16", Code.INVALID_TENSOR, data(MESSAGE, descriptor(16, (1,)), bytes(8))),
    bad("33-dimensions", "11", "One too many", Code.INVALID_TENSOR, data(MESSAGE, descriptor(6, (1,) * 33), bytes(1))),
    bad(
        "descriptor-cut-off", "5.1", "Two dimensions announced", Code.INVALID_TENSOR, data(MESSAGE, PLAIN[:8], bytes(4))
    ),
    bad(
        "name-twice",
        "5.1",
        "Two tensors of one name",
        Code.INVALID_TENSOR,
        data(MESSAGE, descriptor(6, (0,), "w", more=True) + descriptor(6, (0,), "w")),
    ),
    bad(
        "shape-overflow",
        "5.1",
        "2**32 x 2**32 bytes, which is 0 in 64 bits",
        Code.INVALID_TENSOR,
        data(MESSAGE, descriptor(6, (2**32, 2**32), wide=True)),
    ),
    bad("headers", "5.1", "Not an object", Code.INVALID_REQUEST, data(MESSAGE, NO_TENSOR + headers("[1]"))),
    bad("payload-short", "5.1", "A byte less", Code.SIZE_MISMATCH, data(MESSAGE, PLAIN, bytes(15))),
    bad("payload-long", "5.1", "A byte more", Code.SIZE_MISMATCH, data(MESSAGE, PLAIN, bytes(17))),
    bad(
        "codec",
        "10.1",
        "Step id 9",
        Code.UNKNOWN_CODEC,
        data(MESSAGE, PLAIN, encoding(16, (9, 0)) + bytes(8), flags=ENCODED),
    ),
    bad(
        "chain-order",
        "10",
        "A filter after the compressor",
        Code.UNKNOWN_CODEC,
        data(MESSAGE, PLAIN, encoding(16, (LZ4, 0), (SHUFFLE, 4)) + bytes(8), flags=ENCODED),
    ),
    bad(
        "decoded-bytes",
        "10.1",
        "Declares another size than the descriptors",
        Code.SIZE_MISMATCH,
        data(MESSAGE, PLAIN, encoded(bytes(64), (LZ4, 0)), flags=ENCODED),
    ),
    bad(
        "expands-lz4",
        "10.1",
        "Decodes to more than it declares",
        Code.CORRUPT_PAYLOAD,
        data(MESSAGE, PLAIN, encoding(16, (LZ4, 0)) + encoded(bytes(64), (LZ4, 0))[16:], flags=ENCODED),
    ),
    bad(
        "expands-zstd",
        "10.1",
        "Decodes to more than it declares",
        Code.CORRUPT_PAYLOAD,
        data(MESSAGE, PLAIN, encoding(16, (ZSTD, 0)) + encoded(bytes(64), (ZSTD, 0))[16:], flags=ENCODED),
    ),
    bad(
        "expands-snappy",
        "10.1",
        "Decodes to more than it declares",
        Code.CORRUPT_PAYLOAD,
        data(MESSAGE, PLAIN, encoding(16, (SNAPPY, 0)) + encoded(bytes(64), (SNAPPY, 0))[16:], flags=ENCODED),
    ),
    bad(
        "plan-chunk-bytes",
        "6.1",
        "Chunks of 100 bytes",
        Code.BROKEN_TRANSFER,
        data(MESSAGE, descriptor(12, (3,)), plan(1, 100, 12), flags=CHUNKED),
    ),
    bad(
        "plan-payload-bytes",
        "6.1",
        "Another size than the descriptors",
        Code.SIZE_MISMATCH,
        data(MESSAGE, descriptor(12, (3,)), plan(1, 4096, 16), flags=CHUNKED),
    ),
    bad(
        "plan-and-payload",
        "5",
        "Bytes behind the chunk plan",
        Code.SIZE_MISMATCH,
        data(MESSAGE, descriptor(12, (3,)), plan(1, 4096, 12) + SHORT, flags=CHUNKED),
    ),
    bad("chunk-index", "6.2", "Starts with chunk 1", Code.BROKEN_TRANSFER, _TRANSFER + chunk(5, 1, LONG[4096:])),
    bad("chunk-size", "6.2", "A first chunk of 4095 bytes", Code.BROKEN_TRANSFER, _TRANSFER + chunk(5, 0, LONG[:4095])),
    bad("end-early", "6.3", "One chunk of two", Code.BROKEN_TRANSFER, _TRANSFER + chunk(5, 0, LONG[:4096]) + end(5)),
    bad(
        "extension-past-end",
        "5.3",
        "A block of two units where there is one",
        Code.MALFORMED_FRAME,
        data(MESSAGE, b"", struct.pack("<HHI", 2, 0, 0), flags=EXTENDED),
    ),
    bad("extension-of-0", "5.3", "No units", Code.MALFORMED_FRAME, data(MESSAGE, b"", bytes(8), flags=EXTENDED)),
    bad(
        "extension-field",
        "5.3",
        "A field that reaches past its block",
        Code.INVALID_REQUEST,
        data(MESSAGE, b"", struct.pack("<HHIBBHI", 2, 0, 0, 2, 0, 2, 0), flags=EXTENDED),
    ),
    bad(
        "region-step",
        "5.3",
        "A step of 0",
        Code.INVALID_REQUEST,
        data(
            MESSAGE,
            PLAIN,
            extensions(extension(1, 1, struct.pack("<QQQ", 0, 1, 0))) + bytes(16),
            flags=EXTENDED,
        ),
    ),
    bad(
        "since",
        "4.3",
        "A word that is not known",
        Code.INVALID_REQUEST,
        text(0x07, '{"request":1,"subscription":1,"pattern":"wf/a","since":"yesterday"}'),
    ),
    bad("done-short", "7.4", "Shorter than its table", Code.MALFORMED_FRAME, frame(0x20, bytes(16))),
    bad("conflated-short", "7.9", "Shorter than its table", Code.MALFORMED_FRAME, frame(0x25, bytes(8))),
    bad("report-short", "7.10", "Shorter than its table", Code.MALFORMED_FRAME, frame(0x2C, bytes(24))),
    bad("in-progress-short", "7.8", "Shorter than its table", Code.MALFORMED_FRAME, frame(0x24, bytes(16))),
    bad(
        "two-deltas",
        "10",
        "A delta to two bases",
        Code.UNKNOWN_CODEC,
        data(MESSAGE, PLAIN, encoding(16, (XOR, 1), (DIFF32, 1)) + bytes(16), flags=ENCODED),
    ),
)
