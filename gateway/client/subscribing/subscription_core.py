"""Subscription core: what a subscription has received and where it stands, apart from the iterators of the program."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from types import NoneType
from typing import Any, Final

from gateway.client.decoding.delta_bases import DeltaBaseMissing
from gateway.client.messages.ack_handle import AckHandle, AckScope, JoinedAckHandle
from gateway.client.messages.frame_sender import FrameSender
from gateway.client.messages.message import Message
from gateway.client.messages.message_run import MessageRun, Received
from gateway.client.messages.read_flow_control import ReadFlowControl
from gateway.client.messages.receive_buffer import OnTheWay, ReceiveBuffer, WatchedBuffer
from gateway.client.messages.record_batch import RecordBatch
from gateway.client.report import Report, call_back
from gateway.client.subscribing.subscription_position import Gap, StreamEnded, SubscriptionPosition
from gateway.errors import Code, InvalidArgument, UsageError
from gateway.protocol.arguments import check_callback, check_count, check_flag, check_type, is_a, wrong
from gateway.protocol.messages import BEGINNING, Credits, Since
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
    """Messages that arrived and could be delivered, those included that were then conflated or dropped in this client,
    because the program did not take them in time."""
    conflated: int
    """Messages of ``state`` streams that a newer one replaced, in this client or in the gateway."""
    dropped: int
    """Messages announced as gaps: the application or the link did not keep up, or the link was down."""
    duplicates: int
    """Messages that arrived again, after a reconnect or for another subscription, and were left out."""
    expired: int
    """Messages whose deadline passed before the gateway could deliver them."""
    failed: int
    """Messages that could not be decoded, large ones that were ended on their way, as their sender left, and messages
    that are no records while batches are iterated."""
    replayed: int
    """Received messages from history: published earlier, during a lost connection, or left out of a queue."""
    buffered_bytes: int
    """Bytes that wait for the application now."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SubscriptionOptions:
    """Keyword arguments of :meth:`gateway.client.client.Client.subscribe`, whose documentation explains each."""

    since: Start | None = None
    view: View | None = None
    lower_view: View | None = None
    buffer_bytes: int
    conflate: bool = True
    auto_ack: bool = True
    credits: Credits | None = None
    observe: bool | None = None
    on_error: Report | None = None
    on_gap: Callable[[Gap], None] | None = None
    on_ended: Callable[[StreamEnded], None] | None = None
    progress: StreamProgress | None = None

    def observes(self, *, by_default: bool, credit_all_kinds: bool = False) -> bool:
        """Return whether the subscription observes acknowledged streams, and acknowledges nothing.

        Args:
            by_default: whether the client's subscriptions do that unless their arguments say otherwise.
            credit_all_kinds: whether ``credits`` are for observers too.

        Raises:
            InvalidArgument: arguments of an observer beside those of a receiver that acknowledges.
        """
        observe = None if self.observe is None else check_flag("observe", self.observe)
        credits = None if credit_all_kinds else self.credits
        acknowledges = not check_flag("auto_ack", self.auto_ack) or credits is not None
        if observe and acknowledges:
            raise InvalidArgument(
                "observe=True with auto_ack=False or credits: an observer acknowledges nothing; leave out one of them"
            )
        return not acknowledges and (by_default if observe is None else observe)


class SubscriptionCore:
    """Subscription without its iterators. It is closed when nobody holds it any more.

    The program holds it by the subscription, and by each message that the subscription has given out and that the
    program has not answered yet. It holds neither, so that no cycle keeps it.

    Args:
        pattern: names of streams.
        options: keyword arguments of the program.
        flow: stops reading when the program does not keep up.
        report: called with errors that no caller waits for, unless ``options`` names another.
        observes: whether it takes messages of acknowledged streams without acknowledging.
        client: kept as long: a client that the program has dropped is closed.

    Attributes:
        pattern: see above.
        view: part of each message that is wanted; all of it if it is not named and ``lower_view`` is.
        lower_view: part that may come while the connection cannot take ``view``.
        view_ids: numbers on the present connection of the views by which streams come, either of them.
        observes: see above.
        position: offsets and accounts of its streams.
        buffer: messages that wait for the program.
        progress: callback of the program.
        ack_scope: messages that wait for an answer.
        begun: run of which the program takes one message after the other; ``None``: it takes the next item.
        fetched: items that another thread has taken out of the buffer, and the program not yet.
    """

    def __init__(
        self,
        pattern: str,
        options: SubscriptionOptions,
        *,
        flow: ReadFlowControl,
        report: Report,
        observes: bool = False,
        client: object = None,
    ) -> None:
        self.pattern = compile_pattern(pattern)
        if is_address(self.pattern.text):
            raise wrong("pattern", pattern, "requests to an address are taken by client.inbox(), also group=...")
        for name in ("view", "lower_view"):
            check_type(name, getattr(options, name), (View, NoneType), "it must be a View, or None")
        for name in ("on_error", "on_gap", "on_ended", "progress"):
            check_callback(name, getattr(options, name))
        self.lower_view = options.lower_view
        self.view = View() if options.view is None and self.lower_view is not None else options.view
        self.view_ids: dict[str, int] = {}
        self.observes = observes
        self.position = SubscriptionPosition(_since_of(options.since, self.pattern), options.on_gap, options.on_ended)
        conflate = check_flag("conflate", options.conflate)
        self.ack_scope = scope = AckScope(options.credits, flow.check)
        self.buffer: ReceiveBuffer[Received] = (
            ReceiveBuffer(options.buffer_bytes, flow, conflate=conflate)
            if scope.window is None
            else WatchedBuffer(options.buffer_bytes, flow, scope.hold, conflate=conflate)
        )
        self.progress = options.progress
        self.begun: MessageRun | None = None
        self.fetched: Sequence[Received] = ()
        self._client = client
        self._on_error = report if options.on_error is None else options.on_error
        self._failed = 0

    @property
    def view_fields(self) -> tuple[dict[str, Any] | None, dict[str, Any] | None]:
        """Both views as SUBSCRIBE names them."""
        view, lower = [None if each is None else each.to_json() for each in (self.view, self.lower_view)]
        return view, lower

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

    def unread(self) -> tuple[int, int | None]:
        """Return the bytes that the program has not taken, and the time of arrival of the first message among them.

        The time is by the gateway's clock; ``None``: the program has taken everything.
        """
        begun, fetched, buffer = self.begun, tuple(self.fetched), self.buffer
        left = 0 if begun is None else begun.nbytes_left
        unread_bytes = left + sum([item.nbytes for item in fetched]) + buffer.bytes
        if left and begun is not None:
            return unread_bytes, begun.received_ns
        return unread_bytes, fetched[0].received_ns if fetched else buffer.oldest_ns

    def waiting(self, limit: int) -> tuple[dict[str, tuple[int, int]], bool]:
        """Return the epoch and the offset of the first message of each stream that the program has not taken.

        Beside them, whether these are all. Messages that the program answers are left out.

        Args:
            limit: items of the buffer that are looked at; those behind them are not.
        """
        found: dict[str, tuple[int, int]] = {}
        begun = self.begun
        if begun is not None and (left := begun.left):
            found[begun.stream] = begun.epoch, begun.offset + begun.count - left
        for item in tuple(self.fetched):
            if item.ack_handle is None:
                found.setdefault(item.stream, (item.epoch, item.offset))
        buffered, complete = self.buffer.waiting(limit)
        for stream, first in buffered.items():
            found.setdefault(stream, first)
        return found, complete

    def give_out(self, item: Received) -> None:
        """Stay open for an item that goes to the program, until the program has answered."""
        if isinstance(item.ack_handle, AckHandle | JoinedAckHandle):
            item.ack_handle.hold(self)

    def fork(self, error: UsageError) -> None:
        """Drop all messages: this is a forked process, and its parent reads."""
        self.buffer.fork(error)

    def begin(self, session: FrameSender, number: int) -> None:
        """Start on a new session, on which the subscription has this number, with all credit free."""
        self.view_ids.clear()
        self.ack_scope.begin(session, number)
        if isinstance(self.buffer, WatchedBuffer):
            self.buffer.on_the_way = OnTheWay()

    def take_credit(self, nbytes: int) -> None:
        """Count a message without acknowledgements, of so many bytes, which has taken credit and may wait now."""
        self.ack_scope.take(nbytes)
        if isinstance(self.buffer, WatchedBuffer):
            self.buffer.tell()

    def expect(self, nbytes: int) -> OnTheWay | None:
        """Count a message as :meth:`take_credit` does, which is not decoded yet; return the count of such messages."""
        counted = self.buffer.on_the_way if isinstance(self.buffer, WatchedBuffer) else None
        if counted is not None:
            counted.messages += 1
            counted.bytes += nbytes
        self.take_credit(nbytes)
        return counted

    def has_decoded(self, counted: OnTheWay, nbytes: int) -> None:
        """Take note that a message is decoded, or never will be."""
        counted.messages -= 1
        counted.bytes -= nbytes
        if isinstance(self.buffer, WatchedBuffer):
            self.buffer.tell()

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
