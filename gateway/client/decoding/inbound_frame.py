"""Inbound data frames: parsed, checked against their descriptors, and made into messages once decoded."""

from __future__ import annotations

from typing import Final

from gateway.client.messages.message import Message
from gateway.client.messages.record_batch import RecordBatch
from gateway.errors import Code, RequestRefused
from gateway.protocol.data import DataFrame
from gateway.protocol.messages import Kind
from gateway.protocol.meta import Meta, parse_meta
from gateway.protocol.wire import Buffer, Opcode

NOTHING: Final = Meta((), None, 0)
_BATCH: Final = int(Opcode.BATCH)


class InboundFrame:
    """One data frame. Call :meth:`check` before the payload is decoded.

    Attributes:
        frame: the parsed frame.
        meta: the parsed meta block of the frame.
        payload_bytes: decoded size of the complete payload, as the descriptors declare it.
        received_ns: time of arrival by the gateway's clock; of a large message the arrival of its END.
        offset: offset of the message; of a large message known from END on.
        offset_known: whether ``offset`` is that of the message: False for a large message before its END.
    """

    __slots__ = ("frame", "meta", "offset", "offset_known", "payload_bytes", "received_ns")

    def __init__(self, frame: DataFrame, received_ns: int) -> None:
        self.frame = frame
        self.received_ns = received_ns
        self.offset = frame.offset
        self.offset_known = frame.plan is None
        self.meta: Meta = NOTHING
        self.payload_bytes = 0

    def check(self) -> None:
        """Parse the meta block and compare the declared sizes.

        Raises:
            RequestRefused: ``INVALID_TENSOR``, ``INVALID_REQUEST``, or ``SIZE_MISMATCH``: the declared size does not
                agree with the descriptors.
        """
        frame = self.frame
        self.meta = parse_meta(frame.meta)
        self.payload_bytes = self.meta.payload_bytes * frame.count
        if frame.plan is not None:
            declared = frame.plan.payload_bytes
        elif frame.encoding is not None:
            declared = frame.encoding.decoded_bytes
        else:
            declared = len(frame.payload)
        if declared != self.payload_bytes:
            raise RequestRefused(
                Code.SIZE_MISMATCH, f"payload of {declared} bytes, its descriptors say {self.payload_bytes}"
            )
        if frame.opcode == _BATCH and (len(self.meta.specs) != 1 or self.meta.headers is not None):
            raise RequestRefused(Code.INVALID_TENSOR, "a record batch has exactly one tensor descriptor and no headers")

    def item(self, stream: str, kind: Kind | None, epoch: int, payload: Buffer) -> Message | RecordBatch:
        """Return the message or record batch for the application.

        Args:
            stream: name of the stream, or address of the request.
            kind: delivery contract of the stream; ``None`` for requests and replies.
            epoch: incarnation of the stream; 0 for requests and replies.
            payload: decoded payload, of ``payload_bytes`` bytes.
        """
        frame, meta = self.frame, self.meta
        quantization = None if frame.extensions is None else frame.extensions.quantized
        if frame.opcode == _BATCH:
            return RecordBatch(
                stream,
                kind,
                epoch,
                self.offset,
                frame.count,
                frame.publisher,
                frame.timestamp_ns,
                self.received_ns,
                meta.specs[0],
                payload,
                quantization,
            )
        return Message(
            stream,
            kind,
            epoch,
            self.offset,
            frame.publisher,
            frame.timestamp_ns,
            self.received_ns,
            meta.headers,
            meta.specs,
            payload,
            quantization,
        )
