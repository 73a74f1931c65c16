"""Frames as a gateway sends them, and runs of them as they arrive."""

import numpy as np

from gateway.client.messages.message_run import MessageRun
from gateway.protocol.data import write_data
from gateway.protocol.messages import Kind
from gateway.protocol.meta import parse_meta, write_meta
from gateway.protocol.runs import FrameRun, iter_runs
from gateway.protocol.tensors import spec_of
from gateway.protocol.wire import Buffer, Opcode


def data_frame(
    opcode: Opcode,
    offset: int,
    value: object,
    *,
    stream: int = 7,
    publisher: int = 2,
    flags: int = 0,
    headers: dict[str, object] | None = None,
) -> list[Buffer]:
    """A data frame with one unnamed tensor, plain and in one piece."""
    array = np.asarray(value)
    return write_data(
        opcode,
        stream=stream,
        offset=offset,
        timestamp_ns=0,
        publisher=publisher,
        flags=flags,
        meta=write_meta([spec_of(array)], headers),
        payload=[array.tobytes()],
    )


def message(offset: int, value: object, *, stream: int = 7) -> list[Buffer]:
    """A MESSAGE."""
    return data_frame(Opcode.MESSAGE, offset, value, stream=stream)


def message_run(first: int, count: int, size: int = 2) -> MessageRun:
    """Messages of ``wf/x``, at least 4, of so many float32 each: twice the offset, and what follows."""
    values = np.arange(size, dtype="<f4")
    parts = [b"".join(message(offset, values + 2 * offset)) for offset in range(first, first + count)]
    (frames,) = iter_runs(memoryview(b"".join(parts)))
    assert isinstance(frames, FrameRun)
    return MessageRun("wf/x", Kind.EVENT, 1, 0, frames, parse_meta(frames.meta))
