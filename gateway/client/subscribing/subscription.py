"""Subscription: the iterators and counts of one subscription, which outlives connections."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator, Mapping
from dataclasses import dataclass
from types import NoneType, TracebackType
from typing import Final, Self

from gateway.client.decoding.delta_bases import DeltaBaseMissing
from gateway.client.messages.ack_handle import AckHandle, AckScope, AnyAckHandle
from gateway.client.messages.message import Message
from gateway.client.messages.message_run import MessageRun, Received
from gateway.client.messages.read_flow_control import ReadFlowControl
from gateway.client.messages.receive_buffer import ReceiveBuffer
from gateway.client.messages.record_batch import RecordBatch
from gateway.client.owner import OneProcess
from gateway.client.report import Report, call_back, keeping
from gateway.client.subscribing.subscription_position import Gap, SubscriptionPosition
from gateway.errors import Code, InvalidArgument, UsageError
from gateway.protocol.arguments import check_callback, check_count, check_flag, check_type, is_a, wrong
from gateway.protocol.messages import BEGINNING, Counts, Credits, Since
from gateway.protocol.names import Pattern, compile_pattern, is_address
from gateway.protocol.views import View

Start = str | int | tuple[int, int]
"""Start of a subscription: ``"beginning"``, an offset, or an epoch and an offset."""

MAX_OFFSET: Final = 2**53 - 1
"""Largest number that SUBSCRIBE carries exactly."""

StreamProgress = Callable[[str, int, int], None]
"""Called with (stream, bytes received, bytes in all) while a large message comes in."""


@dataclass(frozen=True, slots=True)
class SubscriptionStats:
    """Counts of the messages of a subscription; records of a batch count one by one."""

    received: int
    """Messages that arrived and could be delivered."""
    conflated: int
    """Messages of ``state`` streams that a newer one replaced, in this client or in the gateway."""
    dropped: int
    """Messages announced as gaps: the application or the link did not keep up, or the link was down."""
    duplicates: int
    """Messages that arrived again, after a reconnect or for another subscription, and were left out."""
    expired: int
    """Messages whose deadline passed before the gateway could deliver them."""
    failed: int
    """Messages that could not be decoded, or are no records while batches are iterated."""
    replayed: int
    """Received messages from history: published earlier, during a lost connection, or left out of a queue."""
    buffered_bytes: int
    """Bytes that wait for the application now."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SubscriptionOptions:
    """Keyword arguments of :meth:`gateway.client.client.Client.subscribe`, whose documentation explains each."""

    since: Start | None = None
    view: View | None = None
    buffer_bytes: int
    conflate: bool = True
    auto_ack: bool = True
    credits: Credits | None = None
    observe: bool | None = None
    on_error: Report | None = None
    on_gap: Callable[[Gap], None] | None = None
    progress: StreamProgress | None = None

    def observes(self, *, by_default: bool) -> bool:
        """Return whether the subscription observes acknowledged streams, and acknowledges nothing.

        Args:
            by_default: whether the client's subscriptions do that unless their arguments say otherwise.

        Raises:
            InvalidArgument: arguments of an observer beside those of a receiver that acknowledges.
        """
        observe = None if self.observe is None else check_flag("observe", self.observe)
        acknowledges = not check_flag("auto_ack", self.auto_ack) or self.credits is not None
        if observe and acknowledges:
            raise InvalidArgument(
                "observe=True with auto_ack=False or credits: an observer acknowledges nothing; leave out one of them"
            )
        return not acknowledges and (by_default if observe is None else observe)


class Subscription(OneProcess):
    """Messages of all streams that match a pattern. Made by ``client.subscribe``.

    ``async with`` subscribes on entry and unsubscribes on exit; iterating without it subscribes at the first step. One
    task at a time may iterate. The iterator continues after reconnects; it ends when the subscription or the client is
    closed, and raises ``ConnectionClosed`` when the client gives up the connection.

    Attributes:
        client: kept as long as the subscription: a client that the program has dropped is closed.
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
        observes: bool = False,
    ) -> None:
        """Make a subscription that is not started.

        Args:
            pattern: names of streams.
            options: keyword arguments of the program.
            flow: stops reading when the program does not keep up.
            start: sends SUBSCRIBE.
            stop: sends UNSUBSCRIBE; its second argument is ``keep`` of :meth:`close`.
            report: called with errors that no caller waits for, unless ``options`` names another.
            observes: whether it takes messages of acknowledged streams without acknowledging.
        """
        self.pattern = compile_pattern(pattern)
        if is_address(self.pattern.text):
            raise wrong("pattern", pattern, "requests to an address are taken by client.inbox(), also group=...")
        check_type("view", options.view, (View, NoneType), "it must be a View, or None")
        for name in ("on_error", "on_gap", "progress"):
            check_callback(name, getattr(options, name))
        self.view = options.view
        self.observes = observes
        self.position = SubscriptionPosition(_since_of(options.since, self.pattern), options.on_gap)
        conflate = check_flag("conflate", options.conflate)
        self.buffer: ReceiveBuffer[Received] = ReceiveBuffer(options.buffer_bytes, flow, conflate=conflate)
        self.progress = options.progress
        self._start = start
        self._stop = stop
        self._on_error = report if options.on_error is None else options.on_error
        self._records: Iterator[Message] | None = None
        self.ack_scope = AckScope(options.credits, flow.check)
        self.auto_ack = check_flag("auto_ack", options.auto_ack)
        self._previous: AnyAckHandle | None = None
        """Handle of the item that the iterator returned last, if asking for the next one acknowledges it."""
        self._started = False
        self._failed = 0
        self.client: object = None

    @property
    def stats(self) -> SubscriptionStats:
        """Counts of this moment."""
        streams = list(self.position)
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
        """Account of each stream: messages that arrived, were conflated by the gateway, will never come, and so on.

        The gateway keeps the same account (:meth:`gateway.client.client.Client.account`), over reconnects too. Messages
        that this client conflates or drops because the program does not keep up are in :attr:`stats` only.
        """
        return self.position.counts

    # Called by the application.

    async def start(self) -> None:
        """Subscribe, unless the subscription is started. ``async with`` and iterating call this method themselves.

        Raises:
            RequestRefused: the gateway refused the subscription.
            ConnectionFailed: the client has given up the connection.
        """
        if not self._started:
            self._started = True
            try:
                await self._start(self)
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
        if not self.buffer.over:
            self.buffer.end()
            if self._started:
                await self._stop(self, keep)

    async def leave(self, error: type[BaseException] | None) -> None:
        """End ``async with``: acknowledge the last item unless an ``error`` was raised, and unsubscribe."""
        if error is None:
            self.acknowledge_previous()
        await self.close(keep=error is not None)

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with keeping(error):
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
            if self._previous is not None:
                self.acknowledge_previous()
            item = self.buffer.take()
            if item is None:
                item = await self.buffer.next()
            if self.auto_ack:
                self._previous = item.ack_handle
            if isinstance(item, Message):
                return item
            self._records = item.messages()

    def batches(self) -> BatchIterator:
        """Iterate over record batches: one array of shape ``(count, *shape)`` each.

        A message that was sent alone is a batch of one record; alike messages that arrive one after the other may come
        as one batch. Messages without a tensor or with several are no records: they are left out, counted as failed,
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
                self._records = None
            elif (batch := self.as_batch(record)) is not None:
                return batch
        self.acknowledge_previous()
        while True:
            item = await self.buffer.next()
            batch = self.as_batch(item)
            if batch is not None:
                if self.auto_ack:
                    self._previous = batch.ack_handle
                return batch
            if item.ack_handle is not None:
                item.ack_handle.done()

    def fork(self, error: UsageError) -> None:
        """Drop all messages: this is a forked process, and its parent reads."""
        self.buffer.fork(error)
        self._records = self._previous = None

    def acknowledge_previous(self) -> None:
        """Acknowledge the item that the iterator returned last, unless the program has answered itself."""
        handle, self._previous = self._previous, None
        if handle is not None:
            handle.done()

    def as_batch(self, item: Received) -> RecordBatch | None:
        """Return an item as a record batch; count and report an item that is no record, and return ``None``."""
        if isinstance(item, RecordBatch):
            return item
        try:
            return item.batch() if isinstance(item, MessageRun) else RecordBatch.of(item)
        except InvalidArgument as error:
            self.fail(error, item.count)
            return None

    # Called by the client.

    def deliver(self, item: Received) -> None:
        """Take an item that arrived for this subscription, unless it is a duplicate."""
        known = self.position.record_arrival(item.stream, item.kind, item.epoch, item.offset, item.count)
        if known:
            if isinstance(item, Message) or known == item.count:
                return
            item = item.after(known)
        if not self.buffer.put(item) and not self.buffer.over:
            self.position.record_overflow(Gap(item.stream, Code.QUEUE_FULL, item.offset, item.offset + item.count - 1))

    def deliver_run(self, run: MessageRun) -> None:
        """Take messages that arrived together for this subscription, one by one if there is no room for all."""
        if self.buffer.has_room(run):
            self.deliver(run)
        else:
            for message in run.messages():
                self.deliver(message)

    def deliver_acknowledged(self, item: Message | RecordBatch, handle: AckHandle) -> None:
        """Take an item of an acknowledged stream; it is no duplicate."""
        item.ack_handle = handle
        if not self.buffer.put(item):
            handle.withdraw()

    def fail(self, error: Exception, count: int = 1) -> None:
        """Count and report messages that arrived and cannot be delivered."""
        self._failed += count
        self.report(error)

    def report(self, error: Exception) -> None:
        """Report an error that no caller waits for."""
        call_back(self._on_error, error)

    def fail_at(self, error: Exception, stream: str, epoch: int, offset: int, count: int) -> None:
        """Record messages that cannot be delivered at their offsets, so that these do not count as a gap."""
        # A delta without its base comes again, as a keyframe.
        fresh = self.position.record_failure(stream, epoch, offset, count, again=isinstance(error, DeltaBaseMissing))
        if fresh:
            self.fail(error, fresh)


def _since_of(since: Start | None, pattern: Pattern) -> Since | None:
    """Return ``since`` as SUBSCRIBE names it (spec section 4.3)."""
    if since is None:
        return None
    if is_a(since, str) and since == BEGINNING:
        return BEGINNING
    try:
        if is_a(since, tuple):
            epoch, offset = (check_count("since", part, minimum=0, maximum=MAX_OFFSET) for part in since)
        else:
            return check_count("since", since, minimum=0, maximum=MAX_OFFSET)
    except ValueError:
        rule = f"it must be {BEGINNING!r}, an offset from 0 to {MAX_OFFSET}, or (epoch, offset)"
        raise wrong("since", since, rule) from None
    if not pattern.is_literal:
        raise wrong("since", since, f"it is a position in one stream, and {pattern.text!r} may match several")
    return {pattern.text: (epoch, offset)}


class BatchIterator:
    """Iterator over the record batches of a subscription; ``async with`` subscribes and unsubscribes."""

    def __init__(self, subscription: Subscription) -> None:
        self.subscription = subscription

    async def __aenter__(self) -> Self:
        await self.subscription.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with keeping(error):
            await self.subscription.leave(kind)

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> RecordBatch:
        return await self.subscription.next_batch()
