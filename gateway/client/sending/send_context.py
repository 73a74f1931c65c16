"""Send context: the present session, or the wait for the next, and the state that all senders share over sessions."""

from __future__ import annotations

import asyncio
import itertools
import sys
from collections.abc import Callable, Coroutine, Iterator, Sequence
from contextlib import contextmanager
from copy import copy
from functools import partial
from typing import Any, Final

from gateway.client.messages.read_flow_control import ReadFlowControl
from gateway.client.owner import Owner
from gateway.client.report import ErrorReport
from gateway.client.sending.alias import MAX_ALIASES, Aliases
from gateway.client.sending.content import Content, CopyRooms, copy_into
from gateway.client.sending.outbound_message import OutboundMessage
from gateway.client.sending.resumptions import Resumptions
from gateway.client.sending.transfer_room import TransferRoom
from gateway.client.session.answers import Answer, Asked
from gateway.client.session.gateway_clock import GatewayClock
from gateway.client.session.outage import Outage
from gateway.client.session.session import Session
from gateway.client.time_limit import TimeLimit
from gateway.client.transmission_result import PublishScores
from gateway.errors import Code, ConnectionFailed, FrysError, RequestRefused, RequestTimeout, UsageError
from gateway.protocol.arguments import check_timeout
from gateway.protocol.frames import bytes_of
from gateway.protocol.wire import Buffer

LOOK_AGAIN_S: Final = 0.02
"""Interval in which a message that waits for an alias looks for an unused one. All of them take turns."""
MAX_TRANSFERS: Final = 32
"""Large messages under way at a time: half of what a gateway allows by default (spec section 13)."""


class SendContext:
    """The way out for all messages of a client. It outlives sessions.

    Args:
        flow: see below.
        report: see below.
        owner: see below.

    Attributes:
        session: the present session, or None.
        outage: time without a session.
        clock: clock of the gateway that was last connected.
        aliases: aliases of the present session.
        scores: scores of the publishes of the present session.
        flow: flow control of the socket; it counts the answers that are awaited.
        report: for errors that nobody waits for.
        owner: process and event loop that may use the client.
        max_message_bytes: payload of the largest message that the gateway takes, as far as it has told; None before.
        max_batch_bytes: payload of the largest record batch that it takes: a batch has one frame.
        transfer_room: room for large messages, taken while one is under way.
        resumptions: the gateway's answers about large messages that were cut.
        copy_rooms: memory for copies of large messages.
        cancelled: sending work was cancelled by :meth:`cancel`.
        unsent: messages that nobody waits for, and that this work would have sent.
    """

    def __init__(self, flow: ReadFlowControl, report: ErrorReport, owner: Owner) -> None:
        self.session: Session | None = None
        self.outage = Outage()
        self.clock = GatewayClock()
        self.aliases = Aliases()
        self.scores = PublishScores()
        self.flow = flow
        self.report = report
        self.owner = owner
        self.max_message_bytes: int | None = None
        self.max_batch_bytes = sys.maxsize
        self.transfer_room = TransferRoom(MAX_TRANSFERS)
        self.resumptions = Resumptions()
        self.copy_rooms = CopyRooms()
        self._transfers = itertools.count(1)
        self._alias_turn = asyncio.Lock()
        self._changed = asyncio.Event()
        self._error: FrysError | None = None
        self._room = bytearray()
        self.cancelled = False
        self.unsent = 0
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def ready(self) -> Session | None:
        """The session, if new messages may be written to it now."""
        session = self.session
        return session if session is not None and session.open and not session.draining else None

    async def wait_ready(self) -> Session:
        """Wait for a session that takes new messages, and return it.

        Raises:
            FrysError: there will be no session any more.
        """
        while True:
            self.check()
            if (session := self.ready) is not None:
                return session
            self._changed.clear()
            await self._changed.wait()

    def obstacle(self) -> str:
        """Return the reason for which a message waits that could not be sent until now."""
        if self.session is None:
            return str(self.outage)
        if self.session.draining:
            return "the gateway is going away, and takes nothing new on this connection"
        return "there is no room, or receivers are slow with those before it"

    @contextmanager
    def within(self, timeout_s: float | None, waited_for: str) -> Iterator[TimeLimit]:
        """Bound the time in which a call waits for a connection, and for the answer to its request.

        Args:
            timeout_s: longest time without progress; None: no limit.
            waited_for: name of the answer for the error.

        Raises:
            InvalidArgument: ``timeout_s`` is no time.
            RequestTimeout: the time is over.
        """
        timeout_s = check_timeout("timeout_s", timeout_s)
        try:
            with TimeLimit(timeout_s) as limit:
                yield limit
        except TimeoutError as error:
            if isinstance(error, FrysError):
                raise
            problem = f"{waited_for} did not come within {timeout_s} s"
            raise RequestTimeout(problem if self.ready is not None else f"{problem}: {self.obstacle()}") from None

    def check_size(self, name: str, payload_bytes: int) -> None:
        """Check the payload of a message to ``name``.

        Raises:
            RequestRefused: ``MESSAGE_TOO_BIG``.
        """
        limit = self.max_message_bytes
        if limit is not None and payload_bytes > limit:
            problem = f"{name}: payload of {payload_bytes} bytes exceeds max_message_bytes={limit} of the gateway"
            raise RequestRefused(Code.MESSAGE_TOO_BIG, f"{problem}: raise it, or split the tensor")

    def copied(self, content: Content, name: str) -> Buffer:
        """Return the payload of a message to ``name`` as it was at one moment, valid until the next call.

        Raises:
            UsageError: another thread writes to it all the time.
        """
        return content.copied(self._room_of(content.payload_bytes), name)

    def joined(self, buffers: Sequence[Buffer]) -> list[Buffer]:
        """Return a copy of buffers that are a chunk, valid until the next call of this or of :meth:`copied`."""
        return [copy_into(self._room_of(bytes_of(buffers)), buffers)]

    def _room_of(self, size: int) -> bytearray:
        if len(self._room) < size:
            self._room = bytearray(size)
        return self._room

    def attach(self, session: Session) -> None:
        """Begin to use a new session."""
        self.session = session
        self.clock = session.clock
        limits = session.welcome.limits
        self.transfer_room.max_bytes = limits.max_unfinished_bytes
        self.aliases.limit = MAX_ALIASES if limits.max_aliases is None else limits.max_aliases
        self.max_message_bytes = limits.max_message_bytes
        self.max_batch_bytes = min(limits.max_message_bytes, session.chunk_bytes)
        self.scores = PublishScores()
        self._changed.set()

    def detach(self, reason: str) -> None:
        """Give up the session, which is over for a reason; another may follow."""
        self.session = None
        self.outage.begin(reason)
        self.resumptions.fail(ConnectionFailed("the connection was lost"))

    def close(self, error: FrysError) -> None:
        """End all waits for a session with ``error``: none will follow."""
        self._error = error
        self._changed.set()
        # The parts of a closed client refer to each other, and wait for the collector.
        self.copy_rooms.clear()
        self._room = bytearray()

    def fork(self, error: UsageError) -> None:
        """Refuse all use: this is a forked process."""
        self._error = error
        self.session = None

    def check(self) -> None:
        """Raise unless the program may use the client now.

        Raises:
            FrysError: the error that :meth:`close` was given, if it was called.
            UsageError: the client belongs to another process or event loop.
        """
        if self._error is not None:
            # A copy: the traceback refers to the call, and by that to its payload, which the client is not to keep.
            raise copy(self._error)
        self.owner.check()

    async def ask(
        self,
        session: Session,
        request: Callable[[int], Asked],
        answered: Callable[[Answer], object] | None = None,
    ) -> Answer:
        """Send a request of the session and wait for its answer; the socket is read until it comes.

        See :meth:`gateway.client.session.session.Session.ask`.
        """
        self.flow.expect_answer()
        try:
            return await session.ask(request, answered)
        finally:
            self.flow.end_answer()

    async def wait_alias(self, session: Session, message: OutboundMessage, name: str) -> None:
        """Wait until there is an alias for a message to ``name``; the caller opens it at once.

        Raises:
            ConnectionFailed: the session ended first, or nobody waits for the message any more.
        """
        async with self._alias_turn:
            earlier = message.postponed
            while True:
                # First: there is room as soon as a session has ended, and an alias of that one would never be answered.
                if not session.open:
                    raise ConnectionFailed("the connection was lost")
                if message.abandoned:
                    raise ConnectionFailed(f"sending to {name} was abandoned")
                if self.aliases.look_again():
                    break
                message.postponed = self.aliases.full(name)
                await asyncio.sleep(LOOK_AGAIN_S)
            message.postponed = earlier

    def next_transfer(self) -> int:
        """Return a new number for a large message (u32)."""
        return next(self._transfers) & 0xFFFF_FFFF

    def start(self, work: Coroutine[Any, Any, None], ended: Callable[[], object] | None = None) -> asyncio.Task[None]:
        """Run sending work as a task of its own, and return the task.

        Args:
            work: the work.
            ended: called when the task has ended, also if :meth:`cancel` came before it began.
        """
        task = self.owner.start(work)
        self._tasks.add(task)
        task.add_done_callback(partial(self._finished, ended))
        return task

    def _finished(self, ended: Callable[[], object] | None, task: asyncio.Task[None]) -> None:
        """Forget a task; report an error that it did not handle."""
        self._tasks.discard(task)
        error = None if task.cancelled() else task.exception()
        if isinstance(error, Exception):
            self.report(error)
        if ended is not None:
            ended()

    async def idle(self) -> None:
        """Wait until no sending work runs and there is room to write."""
        while self._tasks:
            await asyncio.wait(self._tasks)
        if self.session is not None:
            await self.session.drained()

    async def cancel(self) -> None:
        """Cancel all sending work, and wait for its end."""
        self.cancelled = True
        for task in self._tasks:
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks)
