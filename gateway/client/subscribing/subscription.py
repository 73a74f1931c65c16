"""Subscription: the iterators of one subscription, which outlives connections."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator, Mapping
from types import TracebackType
from typing import Self

from gateway.client.messages.ack_handle import AnyAckHandle
from gateway.client.messages.joined_batch import Waiting, joined_batch
from gateway.client.messages.message import Message
from gateway.client.messages.message_run import MessageRun, Received
from gateway.client.messages.record_batch import RecordBatch
from gateway.client.opened import AsyncOpened
from gateway.client.subscribing.subscription_core import SubscriptionCore, SubscriptionStats
from gateway.errors import InvalidArgument, UsageError
from gateway.protocol.arguments import check_flag
from gateway.protocol.messages import Counts


class Subscription(AsyncOpened):
    """Messages of all streams that match a pattern. Made by ``client.subscribe``.

    ``async with`` subscribes on entry and unsubscribes on exit; iterating without it subscribes at the first step. One
    task at a time may iterate. The iterator continues after reconnects; it ends when the subscription or the client is
    closed, and raises ``ConnectionClosed`` when the client gives up the connection.

    Args:
        core: what arrives.
        auto_ack: whether the iterators acknowledge.
        start: sends SUBSCRIBE.
        stop: sends UNSUBSCRIBE; its second argument is ``keep`` of :meth:`close`.

    Attributes:
        core: see above.
        auto_ack: see above.
    """

    def __init__(
        self,
        core: SubscriptionCore,
        *,
        auto_ack: bool = True,
        start: Callable[[SubscriptionCore], Awaitable[None]],
        stop: Callable[[SubscriptionCore, bool], Awaitable[None]],
    ) -> None:
        self.core = core
        self.auto_ack = auto_ack
        self._start = start
        self._stop = stop
        self._records: Iterator[Message] | None = None
        self._previous: AnyAckHandle | None = None
        """Handle of the item that the iterator returned last, if asking for the next one acknowledges it."""
        self._started = False

    @property
    def stats(self) -> SubscriptionStats:
        """Counts of this moment."""
        return self.core.stats

    @property
    def account(self) -> Mapping[str, Counts]:
        """Account of each stream: messages that arrived, were conflated by the gateway, will never come, and so on.

        The gateway keeps the same account (:meth:`gateway.client.client.Client.account`), over reconnects too. Messages
        that this client conflates or drops because the program does not keep up are in :attr:`stats` only.
        """
        return self.core.position.counts

    @property
    def lowered(self) -> frozenset[str]:
        """Streams that come by ``lower_view`` now, since the connection cannot take them as they were asked for."""
        return self.core.position.lowered

    async def start(self) -> None:
        """Subscribe, unless the subscription is started. ``async with`` and iterating call this method themselves.

        While the client reconnects, it waits for the next connection, without a time limit.

        Raises:
            RequestRefused: the gateway refused the subscription.
            ConnectionFailed: the client has given up the connection: it is closed.
        """
        if not self._started:
            self._started = True
            try:
                await self._start(self.core)
            except BaseException:
                self._started = False
                raise

    async def close(self, *, keep: bool = False) -> None:
        """Unsubscribe. The iterator ends after the messages that have arrived. May be called twice.

        Args:
            keep: whether the gateway keeps unacknowledged messages for this client until it subscribes again, as after
                a lost connection; otherwise the messages are given up.
        """
        keep = check_flag("keep", keep)
        if not self.core.buffer.over:
            self.core.buffer.end()
            if self._started:
                await self._stop(self.core, keep)

    async def _leave(self, error: type[BaseException] | None) -> None:
        """End ``async with``: acknowledge the last item unless an ``error`` was raised, and unsubscribe."""
        if error is None:
            self.acknowledge_previous()
        await self.close(keep=error is not None)

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Message:
        if self._records is not None:
            for record in self._records:  # as next(), without the call, which is a tenth of the time of a small message
                return record
            self._records = self.core.begun = None
        if not self._started:
            await self.start()
        if self._previous is not None:
            self.acknowledge_previous()
        buffer = self.core.buffer
        item = buffer.take()
        if item is None:
            item = await buffer.next()
        if item.ack_handle is not None:
            self.core.give_out(item)
            if self.auto_ack:
                self._previous = item.ack_handle
        if isinstance(item, Message):
            return item
        if isinstance(item, MessageRun):
            self.core.begun = item
        self._records = item.messages()
        return next(self._records)

    def batches(self) -> BatchIterator:
        """Iterate over record batches, of streams of all kinds: ``batch.array`` has the shape ``(count, *shape)``.

        A batch is one that the publisher has packed, or the alike messages that wait for the program: sent by one
        publisher, of one dtype and shape, with offsets that follow one another. None is waited for: a message that
        came alone is a batch of one record, and so is a state, unless ``conflate=False`` has each version come. At
        most 1 MiB is joined, and with it the payloads are copied; packed batches and single messages are not.
        ``timestamp_ns`` and ``received_ns`` are those of the first message. Headers, and regions of patches, are left
        out.

        The array is read-only, belongs to the program and lives as long as it is used; no later batch changes it.

        The answer to a batch is the answer to all its messages, and asking for the next batch acknowledges it unless
        ``auto_ack`` is off. ``batch.messages()`` gives messages that can be answered by themselves.

        Messages without a tensor or with several are no records: they are left out, acknowledged, counted as failed
        and reported to ``on_error``.
        """
        return BatchIterator(self)

    async def next_batch(self) -> RecordBatch:
        """Wait for the next record batch and return it; see :meth:`batches`."""
        if not self._started:
            await self.start()
        while self._records is not None:  # the program iterated over messages so far: the rest comes first
            record = next(self._records, None)
            if record is None:
                self._records = self.core.begun = None
            elif (batch := self.as_batch(record)) is not None:
                return batch
        self.acknowledge_previous()
        buffer = self.core.buffer
        while True:
            item = await buffer.next()
            batch = self.as_batch(item, buffer)
            if batch is not None:
                self.core.give_out(batch)
                if self.auto_ack:
                    self._previous = batch.ack_handle
                return batch
            if item.ack_handle is not None:
                item.ack_handle.done()

    def fork(self, error: UsageError) -> None:
        """Drop all messages: this is a forked process, and its parent reads."""
        self.core.fork(error)
        self._records = self._previous = self.core.begun = None

    def acknowledge_previous(self) -> None:
        """Acknowledge the item that the iterator returned last, unless the program has answered itself."""
        handle, self._previous = self._previous, None
        if handle is not None:
            handle.done()

    def as_batch(self, item: Received, waiting: Waiting | None = None) -> RecordBatch | None:
        """Return an item as a record batch; count and report an item that is no record, and return ``None``.

        Args:
            item: it was taken.
            waiting: queue of the items behind it, of which those that can be joined are taken as well.
        """
        if isinstance(item, RecordBatch):
            return item
        try:
            return joined_batch(item, waiting)
        except InvalidArgument as error:
            self.core.fail(error, item.count)
            return None


class BatchIterator:
    """Iterator over the record batches of a subscription; ``async with`` subscribes and unsubscribes."""

    def __init__(self, subscription: Subscription) -> None:
        self.subscription = subscription

    async def __aenter__(self) -> Self:
        await self.subscription.__aenter__()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.subscription.__aexit__(kind, error, trace)

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> RecordBatch:
        return await self.subscription.next_batch()
