"""Reply stream: the replies to one request as they come, the parts and then the last one."""

from __future__ import annotations

import asyncio
import weakref
from collections.abc import Callable
from functools import partial
from types import TracebackType
from typing import Self

from gateway.client.messages.message import Message
from gateway.client.messages.read_flow_control import ReadFlowControl
from gateway.client.messages.receive_buffer import ReceiveBuffer
from gateway.client.owner import OneProcess
from gateway.client.report import keeping
from gateway.client.requests.pending_request import PendingRequest
from gateway.errors import RequestTimeout

Send = Callable[[ReceiveBuffer[Message]], PendingRequest]
"""Function that sends the request, whose replies go to the buffer."""


class ReplyStream(OneProcess):
    """Replies to one request, to be iterated; made by ``client.request_stream``.

    The request is sent when the iteration begins, and cancelled when the stream is closed, or garbage collected, before
    the last reply has come.

    Args:
        send: sends the request.
        cancel: calls it off.
        flow: counts the answers that are awaited, and stops reading when the program does not keep up.
        call_soon: has the client's loop call back.
        obstacle: returns the reason for which a request waits that could not be sent until now.
        buffer_bytes: bound of the replies that wait for the program.
        timeout_s: longest time without progress; None: no limit.
        client: kept as long as the replies: a client that the program has dropped is closed.

    Attributes:
        buffer: replies that wait for the program.
    """

    def __init__(
        self,
        send: Send,
        cancel: Callable[[PendingRequest], None],
        *,
        flow: ReadFlowControl,
        call_soon: Callable[[Callable[[], object]], None],
        obstacle: Callable[[], str],
        buffer_bytes: int,
        timeout_s: float | None,
        client: object,
    ) -> None:
        self.buffer: ReceiveBuffer[Message] = ReceiveBuffer(buffer_bytes, flow)
        self._send = send
        self._cancel = cancel
        self._flow = flow
        self._call_soon = call_soon
        self._obstacle = obstacle
        self._client = client
        self._timeout_s = timeout_s
        self._pending: PendingRequest | None = None

    def start(self) -> None:
        """Send the request, unless that was done already. ``async with`` and iterating do it by themselves."""
        if self._pending is not None:
            return
        pending = self._pending = self._send(self.buffer)
        assert pending.message.done is not None
        pending.message.done.add_done_callback(partial(_end, self.buffer))
        weakref.finalize(self, self._call_soon, partial(self._cancel, pending)).atexit = False

    def close(self) -> None:
        """End the iteration, and cancel the request if its last reply has not come. May be called twice."""
        if self._pending is not None:
            self._cancel(self._pending)
        self.buffer.end()

    async def aclose(self) -> None:
        """End the iteration, and cancel the request if its last reply has not come. May be called twice."""
        self.close()

    async def __aenter__(self) -> Self:
        self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with keeping(error):
            self.close()

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Message:
        self.start()
        assert self._pending is not None
        self._flow.expect_answer()
        try:
            return await self._pending.message.wait(
                self.buffer.next(), self._timeout_s, f"the next reply of {self._pending.address}", self._obstacle
            )
        except StopAsyncIteration:
            raise
        except RequestTimeout:
            part = self.buffer.take()
            if part is None:
                self.close()
                raise
            return part  # it came in the turn in which the limit passed
        except BaseException:
            self.close()
            raise
        finally:
            self._flow.end_answer()


def _end(buffer: ReceiveBuffer[Message], done: asyncio.Future[object]) -> None:
    """End the buffer behind the replies in it: the request is over."""
    error = None if done.cancelled() else done.exception()
    buffer.end(error if isinstance(error, Exception) else None)
