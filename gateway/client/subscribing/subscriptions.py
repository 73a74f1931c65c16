"""Subscriptions of a client: streams to subscriptions, and SUBSCRIBE on every new session (spec section 4.2)."""

from __future__ import annotations

import asyncio
import contextlib
import sys
import weakref
from collections.abc import Mapping
from functools import partial

from gateway.client.decoding.decoding import Transfer
from gateway.client.decoding.partial_transfers import PartialTransfers
from gateway.client.messages.ack_handle import AckScope
from gateway.client.messages.message_run import Received
from gateway.client.messages.receive_buffer import ReceiveBuffer
from gateway.client.sending.send_context import SendContext
from gateway.client.session.answers import Answer, Asked
from gateway.client.session.session import Session
from gateway.client.subscribing.acknowledged_sink import AcknowledgedSink
from gateway.client.subscribing.acknowledger import Acknowledger, AckPosition
from gateway.client.subscribing.conflation_report import MAX_REPORTED, report_conflated
from gateway.client.subscribing.delta_sink import DeltaSink
from gateway.client.subscribing.duplicate_filter import DuplicateFilters
from gateway.client.subscribing.receiver_load import ReceiverLoad
from gateway.client.subscribing.resubscription import parts_of
from gateway.client.subscribing.state_sink import StateSink, region_of
from gateway.client.subscribing.stream_sink import EndingSinks, Reference, StreamSink, take_place
from gateway.client.subscribing.subscription import Subscription
from gateway.client.subscribing.subscription_core import SubscriptionCore
from gateway.client.subscribing.subscription_index import SubscriptionIndex
from gateway.client.subscribing.subscription_position import Gap, StreamEnded
from gateway.client.subscribing.versions import Versions
from gateway.errors import ConnectionFailed, FrysError, RequestRefused, UsageError, code_of
from gateway.protocol import signals
from gateway.protocol.arguments import check_type
from gateway.protocol.data import DataFrame
from gateway.protocol.frames import Frame
from gateway.protocol.messages import Account, Counts, Error, Kind, StreamInfo, Subscribe, Subscribed, Unsubscribe
from gateway.protocol.names import Pattern


class Subscriptions:
    """Subscriptions of a client, kept across reconnects."""

    def __init__(self, context: SendContext) -> None:
        self._context = context
        # Weak: a subscription that the application dropped without closing it must not fill up and stop the socket.
        self._numbers: weakref.WeakKeyDictionary[SubscriptionCore, int] = weakref.WeakKeyDictionary()
        self._index = SubscriptionIndex()
        self.load = ReceiverLoad(self._numbers)
        self._next_number = 1
        self._sinks: dict[int, StreamSink] = {}
        self._ending = EndingSinks()
        self._joined = asyncio.Event()
        """Set whenever SUBSCRIBED has arrived for a subscription."""
        self._versions = Versions()
        self._sweep: asyncio.Task[None] | None = None
        """Look for versions that no subscription wants any more."""
        self.partial_transfers = PartialTransfers()
        """Large messages that were incomplete when the last session ended."""
        self._past_sinks: list[StreamSink] = []
        """Sinks of the last session: messages still being decoded reach them until the next session is welcomed."""
        self._ack_numbers: dict[AckPosition, int] = {}
        """Ids of the acknowledged streams on the present session."""
        self._acknowledger = Acknowledger(lambda: context.session, self._ack_numbers.get)
        self._duplicate_filters = DuplicateFilters(self._acknowledger)

    async def start(self, subscription: SubscriptionCore) -> None:
        """Send SUBSCRIBE for a new subscription, and again on every later session.

        Raises:
            RequestRefused: the gateway refused the subscription.
            ConnectionFailed: the client has given up the connection.
        """
        number = self._next_number
        self._next_number += 1
        session = await self._context.wait_ready()
        if subscription.buffer.over:  # closed meanwhile
            return
        self._numbers[subscription] = number
        reference = weakref.ref(subscription)
        pattern = None if subscription.view is not None else subscription.pattern
        finalizer = weakref.finalize(
            subscription,
            self._context.owner.call_soon,
            partial(self._dropped, number, reference, pattern, subscription.buffer, subscription.ack_scope),
        )
        finalizer.atexit = False
        self._index.add(number, reference, pattern)
        if pattern is not None:  # the streams of a view are announced later
            self._join_sinks(reference, pattern, subscription.observes)
        try:
            try:
                await self._ask(session, subscription, number)
            except ConnectionFailed:
                await self._context.wait_ready()  # attached() has asked again, or the client has given up
        except BaseException as error:
            finalizer.detach()
            self._forget(subscription)
            if isinstance(error, asyncio.CancelledError):  # the gateway may have the subscription already
                self._context.start(self._unsubscribe(number))
            raise

    async def account(self, subscription: Subscription) -> Mapping[str, Counts]:
        """Ask for the account that the gateway keeps; see :meth:`gateway.client.client.Client.account`."""
        check_type("subscription", subscription, Subscription, "it must be a subscription of this client")
        core = subscription.core
        while (number := self._numbers.get(core)) is not None:
            session = await self._context.wait_ready()
            if not core.position.joined:
                self._joined.clear()
                await self._joined.wait()
                continue
            await self._report_all()
            # A lost request is repeated: it changes nothing in the gateway.
            with contextlib.suppress(ConnectionFailed):
                answer = await self._context.ask(session, partial(Account, subscription=number))
                assert isinstance(answer, Account)
                return answer.streams or {}
        raise UsageError(f"the subscription to {core.pattern.text} has not been started, or is closed")

    async def stop(self, subscription: SubscriptionCore, keep: bool) -> None:
        """End a subscription. Without a connection the gateway has ended it already.

        Args:
            subscription: the subscription to end.
            keep: whether the gateway keeps unacknowledged messages for this client.
        """
        if self._context.session is not None:
            self._context.owner.check()
        await self._report_all()
        number = self._forget(subscription)
        subscription.ack_scope.withdraw()
        self._acknowledger.flush()
        if number is not None:
            await self._unsubscribe(number, keep=keep)

    def flush(self) -> None:
        """Send acknowledgements and reports now."""
        self._acknowledger.flush()
        self.report_conflated(sys.maxsize)

    def report_conflated(self, limit: int = MAX_REPORTED) -> bool:
        """Tell the gateway how many messages were conflated, of at most ``limit`` streams of a subscription.

        Returns:
            Whether there are more.
        """
        session = self._context.session
        if session is None or not session.open:
            return False
        return report_conflated(session, list(self._numbers), self._sinks, self._index, limit=limit)

    async def _report_all(self) -> None:
        """Report all messages that were conflated; the loop has turns in between."""
        while self.report_conflated():  # noqa: ASYNC110 - each call reports some, and no event would tell more
            await asyncio.sleep(0)

    def report_held(self) -> None:
        """Report the messages of acknowledged streams that wait, or that the program works on (spec section 7.8)."""
        session = self._context.session
        if session is not None and session.open:
            session.cork()
            try:
                self._duplicate_filters.report_held()
            finally:
                session.uncork()

    def attached(self, session: Session) -> None:
        """Subscribe again on a new session."""
        for sink in self._past_sinks:
            sink.subscriptions = ()
        self._past_sinks.clear()
        self._sweep_versions()
        for subscription, number in list(self._numbers.items()):
            subscription.position.leave()
            self._context.start(self._resume(session, subscription, number))

    def detached(self) -> None:
        """Detach the sinks of a session that has ended: the ids of its streams are void."""
        self._past_sinks += self._sinks.values()
        self._sinks.clear()
        self._ack_numbers.clear()
        self.load.positions.forget()

    def close(self, error: FrysError | None) -> None:
        """End all iterators since the client is closed, with ``error`` if the application did not close it."""
        for subscription in list(self._numbers):
            subscription.buffer.end(error)
        self._joined.set()
        for kept in (self._numbers, self._sinks, self._past_sinks, self._versions, self.partial_transfers):
            kept.clear()  # cycles keep a closed client

    def sink(self, stream: int) -> StreamSink | None:
        """Return the sink of a stream; ``None`` if no subscription matches the stream."""
        sink = self._sinks.get(stream)
        # While earlier messages are being decoded, an announcement may wait behind them.
        return sink if sink is not None and (sink.subscriptions or not sink.order.idle) else None

    def stream_received(self, info: StreamInfo) -> None:
        """Handle STREAM, which gives a stream its id (spec section 4.1), or tells its end (spec section 4.11)."""
        if info.id is not None and info.ended is not None and info.alias is None:
            self._ended(info.id, info.ended)
        elif info.id is not None:
            sink = self._sinks.get(info.id)
            if sink is None or sink.epoch != info.epoch:
                if isinstance(sink, AcknowledgedSink):
                    self._ack_numbers.pop(AckPosition(sink.stream, sink.epoch), None)
                sink = self._sinks[info.id] = self._new_sink(info)
                self._ending.precede(sink)
                if isinstance(sink, AcknowledgedSink):
                    self._ack_numbers[AckPosition(sink.stream, sink.epoch)] = info.id
            if sink.numbers is not None and info.subscription is not None:
                sink.numbers.add(info.subscription)
            wanting = self._index.wanting(sink)
            take_place(self._sinks, sink, info, wanting)
            if isinstance(sink, AcknowledgedSink):
                for _, subscription in wanting:
                    sink.add(weakref.ref(subscription))
            # Only subscriptions whose SUBSCRIBED has arrived: the STREAM is meant for one of them, or for all.
            joined = [
                subscription
                for number, subscription in wanting
                if subscription.position.joined and info.subscription in (None, number)
            ]
            sink.order.add_ready(lambda: sink.announce(joined, info))

    def _ended(self, stream: int, reason: str) -> None:
        """Give up everything of a stream that has ended; its subscriptions wait for the next one of its name."""
        sink = self._sinks.pop(stream, None)
        if sink is None:
            return
        if isinstance(sink, AcknowledgedSink):
            self._ack_numbers.pop(AckPosition(sink.stream, sink.epoch), None)
            self._duplicate_filters.end(sink.stream, sink.epoch)
        if sink.numbers is None:
            self.partial_transfers.forget(sink.stream)
        ended = StreamEnded(sink.stream, sink.epoch, reason)
        # Behind all messages that came before it, and may still be decoded.
        sink.order.add_ready(lambda: sink.end(ended, stream))
        self._ending.add(sink)

    def _new_sink(self, info: StreamInfo) -> StreamSink:
        session = self._context.session
        if session is not None and info.kind is Kind.STATE:
            # The server applies patches before the view: of a view no version is kept for them.
            view = info.subscription is not None
            return DeltaSink(info, session) if view else StateSink(info, session, self._versions)
        if session is None or info.kind is None or not info.kind.acknowledged or info.observed:
            return StreamSink(info)
        return AcknowledgedSink(info, self._duplicate_filters.of(info.stream, info.epoch or 0), session)

    def refused(self, error: Error) -> bool:
        """Report an ERROR for a subscription, of a view that does not fit (spec section 4.5).

        Returns:
            Whether the ERROR names a subscription.
        """
        for subscription, number in list(self._numbers.items()):
            if number == error.subscription:
                place = "" if error.stream is None else f"{error.stream}: "
                subscription.report(RequestRefused(error.code, f"{place}{error.message}"))
        return error.subscription is not None

    def keep_partial(self, transfers: list[Transfer]) -> None:
        """Keep partial transfers of a session that has ended."""
        kept = []
        for transfer in transfers:
            sink = transfer.destination
            # A view is another stream on the next session, and the version that a patch refers to may be missing there.
            if isinstance(sink, StreamSink) and sink.numbers is None and region_of(transfer.head) is None:
                kept.append((sink.stream, transfer))
        self.partial_transfers.keep(kept)

    def forget_superseded(self, sink: StreamSink, frame: DataFrame) -> None:
        """Forget the partial transfer of a state of which a newer version arrives."""
        if sink.kind is Kind.STATE and not frame.resuming:
            self.partial_transfers.forget(sink.stream)

    def gap_received(self, message: memoryview, frame: Frame) -> None:
        """Handle GAP (spec section 7.2), after all messages that arrived before it."""
        gap = signals.Gap.parse(message, frame)
        sink = self.sink(gap.stream)
        if sink is not None:
            skipped = Gap(sink.stream, code_of(gap.code), gap.first, gap.last)
            sink.order.add_ready(lambda: sink.skip(skipped))

    def replay_received(self, message: memoryview, frame: Frame) -> None:
        """Handle REPLAY (spec section 7.3), after all messages that arrived before it."""
        replay = signals.Replay.parse(message, frame)
        sink = self.sink(replay.stream)
        if sink is not None:
            sink.order.add_ready(lambda: sink.replay(replay.first, replay.last))

    async def _ask(self, session: Session, subscription: SubscriptionCore, number: int) -> None:
        pattern, position, scope = subscription.pattern.text, subscription.position, subscription.ack_scope
        view, lower = subscription.view_fields
        subscription.begin(session, number)
        resume = self.partial_transfers.offer(subscription.pattern.matches) if view is None else None
        streams, observes, since = position.ask(), subscription.observes, position.since

        def request(request: int) -> Asked:
            asked = Subscribe(request, number, pattern, since, view, scope.window, resume, None, observes, None, lower)
            return asked if streams is None else parts_of(asked, streams, session.request_bytes)

        # Joined before the next frame: streams may be announced in the same WebSocket message.
        await self._context.ask(session, request, lambda answer: self._join(subscription, number, answer))

    def _join(self, subscription: SubscriptionCore, number: int, answer: Answer) -> None:
        assert isinstance(answer, Subscribed)
        if self._numbers.get(subscription) == number:  # otherwise its start was cancelled
            subscription.position.join(answer.positions, self._forget_streams)
            self._joined.set()

    def _forget_streams(self, streams: list[tuple[str, int]]) -> None:
        """Forget all that is kept of streams that have ended without a connection, by name and epoch."""
        for stream, epoch in streams:
            self._versions.end(stream, epoch)
            self._duplicate_filters.end(stream, epoch)
            self.partial_transfers.forget(stream)

    async def _unsubscribe(self, number: int, *, keep: bool = False) -> None:
        session = self._context.session
        if session is not None:
            with contextlib.suppress(ConnectionFailed, RequestRefused):
                await self._context.ask(session, lambda request: Unsubscribe(request, number, keep or None))

    def _dropped(
        self,
        number: int,
        reference: Reference,
        pattern: Pattern | None,
        buffer: ReceiveBuffer[Received],
        scope: AckScope,
    ) -> None:
        """Close a subscription that was garbage collected."""
        if not buffer.over:
            buffer.end()
            scope.withdraw()
            self._acknowledger.flush()
            self._leave_sinks(reference, number, pattern)
            # The program has not signed off: it may be ending by an exception, whose frames are gone already.
            self._context.start(self._unsubscribe(number, keep=True))

    async def _resume(self, session: Session, subscription: SubscriptionCore, number: int) -> None:
        if self._numbers.get(subscription) != number:  # closed meanwhile
            return
        try:
            await self._ask(session, subscription, number)
        except RequestRefused as error:
            self._forget(subscription)
            subscription.buffer.end(error)
        except ConnectionFailed:
            pass  # this session has ended as well; the next one asks again
        except Exception as error:
            # A boundary: the next connection asks again, as this one could not.
            session.abort(f"{subscription.pattern.text} could not be subscribed to again: {error!r}")
            raise

    def _forget(self, subscription: SubscriptionCore) -> int | None:
        number = self._numbers.pop(subscription, None)
        if number is not None:
            pattern = None if subscription.view is not None else subscription.pattern
            self._leave_sinks(weakref.ref(subscription), number, pattern)
        return number

    def _join_sinks(self, reference: Reference, pattern: Pattern, observes: bool) -> None:
        """Give a new subscription the acknowledged streams that are known already: each of their messages comes once.

        Streams of the other kinds are announced to it.
        """
        for number in self._ack_numbers.values():
            sink = self._sinks[number]
            if sink.serves(observes) and pattern.matches(sink.stream):
                sink.add(reference)

    def _leave_sinks(self, reference: Reference, number: int, pattern: Pattern | None) -> None:
        """Take a subscription out of its sinks, and forget the versions that only this subscription needed.

        Args:
            reference: the subscription; it may have been garbage collected.
            number: number of the subscription.
            pattern: pattern of the subscription; ``None``: it asked for a view, of which no versions are kept.
        """
        for sink in self._sinks.values():
            if sink.numbers is not None:
                sink.numbers.discard(number)
            if reference in sink.subscriptions:
                sink.remove(reference)
        self._index.remove(number, pattern)
        if pattern is not None:
            self._sweep_versions()

    def _sweep_versions(self) -> None:
        """Forget the versions of streams that no subscription wants any more, in later turns of the loop."""
        if self._sweep is None or self._sweep.done():
            self._sweep = self._context.start(self._versions.sweep(self._index.matched))
        else:
            self._versions.sweep_again()
