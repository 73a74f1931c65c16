"""Runs of messages that look alike and arrived together, as in a replay; their message objects are not made yet.

A program gets messages or record batches, never a run: a subscription makes them when the program asks for the next
item. The module knows the frames of a run and their common descriptors; it must not know the receivers.
"""

from __future__ import annotations

from collections.abc import Iterator
from operator import length_hint
from typing import Final, Self

import numpy as np

from gateway.client.messages.arrival import Arrival, Specs
from gateway.client.messages.message import Message, messages_of, offsets_of
from gateway.client.messages.record_batch import RecordBatch
from gateway.errors import InvalidArgument
from gateway.ids import Offset
from gateway.protocol.messages import Kind
from gateway.protocol.meta import Meta
from gateway.protocol.runs import FrameRun
from gateway.protocol.wire import Buffer

_U1: Final = np.dtype(np.uint8)


class MessageRun:
    """Messages of one stream without acknowledgements that arrived together, with offsets that follow one another.

    Args:
        frames: the received frames; the size of their payloads agrees with ``meta``.
        meta: parsed meta block that all frames have.

    Attributes:
        stream: name of the stream.
        kind: delivery contract of the stream.
        epoch: incarnation of the stream.
        offset: offset of the first message.
        count: number of messages, at least 1.
        received_ns: time of arrival at this client, by the gateway's clock.
    """

    __slots__ = ("_frames", "_meta", "_offsets", "count", "epoch", "kind", "offset", "received_ns", "stream")

    ack_handle: Final = None
    quantization: Final = None

    def __init__(
        self, stream: str, kind: Kind | None, epoch: int, received_ns: int, frames: FrameRun, meta: Meta
    ) -> None:
        self.stream = stream
        self.kind = kind
        self.epoch = epoch
        self.offset = Offset(frames.first)
        self.count = frames.count
        self.received_ns = received_ns
        self._frames = frames
        self._meta = meta
        self._offsets: Iterator[int] | None = None
        """Offsets of the messages that :meth:`messages` has not made yet; ``None``: it was not called."""

    @property
    def publisher(self) -> int:
        """Number that the gateway gave the sender's connection."""
        return self._frames.publisher

    @property
    def timestamp_ns(self) -> int:
        """Time of publishing of the first message, Unix time in ns by the gateway's clock."""
        return int(self._frames.timestamps_ns()[0])

    @property
    def specs(self) -> Specs:
        """Name, dtype and shape of each tensor of a message."""
        return self._meta.specs

    @property
    def nbytes(self) -> int:
        """Size of the frames: received bytes that the run keeps alive."""
        return self.count * self._frames.stride

    @property
    def left(self) -> int:
        """Number of messages that :meth:`messages`, as it was called last, has not made yet."""
        return self.count if self._offsets is None else length_hint(self._offsets)

    @property
    def nbytes_left(self) -> int:
        """Size of the frames of these messages."""
        return self.left * self._frames.stride

    def messages(self) -> Iterator[Message]:
        """Return an iterator that makes each message when asked for it: a view of the received bytes."""
        frames, meta = self._frames, self._meta
        last = frames.payload(self.count - 1)
        begin = frames.payload_at
        arrival = Arrival(
            self.stream,
            self.kind,
            self.epoch,
            self.offset,
            frames.publisher,
            frames.timestamps_ns(),
            self.received_ns,
            meta.specs,
            frames.message[begin : begin + (self.count - 1) * frames.stride + len(last)],
            None,
            self.count,
            frames.stride,
            None if meta.headers is None else frames.meta,
        )
        self._offsets = offsets_of(arrival)
        return messages_of(arrival, self._offsets)

    def batch(self) -> RecordBatch:
        """Return the messages as one record batch with the timestamp of the first message, without headers.

        The payloads are copied once: frame headers stand between them, and a batch is one array without gaps.

        Raises:
            InvalidArgument: the messages have no tensor, or several.
        """
        if len(self._meta.specs) != 1:
            raise InvalidArgument(f"{self!r} holds no records: iterate over messages, not batches")
        return RecordBatch(
            self.stream,
            self.kind,
            self.epoch,
            self.offset,
            self.count,
            self.publisher,
            self.timestamp_ns,
            self.received_ns,
            self._meta.specs[0],
            self.payload(),
        )

    def payload(self) -> Buffer:
        """Return the payloads of all messages, one behind the other: a copy, as frame headers stand between them."""
        frames = self._frames
        shape, strides = (frames.count, frames.payload_bytes), (frames.stride, 1)
        return np.ndarray(shape, _U1, frames.message, frames.payload_at, strides).tobytes()

    def newest(self, *, complete: bool) -> Self:
        """Return the last message, as a run of its own; a message of a run is always complete."""
        return self if self.count == 1 else self.after(self.count - 1)

    def after(self, count: int) -> Self:
        """Return the run without its first ``count`` messages, which are fewer than the run has."""
        frames = self._frames.part(count, self.count - count)
        return type(self)(self.stream, self.kind, self.epoch, self.received_ns, frames, self._meta)

    def __repr__(self) -> str:
        return f"<MessageRun {self.stream} offsets {self.offset} to {self.offset + self.count - 1}>"


Received = Message | RecordBatch | MessageRun
"""Item that waits in the receive buffer of a subscription."""
