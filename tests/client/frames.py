"""Frames as a gateway sends them."""

import numpy as np

from gateway.protocol.data import write_data
from gateway.protocol.meta import write_meta
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
