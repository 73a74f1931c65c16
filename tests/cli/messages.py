"""Messages as a subscription gives them."""

from typing import Any

import numpy as np

from gateway.client import Message
from gateway.protocol.messages import Kind
from gateway.protocol.tensors import Array, payload_buffers, spec_of

PUBLISHED_NS = 1_000_000_000


def message(
    stream: str = "wf/x",
    tensors: dict[str, Array] | None = None,
    *,
    offset: int = 7,
    headers: dict[str, Any] | None = None,
    kind: Kind = Kind.STATE,
    epoch: int = 1,
    timestamp_ns: int = PUBLISHED_NS,
) -> Message:
    """A message that took 2 ms; of one unnamed tensor unless others are given."""
    tensors = {"": np.arange(6, dtype=np.float32).reshape(2, 3)} if tensors is None else tensors
    specs = tuple(spec_of(array, name) for name, array in tensors.items())
    payload = b"".join(payload_buffers(list(tensors.values())))
    received_ns = timestamp_ns + 2_000_000
    return Message(stream, kind, epoch, offset, 1, timestamp_ns, received_ns, headers, specs, payload)
