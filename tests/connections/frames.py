"""Frames as clients write them."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from gateway.protocol.data import write_data
from gateway.protocol.encoding import PLAIN, Chain, Encoding, encode
from gateway.protocol.meta import write_meta
from gateway.protocol.tensors import TensorSpec, as_wire_array, spec_of
from gateway.protocol.wire import FLAG_ACK, Buffer, Opcode

START_NS = 1_770_000_000_000_000_000
CHUNK_BYTES = 4096
BYTE = np.dtype(np.uint8)


def message_frame(
    alias: int, sequence: int, payload: bytes, *, ack: bool = False, chain: Chain = PLAIN
) -> list[Buffer]:
    """A MESSAGE with a uint8 tensor."""
    encoding, data = encoded(chain, payload)
    return write_data(
        Opcode.MESSAGE,
        stream=alias,
        offset=sequence,
        timestamp_ns=START_NS,
        flags=FLAG_ACK if ack else 0,
        meta=write_meta([TensorSpec("", BYTE, (len(payload),))], None),
        encoding=encoding,
        payload=(data,),
    )


def tensor_meta(value: npt.ArrayLike) -> bytes:
    """The meta block of one unnamed tensor."""
    return write_meta([spec_of(as_wire_array(value))], None)


def encoded(chain: Chain, payload: Buffer) -> tuple[Encoding | None, Buffer]:
    """A payload as a chain encodes it; the chain must make it smaller."""
    if chain == PLAIN:
        return None, payload
    found = encode(chain, payload, BYTE)
    assert found is not None, "choose a payload that compresses"
    return found
