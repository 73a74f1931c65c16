"""A data frame on its way in: parsed, checked against its descriptors, its payload decoded or being decoded."""

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


class InboundFrame:
    """One data frame. Call :meth:`check` before anything is decoded.

    Attributes:
        frame: as it was received.
        meta: its parsed meta block.
        payload_bytes: the decoded size that the descriptors give to the whole payload.
        received_ns: when it arrived, a large one its END, by the gateway's clock.
        offset: of the message; a large one learns it at END.
        placed: the offset is the message's; before END it is not, and a message that is ended early never has one.
    """

    __slots__ = ("frame", "meta", "offset", "payload_bytes", "placed", "received_ns")

    def __init__(self, frame: DataFrame, received_ns: int) -> None:
        self.frame = frame
        self.received_ns = received_ns
        self.offset = frame.offset
        self.placed = frame.plan is None
        self.meta: Meta = NOTHING
        self.payload_bytes = 0

    def check(self) -> None:
        """Parse the meta block, and compare sizes.

        Raises:
            RequestRefused: ``INVALID_TENSOR``, ``INVALID_REQUEST``, or ``SIZE_MISMATCH`` where the sizes that are
                declared do not agree with the descriptors.
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
        if frame.opcode == Opcode.BATCH and (len(self.meta.specs) != 1 or self.meta.headers is not None):
            raise RequestRefused(Code.INVALID_TENSOR, "a record batch has exactly one tensor descriptor and no headers")

    def item(self, stream: str, kind: Kind | None, epoch: int, payload: Buffer) -> Message | RecordBatch:
        """The message or batch, as the application gets it.

        Args:
            payload: decoded, of ``payload_bytes`` bytes.
        """
        item = self._item(stream, kind, epoch, payload)
        if self.frame.extensions is not None:
            item.quantization = self.frame.extensions.quantized
        return item

    def _item(self, stream: str, kind: Kind | None, epoch: int, payload: Buffer) -> Message | RecordBatch:
        frame, meta = self.frame, self.meta
        if frame.opcode == Opcode.BATCH:
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
        )
