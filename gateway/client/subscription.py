"""One subscription: its iterators, its counts, and how to start and stop it. It lives through reconnects."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass
from types import TracebackType
from typing import NamedTuple, Self

from gateway.client.cursor import Cursor
from gateway.client.feed import Feed
from gateway.client.intake import Intake
from gateway.client.message import Message, RecordBatch
from gateway.client.options import Report
from gateway.client.report import call_back
from gateway.errors import Code, InvalidArgument
from gateway.protocol.messages import Kind
from gateway.protocol.names import compile_pattern

StreamProgress = Callable[[str, int, int], None]
"""Called with (stream, bytes received, bytes in all) while a large message comes in."""


class Gap(NamedTuple):
    """Messages that a subscription will not get."""

    stream: str
    code: int
    """Why; a number of :class:`gateway.errors.Code`."""
    first: int
    """First offset that is left out."""
    last: int
    """Last one."""


@dataclass(frozen=True, slots=True)
class SubscriptionStats:
    """What became of the messages of a subscription. Records of a batch count one by one."""

    received: int
    """Arrived and fit to be delivered."""
    conflated: int
    """Of ``state`` streams: replaced by a newer one, here or by the gateway."""
    dropped: int
    """Announced as gaps: the application or the link did not keep up, or the link was down."""
    duplicates: int
    """Came again, after a reconnect or for another subscription, and were left out."""
    failed: int
    """Could not be decoded, or are no records where batches are iterated."""
    buffered_bytes: int
    """Wait for the application now."""


class Subscription:
    """The messages of all streams that match a pattern. Made by ``client.subscribe``.

    ``async with`` subscribes on entry and unsubscribes on exit; iterating without it subscribes at the first step. One
    task at a time may iterate. The iterator goes on through reconnects; it ends when the subscription or the client is
    closed, and raises ``ConnectionClosed`` when the connection is gone for good.
    """

    def __init__(
        self,
        pattern: str,
        *,
        intake: Intake,
        start: Callable[[Subscription], Awaitable[None]],
        stop: Callable[[Subscription], Awaitable[None]],
        buffer_bytes: int,
        on_error: Report,
        on_gap: Callable[[Gap], None] | None,
        progress: StreamProgress | None,
    ) -> None:
        self.pattern = compile_pattern(pattern)
        self.feed: Feed[Message | RecordBatch] = Feed(buffer_bytes, intake)
        self.progress = progress
        self._start = start
        self._stop = stop
        self._on_error = on_error
        self._on_gap = on_gap
        self._records: Iterator[Message] | None = None
        self._cursors: dict[str, Cursor] = {}
        self._started = False
        self._received = self._conflated = self._dropped = self._duplicates = self._failed = 0

    @property
    def stats(self) -> SubscriptionStats:
        """The counts so far."""
        return SubscriptionStats(
            received=self._received,
            conflated=self._conflated + self.feed.backlog.conflated,
            dropped=self._dropped,
            duplicates=self._duplicates,
            failed=self._failed,
            buffered_bytes=self.feed.backlog.bytes,
        )

    # What the application does.

    async def start(self) -> None:
        """Subscribe, unless that was done already. ``async with`` and iterating do it by themselves.

        Raises:
            RequestRefused: the gateway refused the subscription.
            ConnectionFailed: the connection is gone for good.
        """
        if not self._started:
            self._started = True
            await self._start(self)

    async def close(self) -> None:
        """Unsubscribe. The iterator ends after what has arrived already. May be called twice."""
        if not self.feed.over:
            self.feed.end()
            if self._started:
                await self._stop(self)

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Message:
        if not self._started:
            await self.start()
        while True:
            if self._records is not None:
                record = next(self._records, None)
                if record is not None:
                    return record
                self._records = None
            item = self.feed.backlog.take()
            if item is None:
                item = await self.feed.next()
            if isinstance(item, Message):
                return item
            self._records = item.messages()

    def batches(self) -> BatchIterator:
        """Iterate over whole record batches: one array of shape ``(count, *shape)`` each.

        A message that was sent alone is a batch of one record. Messages without a tensor or with several are no
        records: they are left out, counted as failed, and told to ``on_error``.
        """
        return BatchIterator(self)

    async def next_batch(self) -> RecordBatch:
        """The next record batch; see :meth:`batches`."""
        if not self._started:
            await self.start()
        while True:
            batch = self.as_batch(await self.feed.next())
            if batch is not None:
                return batch

    def as_batch(self, item: Message | RecordBatch) -> RecordBatch | None:
        """An item as a record batch; None, counted and reported, if it is no record."""
        if isinstance(item, RecordBatch):
            return item
        try:
            return RecordBatch.of(item)
        except InvalidArgument as error:
            self.fail(error)
            return None

    # What the client does.

    def deliver(self, item: Message | RecordBatch) -> None:
        """Something arrived for this subscription."""
        stream = item.stream
        cursor = self._cursors.get(stream)
        if cursor is None:
            cursor = self._cursors[stream] = Cursor()
        first = cursor.next
        step = cursor.advance(item.epoch, item.offset, item.count)
        if step.repeated:
            self._duplicates += step.repeated
            if isinstance(item, Message) or step.repeated == item.count:
                return
            item = item.after(step.repeated)
        if step.skipped:
            if item.kind is Kind.STATE:
                self._conflated += step.skipped
            else:
                self._tell_gap(Gap(stream, Code.QUEUE_FULL, first or 0, item.offset - 1))
        self._received += item.count
        if not self.feed.put(item) and not self.feed.over:
            self._tell_gap(Gap(stream, Code.QUEUE_FULL, item.offset, item.offset + item.count - 1))

    def skip(self, gap: Gap, epoch: int) -> None:
        """The gateway announced a gap (spec section 7.2)."""
        cursor = self._cursors.setdefault(gap.stream, Cursor())
        first = gap.first + cursor.advance(epoch, gap.first, gap.last - gap.first + 1).repeated
        if first <= gap.last:
            self._tell_gap(gap._replace(first=first))

    def fail(self, error: Exception, count: int = 1) -> None:
        """Something that arrived cannot be delivered."""
        self._failed += count
        call_back(self._on_error, error)

    def fail_at(self, error: Exception, stream: str, epoch: int, offset: int, count: int) -> None:
        """Messages whose place in the stream is known cannot be delivered: they are no gap."""
        cursor = self._cursors.setdefault(stream, Cursor())
        fresh = count - cursor.advance(epoch, offset, count).repeated
        if fresh:
            self.fail(error, fresh)

    def _tell_gap(self, gap: Gap) -> None:
        self._dropped += gap.last - gap.first + 1
        if self._on_gap is not None:
            call_back(self._on_gap, gap)


class BatchIterator:
    """Iterates over the record batches of a subscription; ``async with`` subscribes and unsubscribes."""

    def __init__(self, subscription: Subscription) -> None:
        self.subscription = subscription

    async def __aenter__(self) -> Self:
        await self.subscription.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.subscription.close()

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> RecordBatch:
        return await self.subscription.next_batch()
