"""All subscriptions of a client: who gets what, and asking for it again on every new session (spec section 4.2)."""

from __future__ import annotations

import asyncio
import contextlib
import weakref
from collections.abc import Callable, Mapping
from functools import partial

from gateway.client.decoding.decoding import Transfer
from gateway.client.decoding.partial_transfers import PartialTransfers
from gateway.client.messages.ack_handle import AckScope
from gateway.client.messages.message_run import Received
from gateway.client.messages.receive_buffer import ReceiveBuffer
from gateway.client.sending.send_context import SendContext
from gateway.client.session.session import Session
from gateway.client.subscribing.acknowledged_sink import AcknowledgedSink
from gateway.client.subscribing.acknowledger import Acknowledger, AckPosition
from gateway.client.subscribing.duplicate_filter import DuplicateFilter
from gateway.client.subscribing.state_sink import StateSink
from gateway.client.subscribing.stream_sink import Reference, StreamSink
from gateway.client.subscribing.subscription import Subscription
from gateway.client.subscribing.subscription_position import Gap, SubscriptionPosition
from gateway.client.subscribing.versions import Versions
from gateway.errors import ConnectionFailed, FrysError, RequestRefused, UsageError
from gateway.protocol import signals
from gateway.protocol.data import DataFrame
from gateway.protocol.frames import Frame
from gateway.protocol.messages import Account, Counts, Error, Kind, StreamInfo, Subscribe, Unsubscribe


class Subscriptions:
    """The subscriptions, over as many sessions as there are."""

    def __init__(self, context: SendContext) -> None:
        self._context = context
        # Weak: one that the application dropped without closing it must not fill up and stop the socket for all.
        self._numbers: weakref.WeakKeyDictionary[Subscription, int] = weakref.WeakKeyDictionary()
        self._next_number = 1
        self._sinks: dict[int, StreamSink] = {}
        self._joined = asyncio.Event()
        """Set whenever a subscription stands again."""
        self._versions = Versions()
        self.unfinished = PartialTransfers()
        """Large messages that the last session has left unfinished."""
        self._past_sinks: list[StreamSink] = []
        """Of the last session: what is still being decoded of it is delivered until the next one stands."""
        self._ledgers: dict[str, DuplicateFilter] = {}
        """Of the streams that are acknowledged, by name: what is processed is known over sessions."""
        self._acknowledger = Acknowledger(lambda: context.session, self._number_of)

    async def start(self, subscription: Subscription) -> None:
        """Ask the gateway for a new subscription, and on every later session again.

        Raises:
            RequestRefused: the gateway refused.
            ConnectionFailed: there will be no connection any more.
        """
        number = self._next_number
        self._next_number += 1
        session = await self._context.wait_ready()
        self._numbers[subscription] = number
        weakref.finalize(
            subscription,
            _call_soon,
            asyncio.get_running_loop(),
            partial(self._dropped, number, subscription.buffer, subscription.ack_scope),
        )
        self._match()
        try:
            await self._ask(session, subscription, number)
        except ConnectionFailed:
            await self._context.wait_ready()  # attached() has asked again, or there is no way to
        except BaseException:
            self._forget(subscription)
            raise

    async def account(self, subscription: Subscription) -> Mapping[str, Counts]:
        """See :meth:`gateway.client.client.Client.account`."""
        while (number := self._numbers.get(subscription)) is not None:
            session = await self._context.wait_ready()
            if not subscription.standing.joined:
                self._joined.clear()
                await self._joined.wait()
                continue
            # Lost, and asked again: it changes nothing.
            with contextlib.suppress(ConnectionFailed):
                answer = await self._context.ask(session, partial(Account, subscription=number))
                assert isinstance(answer, Account)
                return answer.streams or {}
        raise UsageError(f"the subscription to {subscription.pattern.text} has not been started, or is closed")

    async def stop(self, subscription: Subscription, keep: bool) -> None:
        """End a subscription. A gateway that cannot be told any more has noticed itself that nobody is there.

        Args:
            keep: what is not acknowledged is to be kept for this client.
        """
        number = self._forget(subscription)
        subscription.ack_scope.withdraw()
        self._acknowledger.flush()
        if number is not None:
            await self._take_back(number, keep)

    def flush(self) -> None:
        """Tell the gateway now what is processed."""
        self._acknowledger.flush()

    def attached(self, session: Session) -> None:
        """A new session: ask for everything again."""
        for sink in self._past_sinks:
            sink.subscriptions = []
        self._past_sinks.clear()
        for subscription, number in list(self._numbers.items()):
            subscription.standing.leave()
            self._context.start(self._resume(session, subscription, number))

    def detached(self) -> None:
        """The session is over; the numbers of its streams mean nothing any more."""
        self._past_sinks += self._sinks.values()
        self._sinks.clear()

    def close(self, error: FrysError | None) -> None:
        """The client is closed: end all iterators, with ``error`` if it was not the application that closed."""
        for subscription in list(self._numbers):
            subscription.buffer.end(error)
        self._numbers.clear()
        self._joined.set()

    def sink(self, stream: int) -> StreamSink | None:
        """Where messages of a stream go; None if nobody here wants them (any more)."""
        sink = self._sinks.get(stream)
        return sink if sink is not None and sink.subscriptions else None

    def stream_known(self, info: StreamInfo) -> None:
        """STREAM: what a number stands for (spec section 4.1)."""
        if info.id is not None:
            sink = self._sinks.get(info.id)
            if sink is None or sink.epoch != info.epoch:
                sink = self._sinks[info.id] = self._new_sink(info)
            if sink.numbers is not None and info.subscription is not None:
                sink.numbers.add(info.subscription)
            sink.subscriptions = self._wanting(sink)
            # Only those whose SUBSCRIBED has come: it is their STREAM, or one for all.
            joined = [
                subscription
                for subscription in sink.present()
                if subscription.standing.joined and info.subscription in (None, self._numbers.get(subscription))
            ]
            sink.order.add_ready(lambda: sink.announce(joined, info))

    def _new_sink(self, info: StreamInfo) -> StreamSink:
        session = self._context.session
        if session is None or info.kind is None:
            return StreamSink(info)
        # Of a view every version comes whole.
        if info.kind is Kind.STATE and info.subscription is None:
            return StateSink(info, session, self._versions)
        if not info.kind.acknowledged:
            return StreamSink(info)
        ledger = self._ledgers.get(info.stream)
        if ledger is None:
            ledger = self._ledgers[info.stream] = DuplicateFilter(info.stream, self._acknowledger)
        return AcknowledgedSink(info, ledger, session)

    def _number_of(self, place: AckPosition) -> int | None:
        for number, sink in self._sinks.items():
            if (sink.stream, sink.epoch) == place:
                return number
        return None

    def refused(self, error: Error) -> bool:
        """ERROR for a subscription that stands: a view that does not fit (spec section 4.5). Whether it was for one."""
        for subscription, number in list(self._numbers.items()):
            if number == error.subscription:
                subscription.tell(RequestRefused(error.code, error.message))
        return error.subscription is not None

    def cut(self, transfers: list[Transfer]) -> None:
        """The session is over, in the middle of large messages."""
        kept = []
        for transfer in transfers:
            sink, extensions = transfer.destination, transfer.arrival.frame.extensions
            is_patch = extensions is not None and extensions.region is not None
            # A view is another stream on the next session; a patch may refer to a version that is not there then.
            if isinstance(sink, StreamSink) and sink.numbers is None and not is_patch:
                kept.append((sink.stream, transfer))
        self.unfinished.keep(kept)

    def goes_on(self, sink: StreamSink, frame: DataFrame) -> None:
        """A message of a stream has come while there are some that were cut."""
        if sink.kind is Kind.STATE and not frame.resuming:
            self.unfinished.forget(sink.stream)

    def gap_received(self, message: memoryview, frame: Frame) -> None:
        """GAP (spec section 7.2): told after everything that came before it."""
        gap = signals.Gap.parse(message, frame)
        sink = self.sink(gap.stream)
        if sink is not None:
            told = Gap(sink.stream, gap.code, gap.first, gap.last)
            sink.order.add_ready(lambda: sink.skip(told))

    def replay_received(self, message: memoryview, frame: Frame) -> None:
        """REPLAY (spec section 7.3)."""
        replay = signals.Replay.parse(message, frame)
        sink = self.sink(replay.stream)
        if sink is not None:
            sink.order.add_ready(lambda: sink.replay(replay.first, replay.last))

    async def _ask(self, session: Session, subscription: Subscription, number: int) -> None:
        pattern, standing, scope = subscription.pattern.text, subscription.standing, subscription.ack_scope
        view = None if subscription.view is None else subscription.view.to_json()
        scope.begin(session, number)
        since, account = standing.ask()
        resume = self.unfinished.offer(subscription.pattern.matches) if view is None else None
        await self._context.ask(
            session,
            lambda request: Subscribe(request, number, pattern, since, view, scope.window, resume, account),
            # At once: streams may be announced in the same WebSocket message.
            lambda _: self._join(standing),
        )

    def _join(self, standing: SubscriptionPosition) -> None:
        standing.join()
        self._joined.set()

    async def _take_back(self, number: int, keep: bool = False) -> None:
        session = self._context.session
        if session is not None:
            with contextlib.suppress(ConnectionFailed, RequestRefused):
                await self._context.ask(session, lambda request: Unsubscribe(request, number, keep or None))

    def _dropped(self, number: int, buffer: ReceiveBuffer[Received], scope: AckScope) -> None:
        """A subscription was garbage collected: as if it had been closed."""
        if not buffer.over:
            buffer.end()
            scope.withdraw()
            self._match()
            self._context.start(self._take_back(number))

    async def _resume(self, session: Session, subscription: Subscription, number: int) -> None:
        if subscription not in self._numbers:  # closed meanwhile
            return
        try:
            await self._ask(session, subscription, number)
        except RequestRefused as error:
            self._forget(subscription)
            subscription.buffer.end(error)
        except ConnectionFailed:
            pass  # this session is over as well; the next one asks again

    def _forget(self, subscription: Subscription) -> int | None:
        number = self._numbers.pop(subscription, None)
        self._match()
        return number

    def _match(self) -> None:
        """Subscriptions have changed: see anew which stream goes where."""
        for sink in self._sinks.values():
            sink.subscriptions = self._wanting(sink)
        patterns = [subscription.pattern for subscription in list(self._numbers) if subscription.view is None]
        self._versions.keep(lambda stream: any(pattern.matches(stream) for pattern in patterns))

    def _wanting(self, sink: StreamSink) -> list[Reference]:
        return [
            weakref.ref(subscription)
            for subscription, number in list(self._numbers.items())
            if (
                subscription.view is None and subscription.pattern.matches(sink.stream)
                if sink.numbers is None
                else number in sink.numbers
            )
        ]


def _call_soon(loop: asyncio.AbstractEventLoop, callback: Callable[[], None]) -> None:
    """Call back on the loop, from whatever thread collects garbage."""
    with contextlib.suppress(RuntimeError):  # the loop is closed, and the client with it
        loop.call_soon_threadsafe(callback)
