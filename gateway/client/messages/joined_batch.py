"""Joined batches: messages that wait one behind the other and are alike, as one record batch with memory of its own.

The module knows messages and runs; it must not know the queue in which they wait, beside its first item.
"""

from __future__ import annotations

from typing import Final, Protocol

from gateway.client.messages.ack_handle import AckHandle, JoinedAckHandle
from gateway.client.messages.message import Message
from gateway.client.messages.message_run import MessageRun, Received
from gateway.client.messages.record_batch import RecordBatch

MAX_JOINED_BYTES: Final = 1024 * 1024
"""Received bytes of a joined batch, at most: two messages that are just below a chunk. Larger messages come alone."""


class Waiting(Protocol):
    """Queue of received items."""

    def peek(self) -> Received | None:
        """Return the next item and leave it there; ``None``: there is none, or it is to stay for now."""

    def take(self) -> Received | None:
        """Return the next item."""


def joined_batch(first: Message | MessageRun, waiting: Waiting | None) -> RecordBatch:
    """Return an item as a record batch, together with the alike ones that wait right behind it.

    They have the same stream, epoch, publisher, descriptor and quantization, and offsets that follow one another. Their
    payloads are copied once; a message without such neighbours is not copied.

    Args:
        first: item that was taken; it comes without its headers.
        waiting: queue of the items behind it; those that are joined are taken. ``None``: there are none.

    Raises:
        InvalidArgument: the item has no tensor, or several; nothing else was taken.
    """
    items = [first] if waiting is None or len(first.specs) != 1 else _with_alike(first, waiting)
    if len(items) > 1:
        return _joined(items)
    return RecordBatch.of(first) if isinstance(first, Message) else first.batch()


def _with_alike(first: Message | MessageRun, waiting: Waiting) -> list[Message | MessageRun]:
    """Return an item and the alike ones behind it, which are taken."""
    items, left = [first], MAX_JOINED_BYTES - first.nbytes
    following = first.offset + first.count
    while (item := waiting.peek()) is not None and not isinstance(item, RecordBatch):
        left -= item.nbytes
        if left < 0 or item.offset != following or not _alike(first, item):
            break
        waiting.take()
        items.append(item)
        following += item.count
    return items


def _alike(first: Message | MessageRun, item: Message | MessageRun) -> bool:
    return (
        item.stream == first.stream
        and item.epoch == first.epoch
        and item.publisher == first.publisher
        and item.specs == first.specs
        and item.quantization == first.quantization
        and (item.ack_handle is None) is (first.ack_handle is None)
    )


def _joined(items: list[Message | MessageRun]) -> RecordBatch:
    first = items[0]
    batch = RecordBatch(
        first.stream,
        first.kind,
        first.epoch,
        first.offset,
        sum([item.count for item in items]),
        first.publisher,
        first.timestamp_ns,
        first.received_ns,
        first.specs[0],
        b"".join([item._payload if isinstance(item, Message) else item.payload() for item in items]),
        first.quantization,
    )
    handles = [item.ack_handle for item in items if isinstance(item.ack_handle, AckHandle)]
    if handles:
        batch.ack_handle = JoinedAckHandle(handles)
    return batch
