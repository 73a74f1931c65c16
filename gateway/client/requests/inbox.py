"""Inboxes of the client: requests of other clients, to be replied to (spec section 8)."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Self

from gateway.client.messages.message import Message, plain_message_of
from gateway.client.messages.receive_buffer import ReceiveBuffer
from gateway.client.opened import AsyncOpened
from gateway.client.report import call_back
from gateway.client.sending.content import Headers
from gateway.protocol.arguments import check_callback, check_text
from gateway.protocol.wire import FLAG_FAILED, FLAG_MORE

Reply = Callable[["Request", object, Headers, str, int], Awaitable[None]]
"""Function that sends a reply: (request, value, headers, codec, flags)."""


class Request(Message):
    """A message whose sender waits for a reply.

    It takes any number of :meth:`reply_partial`, and then one :meth:`reply` or :meth:`fail`. A copy by ``pickle`` or
    ``deepcopy`` is a plain message, which cannot be replied to.

    Attributes:
        session: session that the request came on, which is the only one that can carry the reply.
    """

    __slots__ = ("__weakref__", "_cancelled", "_client", "_on_cancel", "_reply", "session")

    def __init__(self, message: Message, session: object, reply: Reply) -> None:
        self.copy_from(message)
        self.session = session
        self._reply = reply
        self._cancelled = asyncio.Event()
        self._on_cancel: list[Callable[[], object]] = []
        self._client: object = None

    def __reduce__(self) -> tuple[object, ...]:
        return plain_message_of, (plain_message_of(self),)

    def hold(self, client: object) -> None:
        """Keep the client until the request is answered: the program has got it."""
        self._client = client

    @property
    def cancelled(self) -> bool:
        """True if the client that sent the request no longer wants the reply: replies are dropped."""
        return self._cancelled.is_set()

    async def wait_cancelled(self) -> None:
        """Wait until the request is cancelled, or the connection on which it came is lost."""
        await self._cancelled.wait()

    def on_cancel(self, callback: Callable[[], object]) -> None:
        """Call ``callback`` on the client's loop when the request is cancelled; at once if it is cancelled already."""
        check_callback("callback", callback, required=True)
        if self.cancelled:
            call_back(callback)
        else:
            self._on_cancel.append(callback)

    def cancel(self) -> None:
        """Mark the request as cancelled: its requester no longer wants the reply, or cannot get it."""
        if not self.cancelled:
            self._cancelled.set()
            callbacks, self._on_cancel = self._on_cancel, []
            for callback in callbacks:
                call_back(callback)

    async def reply_partial(self, value: object = None, *, headers: Headers = None, codec: str = "auto") -> None:
        """Reply in part, as :meth:`reply`: the asker's ``request_stream`` yields the part, and waits for more."""
        await self._reply(self, value, headers, codec, FLAG_MORE)

    async def reply(self, value: object = None, *, headers: Headers = None, codec: str = "auto") -> None:
        """Reply. Returns when the reply is written; a large one, when the gateway has taken it.

        A large reply waits until the asker's queue at the gateway has room for it.

        A reply that nobody wants any more (:attr:`cancelled`) is dropped. One that cannot reach the asker, because the
        connection on which the request came is gone, is dropped and reported to the client's ``on_error``: the gateway
        has told the asker already, or has given the request to another member of the group.

        Args:
            value: an array-like, a mapping of names to array-likes, or None.
            headers: JSON values by name.
            codec: see :meth:`gateway.client.client.Client.publish`.

        Raises:
            UsageError: the value, headers or codec cannot be used.
        """
        await self._reply(self, value, headers, codec, 0)
        self._client = None

    async def fail(self, error: str) -> None:
        """Reply that the request failed; the asker's ``client.request`` raises ``RequestFailed`` with this text."""
        check_text("error", error, "it must be a string, such as str(exception)")
        await self._reply(self, None, {"error": error}, "none", FLAG_FAILED)
        self._client = None


class InboxCore:
    """Inbox without its iterator. The client holds it, and it does not hold the inbox that the program holds.

    Args:
        address: ``agent:<client_id>`` or ``group:<name>``; empty for the client's own before it is connected.
        number: number of the subscription.
        buffer: requests that wait for the program.

    Attributes:
        address: see above.
        number: see above.
        buffer: see above.
        late: requests that arrived after the inbox was closed.
        ending: closes it when the program has dropped it.
    """

    __slots__ = ("address", "buffer", "ending", "late", "number")

    def __init__(self, address: str, number: int, buffer: ReceiveBuffer[Request]) -> None:
        self.address = address
        self.number = number
        self.buffer = buffer
        self.late: list[Request] = []
        self.ending: asyncio.Task[None] | None = None

    def same_as(self, address: str, number: int) -> bool:
        """Return whether an inbox with this address and number is the same inbox at the gateway."""
        return self.address == address or self.number == number


class Inbox(AsyncOpened):
    """Requests to this client, or to a group of which it is a member; made by ``client.inbox``.

    ``async with`` opens and closes it.

    Args:
        core: what arrives.
        start: opens it.
        stop: closes it.
        client: kept as long as the inbox, and by each request that the program has not answered: a client that the
            program has dropped is closed.

    Attributes:
        core: see above.
    """

    def __init__(
        self,
        core: InboxCore,
        *,
        start: Callable[[InboxCore], Awaitable[None]],
        stop: Callable[[InboxCore], Awaitable[None]],
        client: object,
    ) -> None:
        self.core = core
        self._start = start
        self._stop = stop
        self._client = client
        self._starting: asyncio.Future[None] | None = None

    async def start(self) -> None:
        """Open the inbox, unless that was done already. ``async with`` and iterating do it by themselves.

        While the client reconnects, it waits for the next connection, without a time limit. A start whose caller is
        cancelled goes on; a later call waits for its end.
        """
        if self._starting is None:
            # A task: the gateway may have the inbox already when the caller is cancelled.
            self._starting = asyncio.ensure_future(self._start(self.core))
            self._starting.add_done_callback(_take_error)
        await asyncio.shield(self._starting)

    async def close(self) -> None:
        """Close the inbox: no more requests are taken. May be called twice."""
        if not self.core.buffer.over:
            self.core.buffer.end()
            if self._starting is not None:
                await self._stop(self.core)

    async def next(self) -> Request:
        """Wait for the next request whose asker still wants a reply, and return it.

        Raises:
            StopAsyncIteration: there are no more.
            FrysError: the inbox cannot be opened any more.
        """
        while (request := await self.core.buffer.next()).cancelled:
            pass
        request.hold(self._client)
        return request

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Request:
        if not self.core.buffer.over:
            await self.start()
        return await self.next()


def _take_error(starting: asyncio.Future[None]) -> None:
    """Mark the error of a start as seen: the caller may have been cancelled."""
    if not starting.cancelled():
        starting.exception()
