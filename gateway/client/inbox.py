"""The client's inbox: requests of other clients, to be replied to (spec section 8)."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from types import TracebackType
from typing import Self

from gateway.client.content import Headers
from gateway.client.feed import Feed
from gateway.client.intake import Intake
from gateway.client.message import Message

Reply = Callable[["Request", object, Headers, str, bool], Awaitable[None]]
"""Sends (request, value, headers, codec, failed)."""


class Request(Message):
    """A message that somebody waits for an answer to. It takes one :meth:`reply` or :meth:`fail`."""

    __slots__ = ("_reply", "session")

    def __init__(self, message: Message, session: object, reply: Reply) -> None:
        super().__init__(*message.parts())
        self.session = session
        """The session that it came on, which is the only one that can carry the reply."""
        self._reply = reply

    async def reply(self, value: object = None, *, headers: Headers = None, codec: str = "auto") -> None:
        """Answer. Returns when the reply is written; the protocol has no acknowledgement for it.

        A reply that cannot reach the asker any more, because the connection on which the request came is gone, is
        dropped and told to the client's ``on_error``: the gateway has told the asker already.

        Args:
            value: an array-like, a mapping of names to array-likes, or None.
            headers: JSON values by name.
            codec: see :meth:`gateway.client.Client.publish`.

        Raises:
            UsageError: what is to be sent cannot travel.
        """
        await self._reply(self, value, headers, codec, False)

    async def fail(self, error: str) -> None:
        """Answer that the request failed; ``client.request`` raises ``RequestFailed`` with this text."""
        await self._reply(self, None, {"error": error}, "none", True)


class Inbox:
    """The requests to this client. Made by ``client.inbox``; ``async with`` opens and closes it."""

    def __init__(
        self,
        *,
        intake: Intake,
        start: Callable[[Inbox], Awaitable[None]],
        stop: Callable[[Inbox], Awaitable[None]],
        buffer_bytes: int,
    ) -> None:
        self.feed: Feed[Request] = Feed(buffer_bytes, intake)
        self._start = start
        self._stop = stop
        self.started = False

    async def start(self) -> None:
        """Let requests in, unless that was done already. ``async with`` and iterating do it by themselves."""
        if not self.started:
            self.started = True
            await self._start(self)

    async def close(self) -> None:
        """Take no more requests. May be called twice."""
        if not self.feed.over:
            self.feed.end()
            if self.started:
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

    async def __anext__(self) -> Request:
        if not self.started:
            await self.start()
        return await self.feed.next()
