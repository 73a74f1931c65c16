"""Requester: sends requests to other clients, and takes their replies (spec section 8)."""

from __future__ import annotations

import asyncio
import itertools
import time
from collections.abc import Callable
from functools import partial
from typing import Final, NamedTuple

from gateway.client.messages.message import Message
from gateway.client.messages.receive_buffer import ReceiveBuffer
from gateway.client.requests.pending_request import PendingRequest
from gateway.client.requests.reply_stream import ReplyStream
from gateway.client.sending.alias import Alias, AliasHolders
from gateway.client.sending.codec_choice import parse_codec
from gateway.client.sending.content import Headers, content_of
from gateway.client.sending.outbound_message import OutboundMessage, lost_on_the_way
from gateway.client.sending.send_context import SendContext
from gateway.client.sending.send_queue import SendQueue
from gateway.client.session.session import Session
from gateway.errors import Code, RequestRefused
from gateway.protocol.arguments import MAX_EXPIRY_S, check_seconds, check_timeout
from gateway.protocol.extensions import Extensions
from gateway.protocol.messages import Error
from gateway.protocol.names import check_address
from gateway.protocol.signals import Cancel
from gateway.protocol.wire import Buffer, Opcode

UNDELIVERED: Final = frozenset({Code.QUEUE_FULL, Code.TRANSFER_TIMEOUT})
"""Codes of requests that reached nobody and may be taken later: they are sent again."""


class AddressSendQueue(SendQueue):
    """Requests to one address, under the alias that it has on the present session."""

    _alias: Alias | None = None
    _sent = 0

    @property
    def sent(self) -> int:
        """Correlation of the last request that was sent."""
        return self._sent

    @property
    def forgettable(self) -> bool:
        """True if nothing is under way, and no alias is open."""
        return not self._waiting and not self._working and not self._context.aliases.has(self._alias)

    def forget(self, alias: Alias) -> None:
        """Drop an alias that the gateway refused to open: the next request opens another."""
        if self._alias is alias:
            self._alias = None

    def _addressable(self, session: Session, message: OutboundMessage) -> bool:
        alias = self._alias
        return (alias is not None and alias.session is session) or self._context.aliases.room

    async def _wait_addressable(self, session: Session, message: OutboundMessage) -> None:
        if not self._addressable(session, message):
            await self._context.wait_alias(session, message, self.name)
            # At once: another queue would take the alias otherwise.
            self._alias = self._context.aliases.open(session, self.name, self)
            session.send((self._alias.opening(),))

    def _begin(self, session: Session, message: OutboundMessage) -> tuple[int, int, list[Buffer]]:
        before: list[Buffer] = []
        alias = self._alias
        if alias is None or alias.session is not session:
            alias = self._alias = self._context.aliases.open(session, self.name, self)
            before.append(alias.opening())
        self._sent = message.correlation
        return alias.number, message.correlation, before

    def _written(self, message: OutboundMessage) -> None:
        session = None if self._alias is None else self._alias.session
        if message.abandoned and session is not None:  # while its END was under way
            session.send((Cancel(0, message.correlation).write(),))


class RequestOptions(NamedTuple):
    """Keyword arguments of :meth:`gateway.client.client.Client.request`, which explains them."""

    headers: Headers
    codec: str
    timeout_s: float | None
    expires_in_s: float | None


class Requester:
    """Requests of a client, kept across reconnects.

    Args:
        context: the way out.
        now_ns: clock for timestamps and deadlines.
    """

    def __init__(self, context: SendContext, now_ns: Callable[[], int]) -> None:
        self._context = context
        self._now_ns = now_ns
        self._queues: AliasHolders[AddressSendQueue] = AliasHolders()
        self._correlations = itertools.count(1)
        self._pending: dict[int, PendingRequest] = {}

    async def request(self, address: str, value: object, options: RequestOptions) -> Message:
        """Send a request and wait for its reply; see :meth:`gateway.client.client.Client.request`."""
        timeout_s = check_timeout("timeout_s", options.timeout_s)
        pending = self._send(address, value, None, options)
        self._context.flow.expect_answer()
        try:
            reply = await pending.message.result(timeout_s, f"the reply of {address}", self._context.obstacle)
        finally:
            self._context.flow.end_answer()
            self._cancel(pending)
        assert isinstance(reply, Message)
        return reply

    def stream(
        self, address: str, value: object, options: RequestOptions, buffer_bytes: int, client: object
    ) -> ReplyStream:
        """Return the replies to a request as they come; see :meth:`gateway.client.client.Client.request_stream`.

        Args:
            address: as there.
            value: as there.
            options: as there.
            buffer_bytes: as there.
            client: face of this client, which the replies hold.
        """
        timeout_s = check_timeout("timeout_s", options.timeout_s)

        def send(parts: ReceiveBuffer[Message]) -> PendingRequest:
            return self._send(address, value, parts, options)

        return ReplyStream(
            send,
            self._cancel,
            flow=self._context.flow,
            call_soon=self._context.owner.call_soon,
            obstacle=self._context.obstacle,
            buffer_bytes=buffer_bytes,
            timeout_s=timeout_s,
            client=client,
        )

    def reply_destination(self, correlation: int) -> PendingRequest | None:
        """Return the request that a REPLY answers; None if nobody waits for it any more."""
        return self._pending.get(correlation)

    def refused(self, error: Error) -> bool:
        """Take an ERROR that names a correlation; return whether it does. One that nobody waits for is dropped."""
        if error.correlation is None:
            return False
        pending = self._pending.get(error.correlation)
        if pending is None:
            return True
        message = pending.message
        refusal = RequestRefused(error.code, f"request to {pending.address}: {error.message}")
        if error.code == Code.DRAINING:
            message.restart()
            self._queue_of(pending.address).submit(message)
        elif error.code in UNDELIVERED and message.may_wait(refusal):
            self._queue_of(pending.address).postpone([message], refusal)
        else:
            pending.refuse(refusal)
        return True

    def address_refused(self, error: Error, alias: Alias) -> None:
        """Take an ERROR about an address: its requests are refused one by one, later ones open it again."""
        alias.refuse(RequestRefused(error.code, error.message))
        queue = self._queues.get(alias.name)
        if queue is not None:
            queue.forget(alias)

    def detached(self) -> None:
        """Fail the requests that were sent on the session, which is over; the others go out on the next one."""
        for pending in self._pending.values():
            if pending.message.ended:
                pending.refuse(lost_on_the_way(f"a request to {pending.address}"))

    def _send(
        self,
        address: str,
        value: object,
        parts: ReceiveBuffer[Message] | None,
        options: RequestOptions,
    ) -> PendingRequest:
        expires_in_s = options.expires_in_s
        started_s = time.perf_counter()
        self._context.check()
        if expires_in_s is not None:
            expires_in_s = check_seconds("expires_in_s", expires_in_s, zero=False, maximum=MAX_EXPIRY_S)
        queue = self._queue_of(address)
        loop = asyncio.get_running_loop()
        now_ns = self._now_ns()
        extensions = None if expires_in_s is None else Extensions(deadline_ns=now_ns + int(expires_in_s * 1e9))
        message = OutboundMessage(
            Opcode.REQUEST,
            content_of(value, options.headers),
            now_ns,
            correlation=next(self._correlations),
            chain=parse_codec(options.codec),
            done=loop.create_future(),
            started_s=started_s,
            extensions=extensions,
            clock=None if expires_in_s is None else self._context.clock,
        )
        pending = self._pending[message.correlation] = PendingRequest(address, message, parts)
        if expires_in_s is not None:
            pending.expiry = loop.call_later(expires_in_s, partial(_expire, pending, expires_in_s))
        try:
            queue.submit(message)
        except BaseException:
            self._cancel(pending)
            raise
        return pending

    def _queue_of(self, address: str) -> AddressSendQueue:
        try:
            queue = self._queues.get(address)
        except Exception:  # not even hashable
            check_address(address)
            raise
        if queue is None:
            check_address(address)
            queue = AddressSendQueue(self._context, address)
            self._queues.add(address, queue)
        return queue

    def _cancel(self, pending: PendingRequest) -> None:
        """Forget a request that nobody waits for any more; if the reply has not come, the addressee is told."""
        message = pending.message
        if message.correlation not in self._pending or self._context.owner.forked:
            return
        self._context.owner.check()
        del self._pending[message.correlation]
        assert message.done is not None
        message.done.cancel()
        if pending.expiry is not None:
            pending.expiry.cancel()
        session = self._context.session
        if message.ended and not pending.over and session is not None and session.open:
            session.send((Cancel(0, message.correlation).write(),))


def _expire(pending: PendingRequest, expires_in_s: float) -> None:
    """Fail a request that could not be sent before its deadline; the gateway tells of one that it has."""
    if not pending.message.ended:
        problem = f"request to {pending.address}: it could not be sent within {expires_in_s} s"
        pending.message.fail(RequestRefused(Code.EXPIRED, problem))
