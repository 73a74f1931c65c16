"""Record batches as a subscriber receives them: views of the received bytes (spec section 5.2)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import repeat
from typing import Self

from gateway.client.messages.ack_handle import AckHandle, AnyAckHandle, JoinedAckHandle, RecordAckHandle
from gateway.client.messages.arrival import Arrival
from gateway.client.messages.message import Acknowledged, Message, messages_of, offsets_of
from gateway.errors import InvalidArgument
from gateway.ids import Epoch, Offset, PeerId
from gateway.protocol.extensions import Quantization
from gateway.protocol.messages import Kind
from gateway.protocol.quantization import dequantize
from gateway.protocol.tensors import Array, TensorSpec, view_tensors
from gateway.protocol.wire import Buffer


class RecordBatch(Acknowledged):
    """Messages of one stream, packed by the publisher or arrived together, as one array (spec section 5.2).

    The answer to a batch is the answer to all its records. Records can be answered by themselves: packed ones are
    acknowledged when all are, and refused when one is; those that were sent one by one are each on their own.

    Attributes:
        stream: name of the stream.
        kind: delivery contract of the stream.
        epoch: incarnation of the stream.
        offset: offset of the first record; each next record has 1 more.
        count: number of records, at least 1.
        publisher: number that the gateway gave the sender's connection.
        timestamp_ns: time of publishing of the first record, Unix time in ns by the gateway's clock.
        received_ns: time of arrival at this client, by the same clock.
        quantization: quantization of all records, as of a message.
    """

    __slots__ = (
        "_array",
        "_payload",
        "_spec",
        "count",
        "epoch",
        "kind",
        "offset",
        "publisher",
        "quantization",
        "received_ns",
        "stream",
        "timestamp_ns",
    )

    stream: str
    kind: Kind | None

    def __init__(
        self,
        stream: str,
        kind: Kind | None,
        epoch: int,
        offset: int,
        count: int,
        publisher: int,
        timestamp_ns: int,
        received_ns: int,
        spec: TensorSpec,
        payload: Buffer,
        quantization: Quantization | None = None,
    ) -> None:
        self.ack_handle = None
        self.stream = stream
        self.kind = kind
        self.epoch = Epoch(epoch)
        self.offset = Offset(offset)
        self.count = count
        self.publisher = PeerId(publisher)
        self.timestamp_ns = timestamp_ns
        self.received_ns = received_ns
        self.quantization = quantization
        self._spec = spec
        self._payload = payload
        self._array: Array | None = None

    @classmethod
    def of(cls, message: Message) -> RecordBatch:
        """Return a message of one tensor as a batch of one record.

        Raises:
            InvalidArgument: the message has no tensor, or several.
        """
        if len(message.specs) != 1:
            raise InvalidArgument(f"{message!r} is no record: iterate over messages, not batches")
        batch = cls(
            message.stream,
            message.kind,
            message.epoch,
            message.offset,
            1,
            message.publisher,
            message.timestamp_ns,
            message.received_ns,
            message.specs[0],
            message._payload,
            message.quantization,
        )
        batch.ack_handle = message.ack_handle
        return batch

    @property
    def array(self) -> Array:
        """Records as one array of shape ``(count, *shape)``: a read-only view of the received buffer."""
        if self._array is None:
            (self._array,) = view_tensors((self._spec,), self._payload, count=self.count)
        return self._array

    def dequantized(self) -> Array:
        """Return all records with quantization undone; see
        :meth:`gateway.client.messages.message.Message.dequantized`.
        """
        return self.array if self.quantization is None else dequantize(self.array, self.quantization)

    def copy_from(self, source: RecordBatch) -> None:
        """Set all fields to those of another batch; for classes that extend a batch. Buffers are shared."""
        self.ack_handle = source.ack_handle
        self.stream = source.stream
        self.kind = source.kind
        self.epoch = source.epoch
        self.offset = source.offset
        self.count = source.count
        self.publisher = source.publisher
        self.timestamp_ns = source.timestamp_ns
        self.received_ns = source.received_ns
        self.quantization = source.quantization
        self._spec = source._spec
        self._payload = source._payload
        self._array = source._array

    @property
    def nbytes(self) -> int:
        """Size of all records together."""
        return len(self._payload)

    @property
    def latency_s(self) -> float:
        """Time from publishing of the first record to arrival at this client, by the gateway's clock; at least 0."""
        return max(0, self.received_ns - self.timestamp_ns) / 1e9

    def newest(self, *, complete: bool) -> Self:
        """Return the last record of a batch of versions, as a batch of its own; a record is always complete."""
        if self.count == 1:
            return self
        last = self.after(self.count - 1)
        last._payload = bytes(last._payload)  # a view would keep the memory of all records
        return last

    def after(self, count: int) -> Self:
        """Return the batch without its first ``count`` records, fewer than it has; a view of the same buffer."""
        rest = object.__new__(type(self))
        rest.copy_from(self)
        rest.ack_handle = None
        rest.offset = Offset(self.offset + count)
        rest.count = self.count - count
        rest._payload = memoryview(self._payload)[count * self._spec.nbytes :]
        rest._array = None
        return rest

    def messages(self) -> Iterator[Message]:
        """Return an iterator that makes a message of each record."""
        arrival = Arrival(
            self.stream,
            self.kind,
            self.epoch,
            self.offset,
            self.publisher,
            self.timestamp_ns,
            self.received_ns,
            (self._spec,),
            self._payload,
            self.quantization,
            self.count,
            self._spec.nbytes,
        )
        records = messages_of(arrival, offsets_of(arrival))
        handle = self.ack_handle
        if isinstance(handle, JoinedAckHandle):
            return _with_ack_handles(records, handle.handles)
        if isinstance(handle, AckHandle):
            return _with_ack_handles(records, (RecordAckHandle(handle) for _ in range(self.count)))
        return records if handle is None else _with_ack_handles(records, repeat(handle))

    def _own_memory(self) -> dict[str, object]:
        return {"_payload": bytes(self._payload), "_array": None}

    def __repr__(self) -> str:
        return (
            f"<RecordBatch {self.stream} offsets {self.offset} to {self.offset + self.count - 1} "
            f"({self._spec.dtype}{list(self._spec.shape)} each)>"
        )


def _with_ack_handles(records: Iterator[Message], handles: Iterable[AnyAckHandle]) -> Iterator[Message]:
    for record, handle in zip(records, handles, strict=False):
        record.ack_handle = handle
        yield record
