"""Frames that a client may send, with numbers that may or may not fit, and bytes that are hardly frames."""

from __future__ import annotations

import numpy as np
from hypothesis import strategies as st

from gateway.protocol.data import write_data
from gateway.protocol.dtypes import BYTE
from gateway.protocol.encoding import Chain, encode
from gateway.protocol.messages import (
    Authenticate,
    ClientType,
    Hello,
    Kind,
    Open,
    SessionMessage,
    Subscribe,
    Unsubscribe,
)
from gateway.protocol.meta import write_meta
from gateway.protocol.session_body import write_session
from gateway.protocol.signals import Abort, Cancel, End, Ping, Pong, ProgramPosition, ReceiverReport
from gateway.protocol.tensors import spec_of
from gateway.protocol.transfers import ChunkPlan, write_chunk
from gateway.protocol.wire import FLAG_ACK, Opcode, padded
from tests.connections.frames import message_frame

U64 = st.sampled_from([0, 1, 2, 3, 2**32 - 1, 2**63, 2**64 - 1])
U32 = st.sampled_from([0, 1, 2, 3, 2**32 - 1])
SMALL = st.integers(0, 3)
META = write_meta([spec_of(np.zeros(8, np.uint8), "a")], None)
LARGE = bytes(10_000)
LARGE_META = write_meta([spec_of(np.frombuffer(LARGE, np.uint8))], {"step": 1})


VIEWS = st.fixed_dictionaries(
    {},
    optional={
        "slice": st.lists(st.sampled_from([0, -9, "...", None, True, [None, None, -3], [2, 1, None], [0, 4, 0], [1]])),
        "dtype": st.sampled_from(["float64", "uint8", "int32", "complex64", "text", 4]),
        "max_rate_hz": st.sampled_from([1000, 0.001, 0, -1, "10"]),
        "tensor": st.sampled_from(["a", "", "b", 1]),
        "colour": st.just("red"),
    },
)
"""Views that fit some of what is published, and some that fit nothing."""


def session(message: SessionMessage) -> bytes:
    return write_session(message)


@st.composite
def valid_frames(draw: st.DrawFn) -> bytes:
    """One frame that a client may send, with numbers that may or may not fit."""
    alias, number = draw(SMALL), draw(SMALL)
    match draw(st.integers(0, 14)):
        case 0:
            name = draw(
                st.sampled_from(["wf/a", "wf/b", "agent:fuzz", "agent:other", "group:g", "", "x", "wf/" + "a" * 300])
            )
            return session(Open(alias, name, draw(st.none() | st.sampled_from(Kind))))
        case 1:
            pattern = draw(st.sampled_from(["wf/*", "**", "wf/a", "agent:fuzz", "agent:other", "group:g", "*", "a//b"]))
            views = st.none() | VIEWS
            return session(Subscribe(number, draw(SMALL), pattern, view=draw(views), lower=draw(views)))
        case 2:
            return session(Unsubscribe(number, draw(SMALL)))
        case 3:
            return session(Authenticate(number, "token"))
        case 4:
            return session(Hello((1,), ClientType.AGENT))
        case 5:
            return b"".join(message_frame(alias, draw(U64), bytes(draw(st.integers(0, 20))), ack=draw(st.booleans())))
        case 6:
            payload = bytes(2000)
            codec = draw(st.sampled_from(["lz4", "zstd", "snappy", "pco"]))
            return b"".join(message_frame(alias, draw(U64), payload, chain=Chain(draw(st.booleans()), codec)))
        case 7:
            count = draw(st.integers(1, 4))
            return b"".join(
                write_data(
                    Opcode.BATCH,
                    stream=alias,
                    offset=draw(U64),
                    timestamp_ns=0,
                    flags=FLAG_ACK,
                    meta=META,
                    count=count,
                    payload=(bytes(8 * draw(st.integers(0, 4))),),
                )
            )
        case 8:
            opcode = draw(st.sampled_from([Opcode.MESSAGE, Opcode.REQUEST, Opcode.REPLY]))
            plan = ChunkPlan(number, 4096, draw(st.sampled_from([len(LARGE), len(LARGE), 1, 2**63])))
            return b"".join(
                write_data(opcode, stream=alias, offset=draw(U64), timestamp_ns=0, meta=LARGE_META, plan=plan)
            )
        case 9:
            index = draw(SMALL)
            data = LARGE[index * 4096 : (index + 1) * 4096]
            found = encode(Chain(codec="lz4"), data, BYTE) if data and draw(st.booleans()) else None
            encoding, data = (None, data) if found is None else (found[0], bytes(found[1]))
            return b"".join(write_chunk(number, index, (data,), encoding))
        case 10:
            return End(number, 0, 0).write() if draw(st.booleans()) else Abort(number, 5000).write()
        case 11:
            opcode = draw(st.sampled_from([Opcode.REQUEST, Opcode.REPLY]))
            return b"".join(
                write_data(opcode, stream=alias, offset=draw(U64), timestamp_ns=0, meta=META, payload=(bytes(8),))
            )
        case 12:
            return draw(st.sampled_from([Ping(5).write(), Pong(5, 6, 7).write(), Cancel(0, number).write()]))
        case 13:
            positions = draw(st.lists(st.builds(ProgramPosition, SMALL, U32, U64), max_size=66))
            return ReceiverReport(draw(U64), draw(U64), draw(U64), draw(U64), tuple(positions)).write()
        case _:
            body = draw(st.binary(max_size=40))
            frame = (8 + len(body)).to_bytes(4, "little") + draw(st.binary(min_size=4, max_size=4)) + body
            return frame + bytes(padded(len(frame)) - len(frame))


@st.composite
def mutated(draw: st.DrawFn) -> bytes:
    """A WebSocket message of valid frames, some bytes of which may have changed; or anything at all."""
    if draw(st.integers(0, 9)) == 0:
        return draw(st.binary(max_size=200))
    data = bytearray(b"".join(draw(st.lists(valid_frames(), min_size=1, max_size=6))))
    for _ in range(draw(st.sampled_from([0, 0, 0, 1, 2, 5]))):
        at = draw(st.integers(0, min(len(data) - 1, 200)))
        data[at] = draw(st.sampled_from([0, 1, 2, 3, 4, 8, 16, 17, 127, 128, 255]) | st.integers(0, 255))
    if draw(st.integers(0, 9)) == 0:
        del data[draw(st.integers(0, len(data))) :]
    return bytes(data)
