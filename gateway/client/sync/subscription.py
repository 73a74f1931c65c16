"""Subscription of the blocking client, to be iterated in a ``for`` loop."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Mapping
from functools import partial
from types import TracebackType
from typing import Any, Final, Self, cast

from gateway.client.messages import message, record_batch
from gateway.client.messages.ack_handle import AnyAckHandle, check_refusal
from gateway.client.messages.message_run import Received
from gateway.client.owner import OneProcess
from gateway.client.report import keeping
from gateway.client.subscribing import subscription
from gateway.client.subscribing.subscription_core import SubscriptionStats
from gateway.client.sync.blocking import blocking, closing
from gateway.client.sync.loop_thread import LoopThread
from gateway.errors import Code, UsageError
from gateway.protocol.messages import Counts

FETCHED_MESSAGES: Final = 1024
"""Messages fetched from the loop's thread at a time: a hop between threads costs more than a message."""


class BlockingAcks(message.Acknowledged):
    """Blocking twins of ``ack``, ``nack`` and ``in_progress``, for a subclass that has the slot ``_thread``."""

    __slots__ = ()

    _thread: LoopThread

    def ack(self) -> None:  # type: ignore[override]  # the blocking twin
        """Acknowledge it as processed: it will not come again.

        Raises:
            UsageError: it is observed.
        """
        handle = self._answered_handle()
        if handle is not None:
            self._thread.call_soon(handle.done)

    def nack(self, code: int = Code.NOT_PROCESSED) -> None:  # type: ignore[override]  # the blocking twin
        """Answer that it is not processed: it comes again, at most ``max_tries`` times, and is a dead letter then.

        Args:
            code: reason, for the publisher: from 1 to 2**32 - 1.

        Raises:
            InvalidArgument: another code.
            UsageError: it is observed.
        """
        code = check_refusal(code)
        handle = self._answered_handle()
        if handle is not None:
            self._thread.call_soon(partial(handle.refuse, code))

    def in_progress(self) -> None:  # type: ignore[override]  # the blocking twin
        """Report that the program still works on it: the gateway waits for ``ack_timeout_s`` from now on.

        The client does this by itself whenever the gateway asks, as long as the program holds the message.

        Raises:
            UsageError: it is observed.
        """
        handle = self._answered_handle()
        if handle is not None:
            self._thread.call_soon(handle.in_progress)

    def __getstate__(self) -> tuple[None, dict[str, Any]]:
        nothing, fields = super().__getstate__()
        fields.pop("_thread", None)  # a copy has a handle that does not use it
        return nothing, fields


class Message(BlockingAcks, message.Message):
    """A message whose answers block; see :class:`gateway.client.messages.message.Message`."""

    __slots__ = ()


class RecordBatch(BlockingAcks, record_batch.RecordBatch):
    """A record batch whose answers block; see :class:`gateway.client.messages.record_batch.RecordBatch`."""

    __slots__ = ()


class AcknowledgedMessage(Message):
    """A message of a stream that receivers acknowledge: its answers go to the client's thread."""

    __slots__ = ("_thread",)

    def __init__(self, thread: LoopThread, source: message.Message) -> None:
        self.copy_from(source)
        self._thread = thread


class AcknowledgedBatch(RecordBatch):
    """A record batch of a stream that receivers acknowledge: its answers go to the client's thread."""

    __slots__ = ("_thread",)

    def __init__(self, thread: LoopThread, source: record_batch.RecordBatch) -> None:
        self.copy_from(source)
        self._thread = thread


class Subscription(OneProcess):
    """A subscription to be iterated in a ``for`` loop; see
    :class:`gateway.client.subscribing.subscription.Subscription`.
    """

    def __init__(self, thread: LoopThread, source: subscription.Subscription) -> None:
        self._thread = thread
        self._source = source
        self._items: deque[Received] = deque()
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

    start = blocking(subscription.Subscription.start)

    close = closing(subscription.Subscription.close)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with keeping(error):
            if kind is None:
                self._settle_in_hand()
            self.close(keep=kind is not None)

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> Message:
        while True:
            if self._records is not None:
                record = next(self._records, None)
                if record is not None:
                    return self._blocking(record)
                self._records = None
            item = self._next_item()
            self._answerable = _is_answerable(item)
            if isinstance(item, message.Message):
                return self._blocking(item)
            self._records = item.messages()

    def batches(self) -> Iterator[RecordBatch]:
        """Iterate over record batches: one array of shape ``(count, *shape)`` each."""
        while True:
            try:
                # The rest of an item that the program has begun to take message by message comes first.
                item = (None if self._records is None else next(self._records, None)) or self._next_item()
            except StopIteration:
                return
            batch = self._source.as_batch(item)
            if batch is None:
                continue
            if _is_answerable(batch):
                yield AcknowledgedBatch(self._thread, batch)
            else:
                batch.__class__ = RecordBatch
                yield cast(RecordBatch, batch)

    def fork(self, error: UsageError) -> None:
        """Drop all messages: this is a forked process, and its parent reads."""
        self._items.clear()
        self._records = self._in_hand = None

    def _blocking(self, received: message.Message) -> Message:
        """Return a message whose answers block."""
        if self._answerable:
            return AcknowledgedMessage(self._thread, received)
        received.__class__ = Message  # the same object with other methods: a copy would take 10 times as long
        return cast(Message, received)

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
        item = self._items.popleft()
        if item.ack_handle is not None:
            self._source.core.give_out(item)
        if self._source.auto_ack:
            self._in_hand = item.ack_handle
        return item

    async def _fetch(self) -> list[Received]:
        await self._source.start()
        return await self._source.core.buffer.several(FETCHED_MESSAGES)


def _is_answerable(item: Received) -> bool:
    return item.kind is not None and item.kind.acknowledged
