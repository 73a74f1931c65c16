"""Client core: puts the parts of a client together, and takes them from the first connection to the close.

Everything runs on one loop.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import contextlib
import time
import warnings
from collections.abc import AsyncGenerator
from dataclasses import replace
from typing import Final

from gateway.client.client_state import ClientState
from gateway.client.exit_hook import EXIT_HOOK, OpenClient
from gateway.client.inbound_dispatcher import InboundDispatcher
from gateway.client.messages.read_flow_control import ReadFlowControl
from gateway.client.options import Options
from gateway.client.owner import CLOSED, CLOSED_WITH_LOOP, Owner
from gateway.client.presence.presences import Presences
from gateway.client.report import Reporter
from gateway.client.requests.requester import Requester
from gateway.client.requests.responder import Responder
from gateway.client.sending.batcher import Batcher
from gateway.client.sending.publisher import Publisher
from gateway.client.sending.send_context import SendContext
from gateway.client.session.gateway_address import GatewayAddress
from gateway.client.session.introduction import Introduction
from gateway.client.session.reconnect import Reconnector
from gateway.client.session.session import Handlers, Session
from gateway.client.session.socket import Lost
from gateway.client.subscribing.subscription import Subscription
from gateway.client.subscribing.subscription_core import SubscriptionCore, SubscriptionOptions
from gateway.client.subscribing.subscriptions import Subscriptions
from gateway.client.time_limit import TimeLimit
from gateway.errors import ConnectionClosed, ConnectionFailed, FrysError, UsageError
from gateway.protocol.arguments import check_text
from gateway.protocol.messages import Authenticate, Authenticated, ClientType, Error
from gateway.protocol.negotiation import observes_by_default

EXIT_MARGIN_S: Final = 1.0
"""Time in which the loop of another thread turns to closing, at the exit of the program."""


class ClientCore(OpenClient):
    """One client without its public face.

    Args:
        options: see below.
        owner: process and event loop that may use the client.

    Attributes:
        options: see :func:`gateway.client.connecting.connect`.
        state: see :class:`~gateway.client.client_state.ClientState`.
        context: the way out.
        publisher: messages that the client publishes.
        subscriptions: messages that it receives.
        requester: requests that it sends.
        responder: requests that it receives.
        presences: scopes that it attends.
        report: for errors that nobody waits for.
    """

    def __init__(self, options: Options, owner: Owner) -> None:
        self.options = options
        self.state = ClientState.CONNECTING
        self.report = Reporter(options.on_error, options.on_notice)
        self.context = SendContext(ReadFlowControl(self._read, owner.check), self.report, owner)
        self.publisher = Publisher(self.context, self.now_ns)
        self.subscriptions = Subscriptions(self.context)
        self.requester = Requester(self.context, self.now_ns)
        self.responder = Responder(self.context, self.now_ns)
        self.presences = Presences(self.context)
        self._introduction = Introduction(options.client_id)
        self._address = GatewayAddress(options.url)
        self._reconnector = Reconnector(
            options.backoff, self.context.outage, fresh_token=callable(options.token), open_session=self._open_session
        )
        self._dispatcher: InboundDispatcher | None = None
        self._attached_s = 0.0
        self._opened = False
        self._reopening: asyncio.Task[None] | None = None
        self._lost_again: Lost | None = None
        self._closing: asyncio.Task[None] | None = None
        self._with_loop: AsyncGenerator[None, None] = self._close_with_loop()
        self._ends_with_loop = False
        self._loop = asyncio.get_running_loop()
        owner.tell(self)

    # Opening and closing.

    async def open(self, batcher: Batcher) -> None:
        """Connect for the first time: one attempt, unless the gateway asks for another.

        Args:
            batcher: holds the messages of ``publish_nowait``.

        Raises:
            See :func:`gateway.client.session.greeting.open_session`.
        """
        if self.state is not ClientState.CONNECTING or self._opened:
            raise UsageError("a client is opened once: connect() makes another one")
        self._opened = True
        self.publisher.collect_from(batcher)
        self.context.owner.tell(batcher)
        try:
            await self._reconnector.open(self.options.connect_timeout_s)
            await anext(self._with_loop)
        except BaseException as error:
            self._end(error if isinstance(error, FrysError) else ConnectionFailed("connecting was cancelled"))
            raise

    async def close(self) -> None:
        """Send the messages that wait, within ``close_timeout_s``, and close. May be called twice.

        Raises:
            UsageError: the client is open, and another event loop runs.
        """
        owner = self.context.owner
        if owner.forked or (self.state is ClientState.CLOSED and not owner.is_caller):
            return
        owner.check()
        await asyncio.shield(self.close_soon())

    def close_soon(self) -> asyncio.Task[None]:
        """Begin to close, unless that was begun, and return the task."""
        if self._closing is None:
            self._closing = self.context.owner.start(self._close())
        return self._closing

    def drop(self) -> None:
        """Close the client, whose face nobody holds any more; called by any thread, also while it collects garbage."""
        if self.state is not ClientState.CLOSED:
            self.context.owner.call_soon(self.close_soon)
            problem = f"the client of {self.options.url} was not closed: use `async with`, or close()"
            warnings.warn(problem, ResourceWarning, stacklevel=2)

    def fork(self, error: UsageError) -> None:
        """Refuse all use, and leave the connection to the parent: this is a forked process."""
        self.state = ClientState.CLOSED
        self.context.fork(error)
        self.responder.fork(error)

    # At the exit of the program; see :class:`~gateway.client.exit_hook.OpenClient`.

    @property
    def stranded(self) -> bool:
        """Whether its event loop was closed before the client."""
        return self._loop.is_closed()

    @property
    def exit_timeout_s(self) -> float:
        """Longest time that closing takes: sending, and waiting for the gateway's answer."""
        return 2 * self.options.close_timeout_s + EXIT_MARGIN_S

    def begin_exit(self) -> concurrent.futures.Future[None] | None:
        """Close the client, if messages wait to be sent: on its loop, which has stopped or runs in another thread."""
        session = self.session
        unsent_bytes = 0 if session is None else session.unsent_bytes
        if self.stranded:
            self._end(ConnectionFailed("the event loop was closed before the client"), cut_bytes=unsent_bytes)
        elif self._loop.is_running():
            return asyncio.run_coroutine_threadsafe(self.close(), self._loop)
        elif unsent_bytes or not self.publisher.idle:
            self._loop.run_until_complete(self.close())
        return None

    @property
    def session(self) -> Session | None:
        """The present session, or None."""
        return self.context.session

    @property
    def client_id(self) -> str:
        """Name of this client; empty before the gateway has told it."""
        return self._introduction.client_id or ""

    def now_ns(self) -> int:
        """Return Unix time in ns by the clock of the gateway that was last connected."""
        return self.context.clock.now_ns()

    async def drain(self) -> None:
        """Wait until all published messages are handed to the operating system, up to the low water mark.

        Raises:
            ConnectionFailed: the connection is gone and not opened again.
        """
        self.context.check()
        while True:
            self.publisher.flush()
            with contextlib.suppress(ConnectionFailed):  # lost: wait for the next
                await self.context.idle()
            if self.publisher.flushed:
                return
            await self.context.wait_ready()

    async def authenticate(self, token: str) -> float | None:
        """Replace the token; see :meth:`gateway.client.client.Client.authenticate`."""
        self.context.check()
        check_text("token", token)
        session = await self.context.wait_ready()
        answer = await self.context.ask(session, lambda request: Authenticate(request, token))
        assert isinstance(answer, Authenticated)
        if not callable(self.options.token):
            self.options = replace(self.options, token=token)  # for the next session
        return answer.expires_s

    def subscribe(self, pattern: str, options: SubscriptionOptions, client: object) -> Subscription:
        """Return a new subscription, which is not started; see :meth:`gateway.client.client.Client.subscribe`.

        Args:
            pattern: names of streams.
            options: keyword arguments of the program.
            client: face of this client, which the subscription holds.
        """
        self.context.check()
        # As the gateway decides, except that it does not know a name again that it has made up.
        named, client_type = self.options.client_id is not None, ClientType(self.options.client_type)
        by_default, all_kinds = observes_by_default(client_type, named=named), self.options.credit_all_kinds
        observes = options.observes(by_default=by_default, credit_all_kinds=all_kinds)
        flow, report = self.context.flow, self.report
        core = SubscriptionCore(pattern, options, flow=flow, report=report, observes=observes, client=client)
        subscriptions = self.subscriptions
        subscription = Subscription(core, auto_ack=options.auto_ack, start=subscriptions.start, stop=subscriptions.stop)
        self.context.owner.tell(subscription)
        return subscription

    # Events of the session; see :class:`gateway.client.session.session.SessionEvents`.

    def welcomed(self, session: Session) -> Handlers:
        """Use the new session, and return the handlers of its frames."""
        state = self.state
        try:
            return self._take_up(session)
        except BaseException:
            self.state = state
            self._give_up(session, "the connection could not be used")
            raise

    def _take_up(self, session: Session) -> Handlers:
        self._introduction.take(session.welcome)
        self._attached_s = time.monotonic()
        self._dispatcher = InboundDispatcher(
            session,
            self.context,
            self.publisher,
            self.subscriptions,
            self.requester,
            self.responder,
            self.presences,
            self.report,
            self.options.limits,
        )
        self.state = ClientState.CONNECTED
        self.context.attach(session)
        session.read(self.context.flow.reading)
        self.subscriptions.attached(session)
        self.responder.attached(session)
        self.presences.attached(session)
        self.publisher.flush()
        return self._dispatcher.handlers()

    def refused(self, error: Error) -> None:
        """Hand an ERROR to the part that it concerns."""
        if self._dispatcher is not None:
            self._dispatcher.refused(error)

    def reported(self, error: Exception) -> None:
        """Report an error that nobody waits for."""
        self.report(error)

    def beating(self) -> None:
        """Report the messages that were conflated, and the load, since the last beat."""
        self.subscriptions.report_conflated()
        self.subscriptions.load.report(self.session)

    def probed(self) -> None:
        """Report the messages that the program works on: the gateway may be about to take them for forgotten."""
        self.subscriptions.report_held()

    def writing_resumed(self) -> None:
        """Send the messages that wait: there is room to write."""
        self.publisher.flush()

    def session_lost(self, session: Session, lost: Lost) -> None:
        """Detach all parts from the session, and begin to reconnect unless the client closes."""
        if session is not self.context.session:
            return
        self._give_up(session, lost.reason)
        if self._closing is not None:
            self.context.close(ConnectionFailed(f"the connection was lost while it was being closed: {lost.reason}"))
        elif self.state is ClientState.CONNECTED:
            self.state = ClientState.RECONNECTING
            if self._reopening is None or self._reopening.done():
                lived_s = time.monotonic() - self._attached_s
                self._reopening = self.context.owner.start(self._reopen(lost, lived_s))
            else:
                self._lost_again = lost

    def _give_up(self, session: Session, reason: str) -> None:
        """Detach all parts from a session."""
        if session is not self.context.session:
            return
        self.context.detach(reason)
        if self._dispatcher is not None:
            self._dispatcher.close()
        waiting = self.context.aliases.clear(ConnectionFailed(f"the connection was lost: {reason}"))
        self.publisher.detached(waiting)
        self.requester.detached()
        self.responder.detached()
        self.subscriptions.detached()

    def _read(self, reading: bool) -> None:
        if self.context.session is not None:
            self.context.session.read(reading)

    async def _open_session(self) -> Session:
        return await self._address.open(self.options, self._introduction, self)

    async def _reopen(self, lost: Lost, lived_s: float) -> None:
        next_loss: Lost | None = lost
        try:
            while next_loss is not None:
                self._address.follow(next_loss.address)
                await self._reconnector.reopen(next_loss, lived_s)
                # The new session may have been lost before this task ran again.
                next_loss, self._lost_again, lived_s = self._lost_again, None, 0.0
        except FrysError as error:
            if isinstance(error, ConnectionClosed):
                self.report(error)  # the gateway ends the client, and perhaps no call waits
            self._end(error)

    def _end(self, error: FrysError, *, cut_bytes: int = 0) -> None:
        """Close all parts, since no session will follow: calls that wait or come later raise ``error``."""
        self._close_parts(error, error, error, cut_bytes)

    def _close_parts(
        self, error: FrysError, unsent: FrysError, iterators: FrysError | None, cut_bytes: int = 0
    ) -> None:
        """Close all parts.

        Args:
            error: raised by calls that wait or come later.
            unsent: reason for which messages were not sent.
            iterators: raised by iterators; ``None``: they just end.
            cut_bytes: bytes that were written and had not left this process.
        """
        self.state = ClientState.CLOSED
        EXIT_HOOK.discard(self)
        self.context.close(error)
        self.publisher.close(unsent, cut_bytes=cut_bytes)
        self.subscriptions.close(iterators)
        self.responder.close(iterators)
        self.presences.close(iterators)
        self.report.flush()

    async def _close_with_loop(self) -> AsyncGenerator[None, None]:
        """Close a client that the program has not closed when its loop ends, as ``asyncio.run`` ends it.

        The tasks of the program are cancelled by then, and those of the client go on
        (:meth:`gateway.client.owner.Owner.start`).
        """
        try:
            yield
        finally:
            self._ends_with_loop = True
            if self.state is not ClientState.CLOSED:
                await self.close_soon()

    async def _close(self) -> None:
        timeout_s = self.options.close_timeout_s
        closed = reason = ConnectionFailed(CLOSED_WITH_LOOP if self._ends_with_loop else CLOSED)
        cut_bytes = 0
        try:
            waiting = self.state is ClientState.RECONNECTING and not self.publisher.idle
            if self.state is ClientState.CONNECTED or waiting:
                with TimeLimit(timeout_s):
                    await self.drain()
        except TimeoutError:
            reason = ConnectionFailed(f"the client is closed, and close_timeout_s={timeout_s:g} was over")
        except FrysError as error:
            self.report(error)
        if self._reopening is not None:
            self._reopening.cancel()
            await asyncio.wait([self._reopening])
        session = self.context.session
        if session is not None:
            self.subscriptions.flush()
            self.presences.sign_off()
            session.close()
            cut_bytes = await session.wait_closed(timeout_s)
        await self.context.cancel()
        if self.state is not ClientState.CLOSED:
            self._close_parts(closed, reason, None, cut_bytes)
        if not self._ends_with_loop:
            await self._with_loop.aclose()
