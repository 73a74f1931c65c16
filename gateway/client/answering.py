"""Answers the requests of other clients (spec section 8): fills the inbox, sends the replies."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from typing import Final

from gateway.client.arrival import Arrival
from gateway.client.codec_choice import parse_codec
from gateway.client.content import Headers, content_of
from gateway.client.in_order import InOrder
from gateway.client.inbox import Inbox, Request
from gateway.client.job import Job
from gateway.client.lane import Lane
from gateway.client.message import Message
from gateway.client.outlet import Outlet
from gateway.client.session import Session
from gateway.errors import Code, ConnectionFailed, FrysError, RequestRefused, UsageError
from gateway.protocol.messages import Subscribe, Unsubscribe
from gateway.protocol.names import inbox_of
from gateway.protocol.wire import FLAG_FAILED, Buffer, Opcode

INBOX_NUMBER: Final = 0
"""The inbox's subscription number; those of streams start at 1."""


class ReplyLane(Lane):
    """The replies to one peer, on the session on which it asked."""

    def __init__(self, outlet: Outlet, peer: int, session: Session) -> None:
        super().__init__(outlet, f"peer {peer}")
        self._peer = peer
        self._session = session

    def _ready(self) -> Session | None:
        # Also after GO_AWAY, which ends no request that is under way.
        return self._session if self._session.open else None

    async def _wait_ready(self) -> Session:
        if not self._session.open:
            raise ConnectionFailed("the connection on which the request came is gone")
        return self._session

    def _begin(self, session: Session, job: Job) -> tuple[int, int, list[Buffer]]:
        return self._peer, job.correlation, []

    def _written(self, job: Job) -> None:
        job.finish(None)


class RequestDestination:
    """Where the REQUEST frames of one session go when they are decoded."""

    def __init__(self, answering: Answering, session: Session) -> None:
        self.order: InOrder[Buffer] = InOrder()
        self._answering = answering
        self._session = session
        self._address = inbox_of(session.welcome.client_id)

    def deliver(self, arrival: Arrival, payload: Buffer) -> None:
        """Into the inbox."""
        message = arrival.item(self._address, None, 0, payload)
        assert isinstance(message, Message)
        self._answering.requested(message, self._session)

    def fail(self, error: Exception, arrival: Arrival | None) -> None:
        """A request that cannot be read: the asker hears so."""
        if arrival is None:
            self._answering.broken(error, None, self._session)
        else:
            frame = arrival.frame
            empty = Message(
                self._address, None, 0, arrival.offset, frame.publisher, frame.timestamp_ns, 0, None, (), b""
            )
            self._answering.broken(error, empty, self._session)

    def advanced(self, received_bytes: int, payload_bytes: int) -> None:
        """A large request grows; nobody is told."""


class Answering:
    """The inbox and the replies, over as many sessions as there are."""

    def __init__(self, outlet: Outlet, now_ns: Callable[[], int]) -> None:
        self._outlet = outlet
        self._now_ns = now_ns
        self._lanes: dict[int, ReplyLane] = {}
        self._inbox: Inbox | None = None

    def open_inbox(self, buffer_bytes: int) -> Inbox:
        """See :meth:`gateway.client.client.Client.inbox`."""
        if self._inbox is not None and not self._inbox.feed.over:
            raise UsageError("this client's inbox is open already")
        self._inbox = Inbox(intake=self._outlet.intake, start=self._start, stop=self._stop, buffer_bytes=buffer_bytes)
        return self._inbox

    def requested(self, message: Message, session: Session) -> None:
        """A request arrived."""
        if self._inbox is None or self._inbox.feed.over:
            self.broken(RequestRefused(Code.NO_SUCH_PEER, "the inbox is closed"), message, session)
        else:
            self._inbox.feed.put(Request(message, session, self._reply))

    def broken(self, error: Exception, message: Message | None, session: Session) -> None:
        """A request arrived that cannot be given to the application."""
        self._outlet.report(error)
        if message is not None:
            self._outlet.start(Request(message, session, self._reply).fail(f"the request was not taken: {error}"))

    def attached(self, session: Session) -> None:
        """A new session: open the inbox again."""
        if self._inbox is not None and self._inbox.started and not self._inbox.feed.over:
            self._outlet.start(self._resume(session, self._inbox))

    def detached(self) -> None:
        """The session is over, and with it whoever asked on it."""
        self._lanes.clear()

    def close(self, error: FrysError | None) -> None:
        """The client is closed."""
        if self._inbox is not None:
            self._inbox.feed.end(error)

    async def _reply(self, request: Request, value: object, headers: Headers, codec: str, failed: bool) -> None:
        job = Job(
            Opcode.REPLY,
            content_of(value, headers),
            self._now_ns(),
            flags=FLAG_FAILED if failed else 0,
            correlation=request.offset,
            chain=parse_codec(codec),
            done=asyncio.get_running_loop().create_future(),
        )
        session = request.session
        if not isinstance(session, Session) or session is not self._outlet.session:
            self._outlet.report(ConnectionFailed(f"the reply to {request!r} was dropped: its connection is gone"))
            return
        lane = self._lanes.get(request.publisher)
        if lane is None:
            lane = self._lanes[request.publisher] = ReplyLane(self._outlet, request.publisher, session)
        lane.submit(job)
        try:
            await job.result(None, "")
        except ConnectionFailed as error:
            self._outlet.report(ConnectionFailed(f"the reply to {request!r} was dropped: {error}"))
        if lane.idle and self._lanes.get(request.publisher) is lane:
            del self._lanes[request.publisher]

    async def _start(self, inbox: Inbox) -> None:
        session = await self._outlet.wait_ready()
        try:
            await self._ask(session)
        except ConnectionFailed:
            await self._outlet.wait_ready()  # attached() has asked again, or there is no way to

    async def _stop(self, inbox: Inbox) -> None:
        session = self._outlet.session
        if session is not None:
            # Lost or refused, the gateway has no inbox of ours any more.
            with contextlib.suppress(ConnectionFailed, RequestRefused):
                await self._outlet.ask(session, lambda request: Unsubscribe(request, INBOX_NUMBER))

    async def _resume(self, session: Session, inbox: Inbox) -> None:
        if inbox.feed.over:  # closed meanwhile
            return
        try:
            await self._ask(session)
        except RequestRefused as error:
            inbox.feed.end(error)
        except ConnectionFailed:
            pass  # this session is over as well; the next one asks again

    async def _ask(self, session: Session) -> None:
        pattern = inbox_of(session.welcome.client_id)
        await self._outlet.ask(session, lambda request: Subscribe(request, INBOX_NUMBER, pattern))
