"""The golden vectors that every implementation reads, and writes to the byte. Only ever append.

Encoded payloads come from the compression libraries, whose output may change with their version; what is recorded in
``spec/vectors`` stays as it is.
"""

from __future__ import annotations

import struct
import zlib
from typing import Any, Final

import ml_dtypes
import numpy as np

from tests.conformance.vector_parts import (
    ACK,
    BATCH,
    CHUNKED,
    COUNTERS,
    DELTAS,
    DIFF8,
    DIFF16,
    DIFF32,
    DIFF64,
    ENCODED,
    EXTENDED,
    FAILED,
    FLOATS,
    HALVES,
    LONG,
    LZ4,
    MESSAGE,
    MORE,
    NEXT_COUNTERS,
    NEXT_RAMP,
    NO_TENSOR,
    PCO,
    PLAIN,
    RAMP,
    REPLY,
    REQUEST,
    SHORT,
    SHUFFLE,
    SNAPPY,
    T0,
    TOKENS,
    WAVE,
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
    pad,
    plan,
    text,
)

# Code, name and an array with the values most easily got wrong, for every row of spec section 11.
DTYPES: Final = (
    (1, "bool", np.array([False, True, True])),
    (2, "int8", np.array([-128, 0, 127], "<i1")),
    (3, "int16", np.array([-32768, 0, 32767], "<i2")),
    (4, "int32", np.array([-(2**31), 0, 2**31 - 1], "<i4")),
    (5, "int64", np.array([-(2**63), 0, 2**63 - 1], "<i8")),
    (6, "uint8", np.array([0, 1, 255], "<u1")),
    (7, "uint16", np.array([0, 1, 65535], "<u2")),
    (8, "uint32", np.array([0, 1, 2**32 - 1], "<u4")),
    (9, "uint64", np.array([0, 1, 2**64 - 1], "<u8")),
    (10, "float16", np.array([-0.0, 1.5, np.inf], "<f2")),
    (11, "bfloat16", np.array([-0.0, 1.5, np.inf], ml_dtypes.bfloat16)),
    (12, "float32", np.array([-0.0, 0.1, np.nan], "<f4")),
    (13, "float64", np.array([-0.0, 0.1, np.nan], "<f8")),
    (14, "complex64", np.array([1 - 2j, 0, complex(np.inf, -0.0)], "<c8")),
    (15, "complex128", np.array([1 - 2j, 0, complex(np.inf, -0.0)], "<c16")),
)


_BYTES: Final = {6: 1, 11: 2, 15: 16}
"""Bytes of an element of the dtypes below that have not eight."""


def chain(name: str, *steps: tuple[int, int], payload: bytes = TOKENS, code: int = 5, old: bytes = RAMP) -> Definition:
    base = old if DELTAS.intersection(number for number, _ in steps) else None
    meta = descriptor(code, (len(payload) // _BYTES.get(code, 8),))
    body = encoded(payload, *steps, base=base or b"")
    about = f"Steps {', '.join(f'{number} ({parameter})' for number, parameter in steps) or 'none'}"
    return Definition(f"chain-{name}", "10.1", about, data(MESSAGE, meta, body, flags=ENCODED), base=base)


def _dtype(code: int, name: str, array: np.ndarray[Any, Any]) -> Definition:
    return Definition(
        f"dtype-{name}", "11", f"Three {name} values", data(MESSAGE, descriptor(code, (3,)), array.tobytes())
    )


SESSION: Final = (
    Definition(
        "hello",
        "3.1",
        "All fields",
        text(
            0x01,
            '{"versions":[1],"client_type":"agent","client_id":"trainer","token":"secret","agent":"frys-python/0.1",'
            '"codecs":["lz4","zstd","snappy"],"filters":["shuffle","xor"],"max_message_bytes":4294967296}',
        ),
    ),
    Definition(
        "hello-anonymous",
        "3.1",
        "No client_id, no token, no codecs",
        text(
            0x01,
            '{"versions":[1],"client_type":"admin_panel","token":null,"agent":"","codecs":[],"filters":[]}',
        ),
    ),
    Definition(
        "welcome",
        "3.1",
        "The answer to HELLO",
        text(
            0x02,
            '{"version":1,"client_id":"trainer","session":"9f2c","peer":17,"codecs":["lz4","zstd","snappy"],'
            '"filters":["shuffle","xor"],"limits":{"max_frame_bytes":8388608,"max_message_bytes":4294967296,'
            '"chunk_bytes":524288},"heartbeat_interval_s":20.0,"time_ns":1770000000000000000,"agent":"frys/0.1"}',
        ),
    ),
    Definition(
        "welcome-limits",
        "3.1",
        "All limits are told",
        text(
            0x02,
            '{"version":1,"client_id":"trainer","session":"9f2c","peer":17,"codecs":[],"filters":[],'
            '"limits":{"max_frame_bytes":8388608,"max_message_bytes":4294967296,"chunk_bytes":524288,'
            '"max_unfinished_bytes":1073741824,"max_aliases":4096},"heartbeat_interval_s":20.0,'
            '"time_ns":1770000000000000000,"agent":"frys/0.1"}',
        ),
    ),
    Definition("authenticate", "3.2", "A new token", text(0x03, '{"request":1,"token":"secret"}')),
    Definition("authenticated", "3.2", "Good for an hour", text(0x04, '{"request":1,"expires_s":3600.0}')),
    Definition("authenticated-forever", "3.2", "Does not expire", text(0x04, '{"request":1,"expires_s":null}')),
    Definition("open", "4.1", "With a kind", text(0x05, '{"alias":0,"stream":"wf-42/loss","kind":"state"}')),
    Definition("open-address", "4.1", "An address, no kind", text(0x05, '{"alias":1,"stream":"agent:planner"}')),
    Definition(
        "stream",
        "4.1",
        "The answer to OPEN",
        text(0x06, '{"id":7,"stream":"wf-42/loss","kind":"state","epoch":1770000000000,"offset":12,"alias":0}'),
    ),
    Definition(
        "stream-announced",
        "4.1",
        "To a subscriber: no alias",
        text(0x06, '{"id":7,"stream":"wf-42/loss","kind":"event","epoch":1770000000000,"offset":0}'),
    ),
    Definition("stream-address", "4.1", "An address", text(0x06, '{"id":null,"stream":"agent:planner","alias":1}')),
    Definition("subscribe", "4.2", "A pattern", text(0x07, '{"request":2,"subscription":1,"pattern":"wf-42/**"}')),
    Definition("subscribed", "4.2", "The answer", text(0x08, '{"request":2,"subscription":1}')),
    Definition(
        "subscribed-positions",
        "4.2",
        "Two of the named streams exist",
        text(0x08, '{"request":2,"subscription":1,"positions":2}'),
    ),
    Definition("unsubscribe", "4.2", "No more", text(0x09, '{"request":3,"subscription":1}')),
    Definition("unsubscribed", "4.2", "The answer", text(0x0A, '{"request":3,"subscription":1}')),
    Definition(
        "error-publish",
        "12.2",
        "One publish was refused",
        text(
            0x0B,
            '{"code":5203,"error":"KIND_MISMATCH","message":"stream wf-42/loss is state, not event",'
            '"alias":0,"sequence":4,"count":1}',
        ),
    ),
    Definition(
        "error-request",
        "12.2",
        "An answer that is not ASCII, and a code that version 1 does not know",
        text(0x0B, '{"code":5199,"error":"NEW_CODE","message":"später noch einmal","request":2}'),
    ),
    Definition(
        "go-away",
        "3.3",
        "The server stops",
        text(0x0C, '{"code":1001,"reason":"server is stopping","deadline_s":10.0}'),
    ),
    Definition(
        "go-away-address",
        "3.3",
        "The server stops, and names the time of the return and another server",
        text(
            0x0C,
            '{"code":1001,"reason":"server is stopping","deadline_s":10.0,"reconnect_after_s":0.25,'
            '"address":"wss://gateway-2.example.com:8765"}',
        ),
    ),
)

MESSAGES: Final = (
    Definition(
        "message-publish",
        "5.1",
        "From a client: alias 0, sequence 1, acknowledgement wanted; a 2 x 2 tensor and headers",
        data(
            MESSAGE,
            PLAIN + headers('{"step":7,"loss":0.25}'),
            FLOATS.tobytes(),
            flags=ACK,
            route=(0, 0, 1),
            time=T0 + 1,
        ),
    ),
    Definition(
        "message-tensor", "5.1", "From the server: a tensor, no headers", data(MESSAGE, PLAIN, FLOATS.tobytes())
    ),
    Definition("message-nothing", "5.1", "No tensor, no headers", data()),
    Definition(
        "message-headers", "5.1", "No tensor", data(MESSAGE, NO_TENSOR + headers('{"done":true,"note":"grün"}'))
    ),
    Definition("message-scalar", "5.1", "No dimensions", data(MESSAGE, descriptor(13), struct.pack("<d", 0.5))),
    Definition("message-no-elements", "5.1", "A dimension of 0", data(MESSAGE, descriptor(12, (0, 3)))),
    Definition(
        "message-wide-shape", "5.1", "A dimension above 32 bits", data(MESSAGE, descriptor(6, (2**33, 0), wide=True))
    ),
    Definition(
        "message-32-dimensions",
        "5.1",
        "As many as there can be",
        data(MESSAGE, descriptor(7, (1,) * 30 + (2, 1)), struct.pack("<HH", 1, 2)),
    ),
    Definition(
        "message-named-tensors",
        "5.1",
        "Three tensors, padding between them, one name that is not ASCII, and headers",
        data(
            MESSAGE,
            descriptor(6, (3,), "mask", more=True)
            + descriptor(12, (2, 1), "weights", more=True)
            + descriptor(3, (1,), "größe")
            + headers('{"step":8}'),
            pad(bytes([1, 0, 1])) + struct.pack("<ff", 1, -1) + struct.pack("<h", -2),
        ),
    ),
    Definition(
        "message-largest-numbers",
        "5",
        "Every field of the header at its bound",
        data(MESSAGE, route=(2**32 - 1, 2**32 - 1, 2**64 - 1), time=-(2**63), flags=ACK),
    ),
    Definition(
        "batch",
        "5.2",
        "Three records of shape (2,)",
        data(BATCH, descriptor(3, (2,)), struct.pack("<6h", 1, 2, 3, 4, 5, 6), count=3),
    ),
    Definition(
        "batch-scalars",
        "5.2",
        "From a client: five records without dimensions; bytes without padding between records",
        data(BATCH, descriptor(6), bytes(range(5)), count=5, flags=ACK, route=(0, 0, 4)),
    ),
    Definition(
        "batch-most-records",
        "5.2",
        "As many records as there may be, of no bytes each",
        data(BATCH, descriptor(6, (0,)), count=65_536),
    ),
    Definition(
        "batch-encoded",
        "5.2",
        "Compressed as one array",
        data(BATCH, descriptor(5, (8,)), encoded(TOKENS, (SHUFFLE, 8), (LZ4, 0)), count=6, flags=ENCODED),
    ),
    Definition(
        "request", "8", "As the asker sends it", data(REQUEST, PLAIN, FLOATS.tobytes(), route=(1, 0, 99), flags=ACK)
    ),
    Definition("request-delivered", "8", "As it arrives", data(REQUEST, PLAIN, FLOATS.tobytes(), route=(0, 17, 99))),
    Definition("reply", "8", "As the replier sends it", data(REPLY, PLAIN, FLOATS.tobytes(), route=(17, 0, 99))),
    Definition(
        "reply-failed",
        "8",
        "The request failed",
        data(REPLY, NO_TENSOR + headers('{"error":"no such model"}'), flags=FAILED, route=(17, 0, 99)),
    ),
    Definition(
        "many-frames",
        "2",
        "Frames of every length modulo 8 in one WebSocket message",
        b"".join(data(MESSAGE, descriptor(6, (size,)), bytes(range(size)), route=(7, 17, size)) for size in range(9)),
    ),
)

LARGE: Final = (
    Definition(
        "chunked-short",
        "6",
        "From a client: a payload smaller than a chunk",
        data(MESSAGE, descriptor(12, (3,)), plan(1, 4096, 12), flags=CHUNKED | ACK, route=(0, 0, 2))
        + chunk(1, 0, SHORT)
        + end(1),
    ),
    Definition(
        "chunked",
        "6",
        "From the server: two chunks; the offset comes with END",
        data(MESSAGE, descriptor(12, (1250,)), plan(5, 4096, 5000), flags=CHUNKED, route=(7, 17, 0))
        + chunk(5, 0, LONG[:4096])
        + chunk(5, 1, LONG[4096:])
        + end(5, 13),
    ),
    Definition(
        "chunked-encoded",
        "6.2",
        "A chunk that is encoded, and one that is not",
        data(MESSAGE, descriptor(12, (1250,)), plan(6, 4096, 5000), flags=CHUNKED, route=(7, 17, 0))
        + chunk(
            6,
            0,
            encoded(LONG[:4096], (SHUFFLE, 4), (ZSTD, 0))[16:],
            block=encoding(4096, (SHUFFLE, 4), (ZSTD, 0)),
        )
        + chunk(6, 1, LONG[4096:])
        + end(6, 14),
    ),
    Definition(
        "chunked-interleaved",
        "6",
        "Two transfers side by side, and a message that passes them",
        data(MESSAGE, descriptor(12, (3,)), plan(8, 4096, 12), flags=CHUNKED, route=(7, 17, 0))
        + data(MESSAGE, descriptor(12, (3,)), plan(9, 4096, 12), flags=CHUNKED, route=(8, 17, 0))
        + chunk(9, 0, SHORT)
        + data(MESSAGE, PLAIN, FLOATS.tobytes(), route=(10, 17, 3))
        + chunk(8, 0, SHORT)
        + end(8, 15)
        + end(9, 1),
    ),
    Definition(
        "chunked-batch",
        "6",
        "A record batch in chunks",
        data(BATCH, descriptor(12, (25,)), plan(10, 4096, 5000), count=50, flags=CHUNKED, route=(7, 17, 0))
        + chunk(10, 0, LONG[:4096])
        + chunk(10, 1, LONG[4096:])
        + end(10, 65),
    ),
    Definition(
        "chunk-xor",
        "6.2",
        "A chunk that is a delta to the same place of its base",
        data(MESSAGE, descriptor(13, (48,)), plan(11, 4096, 384), flags=CHUNKED, route=(7, 17, 0))
        + chunk(
            11,
            0,
            encoded(NEXT_RAMP, (XOR, 1), (SHUFFLE, 8), (LZ4, 0), base=RAMP)[16:],
            block=encoding(384, (XOR, 1), (SHUFFLE, 8), (LZ4, 0)),
        )
        + end(11, 16),
        base=RAMP,
    ),
    Definition("abort", "6.4", "The publisher left", frame(0x1A, struct.pack("<II", 5, 5000))),
)

SIGNALS: Final = (
    Definition("ack", "7.1", "Sequences 3 to 5 have offsets 12 to 14", frame(0x1B, struct.pack("<IIQQ", 0, 3, 5, 14))),
    Definition("gap", "7.2", "Offsets 15 to 20 were dropped", frame(0x1C, struct.pack("<IIQQ", 7, 5100, 15, 20))),
    Definition("ping", "9", "A clock of 2026", frame(0x1D, struct.pack("<q", T0))),
    Definition("pong", "9", "The answer", frame(0x1E, struct.pack("<qqq", T0, T0 + 5_000_000, T0 + 5_020_000))),
)

CHAINS: Final = (
    chain("none"),
    chain("lz4", (LZ4, 0)),
    chain("zstd", (ZSTD, 0)),
    chain("snappy", (SNAPPY, 0)),
    chain("shuffle", (SHUFFLE, 8)),
    chain("shuffle-with-rest", (SHUFFLE, 5)),
    chain("shuffle-lz4", (SHUFFLE, 8), (LZ4, 0)),
    chain("shuffle-zstd", (SHUFFLE, 8), (ZSTD, 0)),
    chain("shuffle-snappy", (SHUFFLE, 8), (SNAPPY, 0)),
    chain("xor", (XOR, 255), payload=NEXT_RAMP, code=13),
    chain("xor-zstd", (XOR, 1), (ZSTD, 0), payload=NEXT_RAMP, code=13),
    chain("xor-shuffle-lz4", (XOR, 1), (SHUFFLE, 8), (LZ4, 0), payload=NEXT_RAMP, code=13),
    chain("diff8", (DIFF8, 1), payload=NEXT_COUNTERS, code=6, old=COUNTERS),
    chain("diff16", (DIFF16, 255), payload=NEXT_COUNTERS, code=6, old=COUNTERS),
    chain("diff32", (DIFF32, 2), payload=NEXT_COUNTERS, code=6, old=COUNTERS),
    chain("diff64", (DIFF64, 1), payload=NEXT_COUNTERS, code=6, old=COUNTERS),
    chain("diff64-shuffle-zstd", (DIFF64, 1), (SHUFFLE, 8), (ZSTD, 0), payload=TOKENS[8:] + bytes(8), old=TOKENS),
    chain("pco", (PCO, 5)),
    chain("pco-float64", (PCO, 13), payload=RAMP, code=13),
    chain("pco-bfloat16", (PCO, 11), payload=HALVES, code=11),
    chain("pco-complex64", (PCO, 14), payload=WAVE.astype("<c8").tobytes(), code=14),
    chain("pco-complex128", (PCO, 15), payload=WAVE.astype("<c16").tobytes(), code=15),
    chain("pco-with-rest", (PCO, 5), payload=TOKENS + b"abc", code=6),
    chain("shuffle-pco", (SHUFFLE, 8), (PCO, 6)),
    chain("xor-pco", (XOR, 1), (PCO, 9), payload=NEXT_RAMP, code=13),
    chain("diff64-pco", (DIFF64, 1), (PCO, 5), payload=TOKENS[8:] + bytes(8), old=TOKENS),
)

DELIVERY: Final = (
    Definition(
        "open-producer",
        "4.1",
        "Everything that OPEN can say",
        text(
            0x05,
            '{"alias":2,"stream":"wf-42/field","kind":"state","durability":"fsync",'
            '"schema":{"dtype":"float32","shape":[64,null]},"producer":8675309,"sequence":17}',
        ),
    ),
    Definition(
        "stream-recovered",
        "4.3",
        "To a subscriber that named a position which history still reaches",
        text(
            0x06,
            '{"id":7,"stream":"wf-42/loss","kind":"event","epoch":1770000000000,"offset":20,"durability":"os",'
            '"since":12,"recovered":true}',
        ),
    ),
    Definition(
        "subscribe-beginning",
        "4.3",
        "All that history holds",
        text(0x07, '{"request":4,"subscription":3,"pattern":"wf-42/events","since":"beginning"}'),
    ),
    Definition(
        "subscribe-offset",
        "4.3",
        "From an offset on",
        text(0x07, '{"request":5,"subscription":4,"pattern":"wf-42/events","since":12}'),
    ),
    Definition(
        "subscribe-again",
        "4.3",
        "After a reconnect: positions, a large message under way, the account so far",
        text(
            0x07,
            '{"request":1,"subscription":1,"pattern":"wf-42/**","since":{"wf-42/loss":[1770000000000,12]},'
            '"resume":{"wf-42/weights":[5,311]},"account":{"wf-42/loss":{"delivered":10,"conflated":0,"dropped":2,'
            '"replayed":0,"expired":0}}}',
        ),
    ),
    Definition(
        "subscribe-part",
        "4.2",
        "The first part of a SUBSCRIBE, which others follow",
        text(
            0x07,
            '{"request":1,"subscription":1,"pattern":"wf-42/**","since":{"wf-42/loss":[1770000000000,12]},'
            '"account":{"wf-42/loss":{"delivered":10,"conflated":0,"dropped":2,"replayed":0,"expired":0}},"more":true}',
        ),
    ),
    Definition(
        "account-part",
        "7.7",
        "The counts of some streams; further answers bring the others",
        text(
            0x0F,
            '{"request":9,"subscription":1,"streams":{"wf-42/loss":{"delivered":120,"conflated":0,"dropped":4,'
            '"replayed":16,"expired":0}},"more":true}',
        ),
    ),
    Definition(
        "subscribe-credits",
        "7.5",
        "A first grant",
        text(0x07, '{"request":6,"subscription":5,"pattern":"wf-42/tasks","credits":{"messages":16,"bytes":1048576}}'),
    ),
    Definition(
        "subscribe-view",
        "4.2",
        "Every fourth row and column as float16, at most ten a second",
        text(
            0x07,
            '{"request":7,"subscription":6,"pattern":"wf-42/field","view":{"slice":[[null,null,4],[null,null,4]],'
            '"dtype":"float16","max_rate_hz":10.0}}',
        ),
    ),
    Definition(
        "subscribe-lower",
        "4.5",
        "Everything, or every fourth row and column as bytes while the connection cannot take that",
        text(
            0x07,
            '{"request":7,"subscription":6,"pattern":"wf-42/field","lower":{"slice":[[null,null,4],[null,null,4]],'
            '"dtype":"uint8"}}',
        ),
    ),
    Definition(
        "stream-lowered",
        "4.5",
        "From now on the subscription gets the stream by its lower view",
        text(
            0x06,
            '{"id":10,"stream":"wf-42/field","kind":"state","epoch":1770000000000,"offset":12,"durability":"memory",'
            '"subscription":6,"since":12,"lowered":true}',
        ),
    ),
    Definition(
        "subscribe-observe",
        "4.10",
        "Everything, without acknowledging any of it",
        text(0x07, '{"request":8,"subscription":7,"pattern":"wf-42/**","observe":true}'),
    ),
    Definition(
        "stream-observed",
        "4.10",
        "To an observer: an id of its own",
        text(
            0x06,
            '{"id":9,"stream":"wf-42/tasks","kind":"collaboration","epoch":1770000000000,"offset":12,"subscription":7,'
            '"since":12,"observed":true}',
        ),
    ),
    Definition("refresh", "4.4", "A keyframe, please", text(0x0D, '{"stream":7}')),
    Definition(
        "notice",
        "7.6",
        "A message came too late for its receiver",
        text(
            0x0E,
            '{"stream":"wf-42/tasks","first":3,"last":3,"code":5218,"reason":"its deadline passed 0.2 s ago",'
            '"client_id":"worker"}',
        ),
    ),
    Definition(
        "notice-superseded",
        "7.6",
        "Another client has the same client_id",
        text(0x0E, '{"code":5225,"reason":"client_id worker is used by another client as well","client_id":"worker"}'),
    ),
    Definition(
        "notice-lowered",
        "7.6",
        "A subscription gets its lower view",
        text(
            0x0E,
            '{"code":5226,"reason":"wf-42/field comes by the lower view [::4, ::4] uint8: its link carries less",'
            '"subscription":6}',
        ),
    ),
    Definition("account-asked", "7.7", "The question", text(0x0F, '{"request":9,"subscription":1}')),
    Definition(
        "account",
        "7.7",
        "The answer",
        text(
            0x0F,
            '{"request":9,"subscription":1,"streams":{"wf-42/loss":{"delivered":120,"conflated":0,"dropped":4,'
            '"replayed":16,"expired":0}}}',
        ),
    ),
    Definition("delete", "4.11", "Streams are deleted", text(0x26, '{"request":5,"pattern":"run-1/*"}')),
    Definition(
        "deleted", "4.11", "The answer", text(0x27, '{"request":5,"streams":["run-1/loss","run-1/grad"],"more":true}')
    ),
    Definition(
        "stream-ended",
        "4.11",
        "A stream has ended",
        text(0x06, '{"id":7,"stream":"run-1/loss","kind":"event","epoch":1770000000000,"offset":12,"ended":"deleted"}'),
    ),
    Definition(
        "message-patch",
        "5.3",
        "From a client: rows 64 to 66 and every second column of a state",
        data(
            MESSAGE,
            PLAIN,
            extensions(extension(1, 2, struct.pack("<6Q", 64, 2, 1, 0, 2, 2))) + FLOATS.tobytes(),
            flags=EXTENDED | ACK,
            route=(0, 0, 5),
        ),
    ),
    Definition(
        "message-deadline",
        "5.3",
        "Not to be delivered after a second",
        data(
            MESSAGE,
            PLAIN,
            extensions(extension(2, 0, struct.pack("<q", T0 + 10**9))) + FLOATS.tobytes(),
            flags=EXTENDED | ACK,
            route=(0, 0, 6),
        ),
    ),
    Definition(
        "message-identity",
        "5.3",
        "From the server: who published it, and which of its messages it is",
        data(
            MESSAGE,
            PLAIN,
            extensions(extension(3, 0, struct.pack("<QQ", 8675309, 17))) + FLOATS.tobytes(),
            flags=EXTENDED,
        ),
    ),
    Definition(
        "message-quantized",
        "5.3",
        "A view: bytes that stand for float32, encoded",
        data(
            MESSAGE,
            descriptor(6, (48,)),
            extensions(extension(4, 12, struct.pack("<dd", 0.5, 128.0))) + encoded(bytes(range(24)) * 2, (LZ4, 0)),
            flags=EXTENDED | ENCODED,
        ),
    ),
    Definition(
        "chunked-resuming",
        "6.5",
        "From a client: the rest of a large message, with a checksum of the whole",
        data(
            MESSAGE,
            descriptor(12, (1250,)),
            extensions(extension(5)) + plan(3, 4096, 5000),
            flags=EXTENDED | CHUNKED | ACK,
            route=(0, 0, 7),
        )
        + chunk(3, 0, LONG[:4096])
        + chunk(3, 1, LONG[4096:])
        + frame(0x19, struct.pack("<IIQq", 3, zlib.crc32(LONG), 0, T0), flags=1),
    ),
    Definition(
        "reply-more",
        "8",
        "The first of several",
        data(REPLY, PLAIN, FLOATS.tobytes(), flags=MORE, route=(17, 0, 99)),
    ),
    Definition(
        "ack-fsync",
        "7.1",
        "On the disk, and published before",
        frame(0x1B, struct.pack("<IIQQ", 0, 3, 5, 14), flags=6),
    ),
    Definition("resume", "6.5", "Go on with chunk 311", frame(0x21, struct.pack("<II", 3, 311))),
    Definition("replay", "7.3", "Offsets 15 to 20 follow", frame(0x23, struct.pack("<IIQQ", 7, 5100, 15, 20))),
    Definition("done", "7.4", "Offsets 15 to 20 are processed", frame(0x20, struct.pack("<IIQQ", 7, 0, 15, 20))),
    Definition("ping-report", "9", "What is in progress?", frame(0x1D, struct.pack("<q", T0), flags=1)),
    Definition(
        "in-progress", "7.8", "Offsets 15 to 20 are in progress", frame(0x24, struct.pack("<IIQQ", 7, 0, 15, 20))
    ),
    Definition(
        "hello-instance",
        "3.1",
        "A number of the running client",
        text(
            0x01,
            '{"versions":[1],"client_type":"agent","client_id":"worker","token":null,"agent":"","codecs":[],'
            '"filters":[],"instance":9007199254740991}',
        ),
    ),
    Definition("conflated", "7.9", "622 versions were not read", frame(0x25, struct.pack("<IIQ", 7, 0, 622))),
    Definition(
        "account-client-conflated",
        "7.7",
        "Of the delivered versions the client's library conflated 622",
        text(
            0x0F,
            '{"request":9,"subscription":1,"streams":{"wf-42/pose":{"delivered":700,"conflated":3,"dropped":0,'
            '"replayed":0,"expired":0,"client_conflated":622}}}',
        ),
    ),
    Definition("credit", "7.5", "16 messages and 1 MiB more", frame(0x1F, struct.pack("<IIQ", 5, 16, 1 << 20))),
    Definition("cancel", "8.1", "As it arrives at the replier", frame(0x22, struct.pack("<IIQ", 17, 0, 99))),
    Definition(
        "view-quantized",
        "4.5",
        "Float32 from -64 to 63.5 as uint8; not finite: NaN, and infinities of both signs",
        data(
            MESSAGE,
            descriptor(6, (2, 4)),
            extensions(extension(4, 12, struct.pack("<dd", 0.5, 128.0))) + bytes((0, 255, 128, 130, 129, 0, 255, 0)),
            flags=EXTENDED,
        ),
    ),
    Definition(
        "message-patch-delivered",
        "5.4",
        "From the server: the second row of a state of two columns becomes (7, 8)",
        data(
            MESSAGE,
            descriptor(3, (1, 2)) + headers('{"step":9}'),
            extensions(extension(1, 2, struct.pack("<6Q", 1, 1, 1, 0, 2, 1))) + np.array([7, 8], "<i2").tobytes(),
            flags=EXTENDED,
            route=(7, 17, 13),
        ),
    ),
    Definition(
        "stream-schema",
        "4.7",
        "A state of 64 rows and any number of columns",
        text(
            0x06,
            f'{{"id":7,"stream":"wf/field","kind":"state","epoch":{T0 // 10**6},"offset":12,'
            '"schema":{"dtype":"float32","shape":[64,null]}}',
        ),
    ),
    Definition(
        "hello-generation",
        "3.4",
        "A client that has been connected before",
        text(
            0x01,
            '{"versions":[1],"client_type":"agent","client_id":"worker","token":null,"agent":"","codecs":[],'
            f'"filters":[],"instance":9007199254740991,"generation":{T0 // 1000}}}',
        ),
    ),
    Definition(
        "hello-credits",
        "3.1",
        "A client that grants credit for streams of all kinds",
        text(
            0x01,
            '{"versions":[1],"client_type":"admin_panel","token":null,"agent":"","codecs":[],"filters":[],"credits":true}',
        ),
    ),
    Definition(
        "hello-chunk-advice",
        "3.1",
        "A publisher that cuts large messages as it is advised",
        text(
            0x01,
            '{"versions":[1],"client_type":"agent","token":null,"agent":"","codecs":[],"filters":[],"chunk_advice":true}',
        ),
    ),
    Definition(
        "notice-chunks-advised",
        "7.6",
        "A size of chunks for the large messages of a stream",
        text(0x0E, '{"stream":"wf-42/field","code":5228,"reason":"all receivers are near","chunk_bytes":2097152}'),
    ),
    Definition(
        "notice-chunks-as-welcome",
        "7.6",
        "The size of WELCOME again",
        text(0x0E, '{"stream":"wf-42/field","code":5228,"reason":"a receiver is behind a slow line"}'),
    ),
    Definition(
        "welcome-generation",
        "3.4",
        "The generation of the program",
        text(
            0x02,
            '{"version":1,"client_id":"worker","session":"9f2c","peer":17,"codecs":[],"filters":[],'
            '"limits":{"max_frame_bytes":8388608,"max_message_bytes":4294967296,"chunk_bytes":524288,'
            '"max_unfinished_bytes":1073741824,"max_aliases":4096},"heartbeat_interval_s":20.0,'
            f'"time_ns":{T0},"agent":"frys/0.1","generation":{T0 // 1000}}}',
        ),
    ),
    Definition(
        "error-superseded",
        "3.4",
        "Another program has the client_id",
        text(0x0B, '{"code":4204,"error":"SUPERSEDED","message":"client_id worker belongs to another client"}'),
    ),
    Definition(
        "attend",
        "16.1",
        "A client joins a workflow and watches its members",
        text(0x28, '{"request":4,"scope":"wf-42","metadata":{"role":"trainer"},"watch":"members"}'),
    ),
    Definition("attend-left", "16.1", "The client leaves", text(0x28, '{"request":5,"scope":"wf-42"}')),
    Definition("attending", "16.1", "The answer", text(0x29, '{"request":4,"scope":"wf-42","count":17}')),
    Definition(
        "awareness", "16.3", "A cursor", text(0x2A, '{"scope":"wf-42","state":{"cursor":[3,4],"selected":"loss"}}')
    ),
    Definition("awareness-ended", "16.3", "No state any more", text(0x2A, '{"scope":"wf-42"}')),
    Definition(
        "members",
        "16.2",
        "A member joins, another one moves its cursor, a third one leaves",
        text(
            0x2B,
            '{"scope":"wf-42","count":2,"members":[{"client_id":"planner","client_type":"agent","peer":18,'
            f'"generation":{T0 // 1000},"metadata":{{"role":"planner"}}}}],'
            '"awareness":{"trainer":{"cursor":[3,4]}},"left":["old"]}',
        ),
    ),
    Definition(
        "members-roster",
        "16.2",
        "The first part of a roster; one state has ended",
        text(
            0x2B,
            '{"scope":"wf-42/loss","count":400,"members":[{"client_id":"trainer","client_type":"agent","peer":17,'
            f'"generation":{T0 // 1000},"metadata":{{}}}}],'
            '"awareness":{"trainer":null},"roster":true,"more":true}',
        ),
    ),
    Definition("members-count", "16.2", "The number of members", text(0x2B, '{"scope":"wf-42","count":3}')),
    Definition(
        "report",
        "7.10",
        "8 MiB were decoded in 125 ms, and 1 MiB is unread for 2 s",
        frame(0x2C, struct.pack("<QQQQ", 8 << 20, 125_000_000, 1 << 20, 2_000_000_000)),
    ),
    Definition(
        "report-positions",
        "7.10",
        "The program has yet to take the messages 15 to 17 of stream 7, and has caught up in stream 9",
        frame(
            0x2C, struct.pack("<QQQQII", 0, 0, 4096, 150_000_000, 2, 0) + struct.pack("<IIQIIQ", 7, 3, 15, 9, 0, 512)
        ),
    ),
    Definition(
        "report-most-positions",
        "7.10",
        "As many positions as fit, with the largest numbers there are",
        frame(
            0x2C,
            struct.pack("<QQQQII", *[2**64 - 1] * 4, 64, 0)
            + b"".join(struct.pack("<IIQ", 2**32 - 1 - number, 2**32 - 1, 2**64 - 1) for number in range(64)),
        ),
    ),
)

GOOD: Final = (*SESSION, *MESSAGES, *LARGE, *SIGNALS, *(_dtype(*row) for row in DTYPES), *CHAINS, *DELIVERY)
