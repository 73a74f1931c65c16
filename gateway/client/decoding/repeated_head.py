"""Repeated heads: a message that differs from the last one in offset, timestamp and payload only is not checked again.

Checking and cutting a data frame into its blocks takes half of the time that a small message costs the client.
"""

from __future__ import annotations

from typing import Final, NamedTuple, Self

from gateway.client.decoding.inbound_frame import InboundFrame
from gateway.protocol.tensors import TensorSpec
from gateway.protocol.wire import ALIGNMENT, DATA_HEADER, Opcode

MAX_META_BYTES: Final = 256
"""Largest meta block that is remembered."""
_META_AT: Final = DATA_HEADER.size
_MESSAGE: Final = int(Opcode.MESSAGE)


class RepeatedHead(NamedTuple):
    """Head of a MESSAGE that was received and checked: plain, in one frame, without extensions and headers."""

    start: tuple[int, int, int, int]
    """Size of the frame, opcode, flags, and units of the meta block."""
    publisher: int
    meta: bytes
    specs: tuple[TensorSpec, ...]

    @classmethod
    def of(cls, inbound: InboundFrame) -> Self | None:
        """Return the head of a checked frame; ``None`` if the next one is to be looked at anyway."""
        frame, meta = inbound.frame, inbound.meta
        plain = frame.opcode == _MESSAGE and (frame.plan, frame.encoding, frame.extensions) == (None, None, None)
        if not plain or meta.headers is not None or len(frame.meta) > MAX_META_BYTES:
            return None
        frame_bytes = _META_AT + len(frame.meta) + len(frame.payload)
        start = (frame_bytes, frame.opcode, frame.flags, len(frame.meta) // ALIGNMENT)
        return cls(start, frame.publisher, bytes(frame.meta), meta.specs)

    def payload_of(self, message: memoryview, at: int, header: tuple[int, ...]) -> memoryview | None:
        """Return the payload of a frame that has this head; ``None``: it has another one.

        Args:
            message: the WebSocket message, flat bytes.
            at: index of the frame in the message.
            header: fields of its data header.
        """
        if header[:4] != self.start or header[5] != self.publisher:
            return None
        meta_at = at + _META_AT
        payload_at = meta_at + len(self.meta)
        return message[payload_at : at + header[0]] if message[meta_at:payload_at] == self.meta else None
