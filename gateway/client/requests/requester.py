"""Requests to other clients (spec section 8)."""

from __future__ import annotations

import asyncio
import itertools
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from gateway.client.messages.message import Message
from gateway.client.messages.receive_buffer import ReceiveBuffer
from gateway.client.requests.pending_request import PendingRequest
from gateway.client.requests.reply_stream import ReplyStream
from gateway.client.sending.alias import Alias
from gateway.client.sending.codec_choice import parse_codec
from gateway.client.sending.content import Headers, content_of
from gateway.client.sending.outbound_message import OutboundMessage, lost_on_the_way
from gateway.client.sending.send_context import SendContext
from gateway.client.sending.send_queue import SendQueue
from gateway.client.session.session import Session
from gateway.errors import Code, InvalidArgument, RequestRefused
from gateway.protocol.extensions import Extensions
from gateway.protocol.messages import Error
from gateway.protocol.names import check_address
from gateway.protocol.signals import Cancel
from gateway.protocol.wire import Buffer, Opcode


class AddressSendQueue(SendQueue):
    """The requests to one address, under the alias that it has on the present session."""

    _alias: Alias | None = None

    def forget(self, alias: Alias) -> None:
        """The gateway refused to open the address: the next request asks again."""
        if self._alias is alias:
            self._alias = None

    def _begin(self, session: Session, job: OutboundMessage) -> tuple[int, int, list[Buffer]]:
        before: list[Buffer] = []
        alias = self._alias
        if alias is None or alias.session is not session:
            alias = self._alias = self._context.aliases.open(session, self.name)
            before.append(alias.opening())
        return alias.number, job.correlation, before

    def _written(self, job: OutboundMessage) -> None:
        if job.abandoned and self._alias is not None:  # while its END was under way
            self._alias.session.send((Cancel(0, job.correlation).write(),))


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestOptions:
    """Keyword arguments of :meth:`gateway.client.client.Client.request`, which explains them."""

    headers: Headers
    codec: str
    timeout_s: float | None
    expires_in_s: float | None


class Requester:
    """What a client asks others, over as many sessions as there are."""

    def __init__(self, context: SendContext, now_ns: Callable[[], int]) -> None:
        self._context = context
        self._now_ns = now_ns
        self._queues: dict[str, AddressSendQueue] = {}
        self._correlations = itertools.count(1)
        self._asked: dict[int, PendingRequest] = {}

    async def request(self, address: str, value: object, options: RequestOptions) -> Message:
        """See :meth:`gateway.client.client.Client.request`."""
        pending = self._ask(address, value, None, options)
        self._context.flow.expect_answer()
        try:
            reply = await pending.job.result(options.timeout_s, f"the reply of {address}")
        finally:
            self._context.flow.end_answer()
            self._call_off(pending)
        assert isinstance(reply, Message)
        return reply

    def stream(self, address: str, value: object, options: RequestOptions, buffer_bytes: int) -> ReplyStream:
        """See :meth:`gateway.client.client.Client.request_stream`."""

        def ask(parts: ReceiveBuffer[Message]) -> PendingRequest:
            return self._ask(address, value, parts, options)

        return ReplyStream(
            ask, self._call_off, flow=self._context.flow, buffer_bytes=buffer_bytes, timeout_s=options.timeout_s
        )

    def reply_destination(self, correlation: int) -> PendingRequest | None:
        """Where a REPLY goes; None if nobody waits for it any more."""
        return self._asked.get(correlation)

    def refused(self, error: Error) -> bool:
        """An ERROR that names a correlation. Returns whether it did; one that nobody waits for any more is dropped."""
        if error.correlation is None:
            return False
        if error.peer is not None:
            problem = f"the reply to request {error.correlation} of peer {error.peer}: {error.message}"
            self._context.report(RequestRefused(error.code, problem))
            return True
        pending = self._asked.get(error.correlation)
        if pending is not None and error.code == Code.DRAINING and pending.address in self._queues:
            pending.job.restart()
            self._queues[pending.address].submit(pending.job)
        elif pending is not None:
            pending.refuse(RequestRefused(error.code, f"request to {pending.address}: {error.message}"))
        return True

    def address_refused(self, error: Error, alias: Alias) -> None:
        """An ERROR about an address that was opened: its requests are refused one by one, later ones ask again."""
        queue = self._queues.get(alias.name)
        if queue is not None:
            queue.forget(alias)

    def detached(self) -> None:
        """The session is over. Requests that were sent will not be answered; the others go out on the next one."""
        for pending in self._asked.values():
            if pending.job.ended:
                pending.refuse(lost_on_the_way(f"a request to {pending.address}"))

    def _ask(
        self,
        address: str,
        value: object,
        parts: ReceiveBuffer[Message] | None,
        options: RequestOptions,
    ) -> PendingRequest:
        expires_in_s = options.expires_in_s
        started_s = time.perf_counter()
        self._context.check()
        if expires_in_s is not None and not expires_in_s > 0:
            raise InvalidArgument(f"expires_in_s={expires_in_s}: it must be above 0")
        queue = self._queues.get(address)
        if queue is None:
            queue = self._queues[check_address(address)] = AddressSendQueue(self._context, address)
        loop = asyncio.get_running_loop()
        now_ns = self._now_ns()
        extensions = None if expires_in_s is None else Extensions(deadline_ns=now_ns + int(expires_in_s * 1e9))
        job = OutboundMessage(
            Opcode.REQUEST,
            content_of(value, options.headers),
            now_ns,
            correlation=next(self._correlations),
            chain=parse_codec(options.codec),
            done=loop.create_future(),
            started_s=started_s,
            extensions=extensions,
        )
        pending = self._asked[job.correlation] = PendingRequest(address, job, parts)
        if expires_in_s is not None:
            pending.expiry = loop.call_later(expires_in_s, partial(_expire, pending, expires_in_s))
        queue.submit(job)
        return pending

    def _call_off(self, pending: PendingRequest) -> None:
        """Nobody waits for the answer any more: if it has not come, whoever works on it is told."""
        job = pending.job
        if self._asked.pop(job.correlation, None) is None:
            return
        assert job.done is not None
        job.done.cancel()
        if pending.expiry is not None:
            pending.expiry.cancel()
        session = self._context.session
        if job.ended and not pending.over and session is not None and session.open:
            session.send((Cancel(0, job.correlation).write(),))


def _expire(pending: PendingRequest, expires_in_s: float) -> None:
    """The gateway says so of a request that it has; nobody else does of one that it could not be given."""
    if not pending.job.ended:
        problem = f"request to {pending.address}: it could not be sent within {expires_in_s} s"
        pending.job.fail(RequestRefused(Code.EXPIRED, problem))
