"""Subscription of the blocking client, to be iterated in a ``for`` loop."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Mapping
from typing import Final, Self

from gateway.client.messages import message
from gateway.client.messages.ack_handle import AnyAckHandle
from gateway.client.messages.message_run import MessageRun, Received
from gateway.client.opened import Opened
from gateway.client.subscribing import subscription
from gateway.client.subscribing.subscription_core import SubscriptionStats
from gateway.client.sync.blocking import blocking, closing
from gateway.client.sync.loop_thread import LoopThread
from gateway.client.sync.message import (
    AcknowledgedBatch,
    AcknowledgedMessage,
    Message,
    RecordBatch,
    blocking_batch,
    blocking_message,
)
from gateway.errors import UsageError
from gateway.protocol.messages import Counts

FETCHED_MESSAGES: Final = 1024
"""Messages fetched from the loop's thread at a time: a hop between threads costs more than a message."""


class FetchedItems(deque[Received]):
    """Items that were fetched from the loop's thread."""

    def peek(self) -> Received | None:
        """Return the next item and leave it here; ``None``: there is none."""
        return self[0] if self else None

    def take(self) -> Received:
        """Return the next item."""
        return self.popleft()


class Subscription(Opened):
    """A subscription to be iterated in a ``for`` loop; see
    :class:`gateway.client.subscribing.subscription.Subscription`.

    Waiting for a message has no time limit. To end it, :meth:`close` the subscription in another thread, as
    ``threading.Timer(seconds, messages.close)`` does, which ends the loop; to go on later, use the async client.
    """

    def __init__(self, thread: LoopThread, source: subscription.Subscription) -> None:
        self._thread = thread
        self._source = source
        source.core.fetched = self._items = FetchedItems()
        self._records: Iterator[message.Message] | None = None
        self._answerable = False
        """Whether the messages of the item that was taken last are acknowledged, or would be if not observed."""
        self._in_hand: AnyAckHandle | None = None
        thread.owner.tell(self)

    @property
    def source(self) -> subscription.Subscription:
        """The async subscription."""
        return self._source

    @property
    def stats(self) -> SubscriptionStats:
        """The counts so far."""
        return self._source.stats

    @property
    def account(self) -> Mapping[str, Counts]:
        """Account by stream; see :attr:`gateway.client.subscribing.subscription.Subscription.account`."""
        return self._source.account

    @property
    def lowered(self) -> frozenset[str]:
        """Streams by ``lower_view``; see :attr:`gateway.client.subscribing.subscription.Subscription.lowered`."""
        return self._source.lowered

    start = blocking(subscription.Subscription.start)

    close = closing(subscription.Subscription.close)

    def _leave(self, error: type[BaseException] | None) -> None:
        if error is None:
            self._settle_in_hand()
        self.close(keep=error is not None)

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> Message:
        if self._records is not None:
            for record in self._records:  # as in the async iterator
                return self._blocking(record)
            self._records = self._source.core.begun = None
        item = self._next_item()
        self._answerable = _is_answerable(item)
        if isinstance(item, message.Message):
            return self._blocking(item)
        if isinstance(item, MessageRun):
            self._source.core.begun = item
        self._records = item.messages()
        return self._blocking(next(self._records))

    def batches(self) -> Iterator[RecordBatch]:
        """Iterate over record batches: ``batch.array`` has the shape ``(count, *shape)``.

        See :meth:`gateway.client.subscribing.subscription.Subscription.batches`.
        """
        while True:
            try:
                # The rest of an item that the program has begun to take message by message comes first.
                rest = None if self._records is None else next(self._records, None)
                if rest is None:
                    self._records = self._source.core.begun = None
                item = self._next_item() if rest is None else rest
            except StopIteration:
                return
            batch = self._source.as_batch(item, self._items if rest is None else None)
            if batch is None:
                if item.ack_handle is not None:
                    self._thread.call_soon(item.ack_handle.done)
                continue
            if rest is None:
                self._give_out(batch)
            yield AcknowledgedBatch(self._thread, batch) if _is_answerable(batch) else blocking_batch(batch)

    def fork(self, error: UsageError) -> None:
        """Drop all messages: this is a forked process, and its parent reads."""
        self._items.clear()
        self._records = self._in_hand = None

    def _blocking(self, received: message.Message) -> Message:
        """Return a message whose answers block."""
        return AcknowledgedMessage(self._thread, received) if self._answerable else blocking_message(received)

    def _settle_in_hand(self) -> None:
        """Acknowledge the message given out last as processed, unless the program has answered otherwise."""
        handle, self._in_hand = self._in_hand, None
        if handle is not None:
            self._thread.call_soon(handle.done)

    def _next_item(self) -> Received:
        self._settle_in_hand()
        if not self._items:
            rest = self._source.core.buffer.rest
            self._items.extend(self._thread.run_unless_closed(self._fetch(), lambda error: rest(FETCHED_MESSAGES)))
        if not self._items:
            raise StopIteration
        item = self._items.take()
        self._give_out(item)
        return item

    def _give_out(self, item: Received) -> None:
        if item.ack_handle is not None:
            self._source.core.give_out(item)
            if self._source.auto_ack:
                self._in_hand = item.ack_handle

    async def _fetch(self) -> list[Received]:
        await self._source.start()
        return await self._source.core.buffer.several(FETCHED_MESSAGES)


def _is_answerable(item: Received) -> bool:
    return item.kind is not None and item.kind.acknowledged
