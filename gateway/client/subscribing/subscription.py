"""One subscription: its iterators, its counts, and how to start and stop it. It lives through reconnects."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator, Mapping
from dataclasses import dataclass
from types import TracebackType
from typing import Self

from gateway.client.decoding.delta_bases import DeltaBaseMissing
from gateway.client.messages.ack_handle import AckHandle, AckScope, RecordAckHandle
from gateway.client.messages.message import Message
from gateway.client.messages.message_run import MessageRun, Received
from gateway.client.messages.read_flow_control import ReadFlowControl
from gateway.client.messages.receive_buffer import ReceiveBuffer
from gateway.client.messages.record_batch import RecordBatch
from gateway.client.options import Report
from gateway.client.report import call_back
from gateway.client.subscribing.subscription_position import Gap, SubscriptionPosition
from gateway.errors import Code, InvalidArgument
from gateway.protocol.messages import BEGINNING, Counts, Credits, Since
from gateway.protocol.names import Pattern, compile_pattern
from gateway.protocol.views import View

Start = str | int | tuple[int, int]
"""Where a subscription starts: ``"beginning"``, an offset, or an epoch and an offset."""

StreamProgress = Callable[[str, int, int], None]
"""Called with (stream, bytes received, bytes in all) while a large message comes in."""


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
    expired: int
    """Their deadline passed before the gateway could deliver them."""
    failed: int
    """Could not be decoded, or are no records where batches are iterated."""
    replayed: int
    """Of those received, from history: published earlier, or while the connection was lost, or left out of a queue."""
    buffered_bytes: int
    """Wait for the application now."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SubscriptionOptions:
    """Keyword arguments of :meth:`gateway.client.client.Client.subscribe`, which explains them."""

    since: Start | None = None
    view: View | None = None
    buffer_bytes: int
    auto_ack: bool = True
    credits: Credits | None = None
    on_error: Report | None = None
    on_gap: Callable[[Gap], None] | None = None
    progress: StreamProgress | None = None


class Subscription:
    """The messages of all streams that match a pattern. Made by ``client.subscribe``.

    ``async with`` subscribes on entry and unsubscribes on exit; iterating without it subscribes at the first step. One
    task at a time may iterate. The iterator goes on through reconnects; it ends when the subscription or the client is
    closed, and raises ``ConnectionClosed`` when the connection is gone for good.
    """

    def __init__(
        self,
        pattern: str,
        options: SubscriptionOptions,
        *,
        flow: ReadFlowControl,
        start: Callable[[Subscription], Awaitable[None]],
        stop: Callable[[Subscription, bool], Awaitable[None]],
        report: Report,
    ) -> None:
        """Make a subscription that is not started.

        Args:
            pattern: names of streams.
            options: what the program asks for.
            flow: it is told when the program does not keep up.
            start: sends SUBSCRIBE.
            stop: sends UNSUBSCRIBE; its second argument is ``keep`` of :meth:`close`.
            report: for errors that nobody waits for, unless ``options`` names another.
        """
        self.pattern = compile_pattern(pattern)
        self.view = options.view
        self.standing = SubscriptionPosition(_since_of(options.since, self.pattern), options.on_gap)
        self.buffer: ReceiveBuffer[Received] = ReceiveBuffer(options.buffer_bytes, flow)
        self.progress = options.progress
        self._start = start
        self._stop = stop
        self._on_error = report if options.on_error is None else options.on_error
        self._records: Iterator[Message] | None = None
        self.ack_scope = AckScope(options.credits)
        self.auto_ack = options.auto_ack
        self._in_hand: AckHandle | RecordAckHandle | None = None
        """Of what the iterator has given out last, if asking for the next says that it is processed."""
        self._started = False
        self._failed = 0

    @property
    def stats(self) -> SubscriptionStats:
        """The counts so far."""
        streams = list(self.standing)
        return SubscriptionStats(
            received=sum([stream.delivered - stream.failed - stream.repeated for stream in streams]),
            conflated=sum([stream.conflated for stream in streams]) + self.buffer.conflated,
            dropped=sum([stream.dropped + stream.overflowed for stream in streams]),
            duplicates=sum([stream.duplicates + stream.repeated for stream in streams]),
            expired=sum([stream.expired for stream in streams]),
            failed=self._failed,
            replayed=sum([stream.replayed for stream in streams]),
            buffered_bytes=self.buffer.bytes,
        )

    @property
    def account(self) -> Mapping[str, Counts]:
        """By stream, what became of its messages: arrived, conflated by the gateway, never to come, and so on.

        The gateway keeps the same account (:meth:`gateway.client.Client.account`), over reconnects too. What this side
        conflates or drops because the program does not keep up is in :attr:`stats` only.
        """
        return self.standing.counts

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

    async def close(self, *, keep: bool = False) -> None:
        """Unsubscribe. The iterator ends after what has arrived already. May be called twice.

        Args:
            keep: the gateway keeps what is not acknowledged for this client, as after a lost connection, until it
                subscribes again; otherwise it is given up.
        """
        if not self.buffer.over:
            self.buffer.end()
            if self._started:
                await self._stop(self, keep)

    async def leave(self, error: type[BaseException] | None) -> None:
        """The end of ``async with``. What was being processed when an ``error`` came up is not processed."""
        if error is None:
            self.settle_in_hand()
        await self.close(keep=error is not None)

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.leave(kind)

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
            if self._in_hand is not None:
                self.settle_in_hand()
            item = self.buffer.take()
            if item is None:
                item = await self.buffer.next()
            if self.auto_ack:
                self._in_hand = item.receipt
            if isinstance(item, Message):
                return item
            self._records = item.messages()

    def batches(self) -> BatchIterator:
        """Iterate over whole record batches: one array of shape ``(count, *shape)`` each.

        A message that was sent alone is a batch of one record; alike ones that arrive one behind the other may come as
        one batch. Messages without a tensor or with several are no records: they are left out, counted as failed, and
        told to ``on_error``.
        """
        return BatchIterator(self)

    async def next_batch(self) -> RecordBatch:
        """The next record batch; see :meth:`batches`."""
        if not self._started:
            await self.start()
        while self._records is not None:  # the program iterated over messages until now: the rest comes first
            record = next(self._records, None)
            if record is None:
                self._records = None
            elif (batch := self.as_batch(record)) is not None:
                return batch
        self.settle_in_hand()
        while True:
            item = await self.buffer.next()
            batch = self.as_batch(item)
            if batch is not None:
                if self.auto_ack:
                    self._in_hand = batch.receipt
                return batch
            if item.receipt is not None:
                item.receipt.done()

    def settle_in_hand(self) -> None:
        """What the iterator has given out last is processed, unless the program has said something else."""
        receipt, self._in_hand = self._in_hand, None
        if receipt is not None:
            receipt.done()

    def as_batch(self, item: Received) -> RecordBatch | None:
        """An item as a record batch; None, counted and reported, if it is no record."""
        if isinstance(item, RecordBatch):
            return item
        try:
            return item.batch() if isinstance(item, MessageRun) else RecordBatch.of(item)
        except InvalidArgument as error:
            self.fail(error, item.count)
            return None

    # What the client does.

    def deliver(self, item: Received) -> None:
        """Something arrived for this subscription."""
        known = self.standing.pass_by(item.stream, item.kind, item.epoch, item.offset, item.count)
        if known:
            if isinstance(item, Message) or known == item.count:
                return
            item = item.after(known)
        if not self.buffer.put(item) and not self.buffer.over:
            self.standing.lose(Gap(item.stream, Code.QUEUE_FULL, item.offset, item.offset + item.count - 1))

    def deliver_run(self, run: MessageRun) -> None:
        """Messages arrived together for this subscription; where there is no room for all each has its own fate."""
        if self.buffer.has_room(run):
            self.deliver(run)
        else:
            for message in run.messages():
                self.deliver(message)

    def take(self, item: Message | RecordBatch, receipt: AckHandle) -> None:
        """Something that is acknowledged arrived for this subscription, for the first time."""
        item.receipt = receipt
        if not self.buffer.put(item):
            receipt.withdraw()

    def fail(self, error: Exception, count: int = 1) -> None:
        """Something that arrived cannot be delivered."""
        self._failed += count
        self.tell(error)

    def tell(self, error: Exception) -> None:
        """Something is wrong with the subscription, and nobody waits for an answer."""
        call_back(self._on_error, error)

    def fail_at(self, error: Exception, stream: str, epoch: int, offset: int, count: int) -> None:
        """Messages whose place in the stream is known cannot be delivered: they are no gap."""
        # A delta that cannot be undone comes again, whole.
        fresh = self.standing.pass_failed(stream, epoch, offset, count, again=isinstance(error, DeltaBaseMissing))
        if fresh:
            self.fail(error, fresh)


def _since_of(since: Start | None, pattern: Pattern) -> Since | None:
    """``since`` as SUBSCRIBE names it (spec section 4.3)."""
    match since:
        case None | int():
            return since
        case str() if since == BEGINNING:
            return since
        case (int() as epoch, int() as offset) if pattern.is_literal:
            return {pattern.text: (epoch, offset)}
        case (int(), int()):
            raise InvalidArgument(
                f"since={since!r} is a position in one stream, and {pattern.text!r} may match several"
            )
    raise InvalidArgument(f"since={since!r} is neither {BEGINNING!r} nor an offset nor (epoch, offset)")


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
        await self.subscription.leave(kind)

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> RecordBatch:
        return await self.subscription.next_batch()
