"""Messages of the JSON subprotocol, and the binary messages that they stand for."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import orjson
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst

from gateway.protocol.dtypes import DTYPES
from gateway.protocol.json_body import JsonBody
from gateway.protocol.json_message import JsonMessage, read_message
from gateway.protocol.message_text import render_message
from gateway.protocol.meta import Meta, parse_meta, write_meta
from gateway.protocol.tensors import payload_buffers, spec_of
from gateway.protocol.wire import Buffer

Array = np.ndarray[Any, Any]
ONE_TWO = np.array([1, 2], np.float32)
FLOATS = {"dtype": "float32", "shape": [2], "data": "AACAPwAAAEA="}


def read(text: Buffer) -> JsonMessage:
    return read_message(JsonBody.parse("test", text))


def body(**fields: object) -> JsonBody:
    return JsonBody.parse("test", orjson.dumps(fields))


def binary(*named: tuple[str, Array], headers: dict[str, Any] | None = None) -> tuple[Meta, bytes]:
    """The meta block, parsed again, and the payload of a message."""
    meta = parse_meta(write_meta([spec_of(array, name) for name, array in named], headers))
    return meta, b"".join(payload_buffers([array for _, array in named]))


def same(left: Array, right: Array) -> bool:
    return (left.dtype, left.shape, left.tobytes()) == (right.dtype, right.shape, right.tobytes())


@st.composite
def arrays(draw: st.DrawFn) -> Array:
    dtype = draw(st.sampled_from(DTYPES))
    shape = draw(npst.array_shapes(min_dims=0, max_dims=4, min_side=0, max_side=4))
    size = math.prod(shape) * dtype.itemsize
    data = draw(st.binary(min_size=size, max_size=size))
    if dtype == np.bool_:
        data = bytes(byte & 1 for byte in data)
    return np.frombuffer(data, dtype).reshape(shape) if size else np.empty(shape, dtype)


def rendered(envelope: JsonMessage, meta: Meta, payload: Buffer, *, max_bytes: int | None = None) -> bytes:
    text = render_message(envelope, meta, payload, max_bytes=max_bytes)
    whole = b"".join(text.pieces())
    assert len(whole) == text.size
    return whole
