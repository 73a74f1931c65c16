"""Answers: requests of a session that the gateway has yet to answer (spec sections 3.2, 4.2, 4.11, 7.7 and 16.1)."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace

from gateway.errors import Code, ConnectionFailed, RequestRefused
from gateway.protocol.messages import (
    Account,
    Authenticated,
    Counts,
    Deleted,
    Error,
    SessionMessage,
    Subscribed,
    Unsubscribed,
)
from gateway.protocol.presence import Attending

Answer = Authenticated | Subscribed | Unsubscribed | Account | Deleted | Attending
Asked = SessionMessage | Iterator[SessionMessage]
"""Request in one message, or in the parts that make it up."""


class Answers:
    """Answers that a session awaits, by the number of the request.

    Args:
        send: sends a message with a JSON body, and raises what :meth:`ask` raises.
        drained: waits until there is room to write, and raises ``ConnectionFailed`` if the session has ended.
    """

    def __init__(self, send: Callable[[SessionMessage], object], drained: Callable[[], Awaitable[None]]) -> None:
        self._send = send
        self._drained = drained
        self._awaited: dict[int, asyncio.Future[Answer]] = {}
        self._callbacks: dict[int, Callable[[Answer], object]] = {}
        self._streams: dict[int, dict[str, Counts]] = {}
        """Accounts of which parts have come."""
        self._abandoned: set[int] = set()
        """Requests that were cancelled between two parts: the gateway may say that the rest is missing."""
        self._next_number = 1
        self._turn = asyncio.Lock()
        """Held by the request whose parts are being sent: those of two requests may not mix."""

    async def ask(self, request: Callable[[int], Asked], answered: Callable[[Answer], object] | None = None) -> Answer:
        """Send a request, wait for its answer and return it.

        Args:
            request: makes the message from the number that the answer will repeat; or its parts, of which each is made
                when there is room to write it. The loop has a turn behind each.
            answered: called with the answer before the next frame is handled.

        Raises:
            RequestRefused: the gateway refused the request, or takes none so large.
            ConnectionFailed: the session ended before the answer came.
        """
        number, self._next_number = self._next_number, self._next_number + 1
        with self._expected(number, answered) as answer:
            made = request(number)
            if isinstance(made, Iterator):
                await self._send_parts(number, made)
            else:
                self._send(made)
            try:
                return await answer
            finally:
                del answer  # its error refers by its traceback to this call: together they would wait for the collector

    def received(self, answer: Answer) -> None:
        """Hand an answer to its request; keep the parts of one that others follow."""
        number = answer.request
        waiting = self._awaited.get(number)
        if waiting is None or waiting.done():
            return
        if isinstance(answer, Account):
            if answer.more:
                self._streams.setdefault(number, {}).update(answer.streams or {})
                return
            answer = replace(answer, streams=self._joined(number, answer.streams))
        callback = self._callbacks.get(number)
        if callback is not None:
            callback(answer)
        waiting.set_result(answer)

    def refused(self, error: Error) -> bool:
        """Hand a refusal to its request; return whether it answers one of these."""
        if error.request in self._abandoned:
            self._abandoned.discard(error.request)
            return True
        answer = None if error.request is None else self._awaited.get(error.request)
        if answer is None:
            return False
        if not answer.done():
            if error.code == Code.DRAINING:
                # The request is valid: it is repeated on the next connection.
                answer.set_exception(ConnectionFailed(error.message))
            else:
                answer.set_exception(RequestRefused(error.code, error.message))
        return True

    def fail(self, error: ConnectionFailed) -> None:
        """Fail all requests: no answer will come."""
        for answer in self._awaited.values():
            if not answer.done():
                answer.set_exception(error)

    async def _send_parts(self, number: int, parts: Iterator[SessionMessage]) -> None:
        async with self._turn:
            try:
                for part in parts:
                    self._send(part)
                    await self._drained()
                    await asyncio.sleep(0)
            except asyncio.CancelledError:
                self._abandoned.add(number)
                raise

    def _joined(self, number: int, streams: Mapping[str, Counts] | None) -> Mapping[str, Counts] | None:
        before = self._streams.pop(number, None)
        if before is None:
            return streams
        before.update(streams or {})
        return before

    @contextmanager
    def _expected(self, number: int, answered: Callable[[Answer], object] | None) -> Iterator[asyncio.Future[Answer]]:
        answer: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        self._awaited[number] = answer
        if answered is not None:
            self._callbacks[number] = answered
        try:
            yield answer
        finally:
            for kept in (self._awaited, self._callbacks, self._streams):
                kept.pop(number, None)
            if answer.done() and not answer.cancelled():
                answer.exception()  # it may have failed while its parts were sent, which has raised the same
