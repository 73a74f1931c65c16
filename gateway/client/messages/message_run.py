"""What arrives when many messages are caught up on: runs of messages that look alike, none of them made yet.

A program gets messages or record batches, never a run: subscriptions make the ones or the other when it asks. Knows the
frames of a run and the descriptors that they have in common; must not know who gets them.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import numpy as np

from gateway.client.messages.message import Message, messages_like
from gateway.client.messages.record_batch import RecordBatch
from gateway.errors import InvalidArgument
from gateway.ids import Offset
from gateway.protocol.messages import Kind
from gateway.protocol.meta import Meta, parse_meta
from gateway.protocol.runs import FrameRun

_U1: Final = np.dtype(np.uint8)


class MessageRun:
    """Messages of one stream that arrived together, each offset 1 more than the one before. Nothing acknowledges them.

    Args:
        frames: as they were received; their payloads are as long as ``meta`` says.
        meta: their parsed meta block.

    Attributes:
        stream: the stream's name.
        kind: the stream's delivery contract.
        epoch: the stream's incarnation.
        offset: of the first message.
        count: how many there are, at least 1.
        received_ns: when they arrived here, by the gateway's clock.
    """

    __slots__ = ("_frames", "_meta", "count", "epoch", "kind", "offset", "received_ns", "stream")

    receipt: Final = None

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

    @property
    def nbytes(self) -> int:
        """Size of the frames: what is held of the received bytes."""
        return self.count * self._frames.stride

    def messages(self) -> Iterator[Message]:
        """Each message, made when it is asked for: a view of the received bytes."""
        frames = self._frames
        model = Message(
            self.stream,
            self.kind,
            self.epoch,
            self.offset,
            frames.publisher,
            0,
            self.received_ns,
            None,
            self._meta.specs,
            frames.payload(0),
        )
        payloads = frames.message[frames.payload_at :]
        messages = messages_like(model, frames.timestamps_ns(), payloads, frames.payload_bytes, frames.stride)
        return messages if self._meta.headers is None else self._with_headers(messages)

    def batch(self) -> RecordBatch:
        """All of them as one record batch, published when the first was. Headers are left out.

        The payloads are copied, once: there are headers between them, and what is given out is one array without gaps.

        Raises:
            InvalidArgument: they have no tensor, or several.
        """
        if len(self._meta.specs) != 1:
            raise InvalidArgument(f"{self!r} holds no records: iterate over messages, not batches")
        frames = self._frames
        shape, strides = (frames.count, frames.payload_bytes), (frames.stride, 1)
        payloads = np.ndarray(shape, _U1, frames.message, frames.payload_at, strides)
        return RecordBatch(
            self.stream,
            self.kind,
            self.epoch,
            self.offset,
            self.count,
            frames.publisher,
            frames.timestamps_ns()[0],
            self.received_ns,
            self._meta.specs[0],
            payloads.tobytes(),
        )

    def after(self, count: int) -> MessageRun:
        """The run without its first ``count`` messages, fewer than there are."""
        frames = self._frames.part(count, self.count - count)
        return MessageRun(self.stream, self.kind, self.epoch, self.received_ns, frames, self._meta)

    def _with_headers(self, messages: Iterator[Message]) -> Iterator[Message]:
        meta = self._frames.meta
        for message in messages:
            message._headers = parse_meta(meta).headers  # of its own: a program may change them
            yield message

    def __repr__(self) -> str:
        return f"<MessageRun {self.stream} offsets {self.offset} to {self.offset + self.count - 1}>"


Received = Message | RecordBatch | MessageRun
"""What waits for a program."""
