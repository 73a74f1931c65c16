"""Requests and replies of the blocking client: see :mod:`gateway.client.requests.inbox` and ``reply_stream``."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from types import TracebackType
from typing import Self, TypeVar

from gateway.client.messages import message
from gateway.client.messages.message import plain_message_of
from gateway.client.opened import Opened
from gateway.client.owner import OneProcess
from gateway.client.report import call_back, keeping
from gateway.client.requests import inbox, reply_stream
from gateway.client.sync.blocking import blocking, closing
from gateway.client.sync.loop_thread import LoopThread
from gateway.client.sync.message import Message, blocking_message
from gateway.client.time_limit import TimeLimit
from gateway.errors import ConnectionFailed
from gateway.protocol.arguments import check_callback, check_timeout

T = TypeVar("T")


class Request(Message):
    """A message whose sender waits for a reply; see :class:`gateway.client.requests.inbox.Request`."""

    __slots__ = ("_source", "_thread")

    _thread: LoopThread

    def __init__(self, thread: LoopThread, source: inbox.Request) -> None:
        self.copy_from(source)
        self._thread = thread
        self._source = source

    def __reduce__(self) -> tuple[object, ...]:
        return blocking_message, (plain_message_of(self),)

    @property
    def cancelled(self) -> bool:
        """True if nobody wants the reply any more: a program that works long looks at it now and then."""
        return self._source.cancelled

    def wait_cancelled(self, timeout_s: float | None = None) -> bool:
        """Wait until nobody wants the reply any more, for ``timeout_s`` at most. Return whether that is so."""
        wait = self._wait_cancelled(check_timeout("timeout_s", timeout_s))
        return self._thread.run_unless_closed(wait, lambda error: self.cancelled)

    def on_cancel(self, callback: Callable[[], object]) -> None:
        """Call ``callback`` when nobody wants the reply any more: on the client's thread, as long as it runs."""
        check_callback("callback", callback, required=True)
        if self._thread.alive:
            self._thread.call_soon(lambda: self._source.on_cancel(callback))
        elif self.cancelled:
            call_back(callback)

    reply_partial = blocking(inbox.Request.reply_partial)

    reply = blocking(inbox.Request.reply)

    fail = blocking(inbox.Request.fail)

    async def _wait_cancelled(self, timeout_s: float | None) -> bool:
        try:
            with TimeLimit(timeout_s):
                await self._source.wait_cancelled()
        except TimeoutError:
            pass
        return self._source.cancelled


class Inbox(Opened):
    """Requests to this client or a group, to be iterated in a ``for`` loop; ``with`` opens and closes it."""

    def __init__(self, thread: LoopThread, source: inbox.Inbox) -> None:
        self._thread = thread
        self._source = source

    start = blocking(inbox.Inbox.start)

    close = closing(inbox.Inbox.close)

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> Request:
        request = self._thread.run_unless_closed(_next(self._source), lambda error: None)
        if request is None:
            raise StopIteration
        return Request(self._thread, request)


class ReplyStream(OneProcess):
    """Replies to one request as they come, to be iterated in a ``for`` loop.

    See :class:`gateway.client.requests.reply_stream.ReplyStream`.
    """

    def __init__(self, thread: LoopThread, source: reply_stream.ReplyStream) -> None:
        self._thread = thread
        self._source = source

    close = closing(reply_stream.ReplyStream.aclose)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with keeping(error):
            self.close()

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> Message:
        part = self._thread.run_unless_closed(_next(self._source), self._rest)
        if part is None:
            raise StopIteration
        return blocking_message(part)

    def _rest(self, error: ConnectionFailed) -> message.Message | None:
        """Return the next reply of a closed client; raise if the replies were cut off."""
        if not self._source.buffer.over:
            raise error
        return next(iter(self._source.buffer.rest(1)), None)


async def _next(source: AsyncIterator[T]) -> T | None:
    return await anext(source, None)
