"""Responder: fills the inboxes with the requests of other clients, and sends the replies (spec section 8)."""

from __future__ import annotations

import asyncio
import contextlib
import weakref
from collections.abc import Callable
from functools import partial
from typing import Final

from gateway.client.decoding.inbound_frame import InboundFrame
from gateway.client.messages.message import Message
from gateway.client.messages.receive_buffer import ReceiveBuffer
from gateway.client.requests.inbox import Inbox, InboxCore, Request
from gateway.client.requests.pending_request import ENDED_EARLY
from gateway.client.sending.codec_choice import parse_codec
from gateway.client.sending.content import Headers, content_of
from gateway.client.sending.outbound_message import OutboundMessage
from gateway.client.sending.send_context import SendContext
from gateway.client.sending.send_queue import SendQueue
from gateway.client.session.session import Session
from gateway.errors import Code, ConnectionFailed, FrysError, RequestRefused, UsageError
from gateway.protocol.arguments import check_text
from gateway.protocol.frames import Frame
from gateway.protocol.messages import Error, Subscribe, Unsubscribe
from gateway.protocol.names import GROUP_SCHEME, check_address, inbox_of
from gateway.protocol.reorder_buffer import ReorderBuffer
from gateway.protocol.signals import Cancel
from gateway.protocol.wire import FLAG_FAILED, FLAG_MORE, Buffer, Opcode

INBOX_NUMBER: Final = 0
"""Subscription number of the client's own inbox; those of streams start at 1."""
FIRST_GROUP_NUMBER: Final = 2**31
"""Subscription number of the first inbox of a group."""


class ReplySendQueue(SendQueue):
    """Replies to one peer, on the session on which it asked; ``drained`` is called when none waits any more."""

    def __init__(self, context: SendContext, peer: int, session: Session, drained: Callable[[int], None]) -> None:
        super().__init__(context, f"peer {peer}")
        self._peer = peer
        self._session = session
        self._when_drained = drained

    @property
    def sent(self) -> int:
        """0: replies need no alias."""
        return 0

    def _ready(self) -> Session | None:
        # Also after GO_AWAY, which ends no request that is under way.
        return self._session if self._session.open else None

    async def _wait_ready(self) -> Session:
        if not self._session.open:
            raise ConnectionFailed("the connection on which the request came is gone")
        return self._session

    def _begin(self, session: Session, message: OutboundMessage) -> tuple[int, int, list[Buffer]]:
        return self._peer, message.correlation, []

    def _written(self, message: OutboundMessage) -> None:
        message.finish(None)

    def _drained(self) -> None:
        self._when_drained(self._peer)


class RequestDestination:
    """Destination of the REQUEST frames of one session when they are decoded."""

    def __init__(self, responder: Responder, session: Session) -> None:
        self.order = ReorderBuffer()
        self.bases = None
        self._responder = responder
        self._session = session

    def deliver(self, inbound: InboundFrame, payload: Buffer) -> None:
        """Put a request into the inbox that it was sent to."""
        message = inbound.item(self._address_of(inbound), None, 0, payload)
        assert isinstance(message, Message)
        self._responder.requested(message, inbound.frame.stream, self._session)

    def fail(self, error: Exception, inbound: InboundFrame | None) -> None:
        """Answer a request that cannot be decoded with its error; ignore a request that was cut off (ENDED_EARLY)."""
        if isinstance(error, RequestRefused) and error.code in ENDED_EARLY:
            return
        if inbound is None:
            self._responder.broken(error, None, self._session)
        else:
            frame = inbound.frame
            address = self._address_of(inbound)
            empty = Message(address, None, 0, inbound.offset, frame.publisher, frame.timestamp_ns, 0, None, (), b"")
            self._responder.broken(error, empty, self._session)

    def advanced(self, received_bytes: int, payload_bytes: int) -> None:
        """Ignore that a large request grows."""

    def _address_of(self, inbound: InboundFrame) -> str:
        inbox = self._responder.inboxes.get(inbound.frame.stream)
        return inbox_of(self._session.welcome.client_id) if inbox is None else inbox.address


class Responder:
    """Inboxes and replies of a client, kept across reconnects.

    Args:
        context: the way out.
        now_ns: clock for timestamps.

    Attributes:
        inboxes: inboxes that were started and are not closed, by the numbers of their subscriptions.
    """

    def __init__(self, context: SendContext, now_ns: Callable[[], int]) -> None:
        self._context = context
        self._now_ns = now_ns
        self._queues: dict[int, ReplySendQueue] = {}
        self._next_group_number = FIRST_GROUP_NUMBER
        self.inboxes: dict[int, InboxCore] = {}
        self._held: weakref.WeakValueDictionary[InboxCore, Inbox] = weakref.WeakValueDictionary()
        """Inboxes that the program holds; one that it drops is closed."""
        # Weak: the application needs no cancellation of a request that it has dropped.
        self._open: weakref.WeakValueDictionary[tuple[int, int], Request] = weakref.WeakValueDictionary()
        self._replying: dict[tuple[int, int], OutboundMessage] = {}

    def open_inbox(self, group: str | None, buffer_bytes: int, client: object) -> Inbox:
        """Return a new inbox, which is not started; see :meth:`gateway.client.client.Client.inbox`.

        Args:
            group: as there.
            buffer_bytes: as there.
            client: face of this client, which the inbox holds.
        """
        self._context.check()
        address, number = "", INBOX_NUMBER
        if group is not None:
            check_text("group", group, "a group's name is a string")
            address = check_address(f"{GROUP_SCHEME}:{group}")
            number, self._next_group_number = self._next_group_number, self._next_group_number + 1
        for reference in self._held.valuerefs():
            other = reference()
            if other is not None and not other.core.buffer.over and other.core.same_as(address, number):
                raise UsageError(f"this client's inbox{f' of {address}' * bool(address)} is open already")
        core = InboxCore(address, number, ReceiveBuffer(buffer_bytes, self._context.flow))
        inbox = self._held[core] = Inbox(core, start=self._start, stop=self._stop, client=client)
        weakref.finalize(inbox, self._context.owner.call_soon, partial(self._drop, core)).atexit = False
        return inbox

    # Arriving.

    def requested(self, message: Message, number: int, session: Session) -> None:
        """Take a request that arrived by the subscription ``number``."""
        inbox = self.inboxes.get(number)
        if inbox is None:
            self.broken(RequestRefused(Code.NO_SUCH_PEER, "the inbox is closed"), message, session)
            return
        request = self._open[message.publisher, message.offset] = Request(message, session, self._reply)
        if inbox.buffer.over:
            inbox.late.append(request)
        else:
            inbox.buffer.put(request)

    def broken(self, error: Exception, message: Message | None, session: Session) -> None:
        """Report and answer a request that cannot be given to the application; ``message`` None: without an answer."""
        self._context.report(error)
        if message is not None:
            self._context.start(Request(message, session, self._reply).fail(f"the request was not taken: {error}"))

    def cancelled(self, message: memoryview, frame: Frame) -> None:
        """Take a CANCEL: nobody wants the reply any more."""
        cancel = Cancel.parse(message, frame)
        key = cancel.peer, cancel.correlation
        request = self._open.pop(key, None)
        if request is not None:
            request.cancel()
        if (reply := self._replying.get(key)) is not None:
            reply.finish(None)

    def refused(self, error: Error) -> bool:
        """Take an ERROR that answers a reply; return whether it does.

        A large reply that found no room is sent again until somebody takes it, or nobody wants it any more.
        """
        if error.peer is None or error.correlation is None:
            return False
        key = error.peer, error.correlation
        refusal = RequestRefused(
            error.code, f"the reply to request {error.correlation} of peer {error.peer}: {error.message}"
        )
        reply, queue = self._replying.get(key), self._queues.get(error.peer)
        if reply is not None and queue is not None and reply.begun and reply.may_wait(refusal):
            queue.postpone([reply], refusal)
        else:
            self._context.report(refusal)
            if reply is not None:
                reply.finish(None)
        return True

    # Sessions.

    def attached(self, session: Session) -> None:
        """Open the inboxes again on a new session."""
        for inbox in self.inboxes.values():
            if not inbox.buffer.over:
                self._context.start(self._resume(session, inbox))

    def detached(self) -> None:
        """Cancel the requests of the session, which is over."""
        self._queues.clear()
        requests = list(self._open.values())
        self._open.clear()
        for request in requests:
            request.cancel()

    def fork(self, error: UsageError) -> None:
        """Drop all requests: this is a forked process, and its parent replies."""
        for inbox in self.inboxes.values():
            inbox.buffer.fork(error)

    def close(self, error: FrysError | None) -> None:
        """End all inboxes, with ``error`` if it was not the application that closed the client."""
        for inbox in self.inboxes.values():
            inbox.buffer.end(error)

    # Replies.

    async def _reply(self, request: Request, value: object, headers: Headers, codec: str, flags: int) -> None:
        self._context.owner.check()
        reply = OutboundMessage(
            Opcode.REPLY,
            content_of(value, headers),
            self._now_ns(),
            flags=flags,
            correlation=request.offset,
            confirmed=True,
            chain=parse_codec(codec),
            done=asyncio.get_running_loop().create_future(),
        )
        session = request.session
        if not isinstance(session, Session) or session is not self._context.session:
            self._context.report(ConnectionFailed(f"the reply to {request!r} was dropped: its connection is gone"))
            return
        if request.cancelled:
            return
        key = request.publisher, request.offset
        queue = self._queues.get(request.publisher)
        if queue is None:
            queue = ReplySendQueue(self._context, request.publisher, session, self._forget_idle)
            self._queues[request.publisher] = queue
        self._replying[key] = reply
        try:
            queue.submit(reply)
            await reply.result(None, "", self._context.obstacle)
        except ConnectionFailed as error:
            self._context.report(ConnectionFailed(f"the reply to {request!r} was dropped: {error}"))
        finally:
            if self._replying.get(key) is reply:
                del self._replying[key]
            self._forget_idle(request.publisher)
        if flags & (FLAG_MORE | FLAG_FAILED) != FLAG_MORE:
            self._open.pop(key, None)

    def _forget_idle(self, peer: int) -> None:
        """Forget the queue of a peer, unless a reply waits in it: most peers ask once."""
        queue = self._queues.get(peer)
        if queue is not None and queue.idle:
            del self._queues[peer]

    # Opening and closing.

    async def _start(self, inbox: InboxCore) -> None:
        # The gateway has one inbox of each address: one that the program has dropped is closed before.
        for other in list(self.inboxes.values()):
            if other not in self._held and other.same_as(inbox.address, inbox.number):
                await asyncio.wait([self._drop(other)])
        session = await self._context.wait_ready()
        if inbox.buffer.over:  # closed meanwhile
            return
        self.inboxes[inbox.number] = inbox
        try:
            await self._ask(session, inbox)
        except ConnectionFailed:
            await self._context.wait_ready()  # attached() has asked again, or there is no way to
        except RequestRefused as error:
            inbox.buffer.end(error)
            self._forget(inbox)
            raise

    async def _stop(self, inbox: InboxCore) -> None:
        session = self._context.session
        if session is not None and self.inboxes.get(inbox.number) is inbox:
            self._context.owner.check()
            # Lost or refused, the gateway has no inbox of ours any more.
            with contextlib.suppress(ConnectionFailed, RequestRefused):
                await self._context.ask(session, lambda request: Unsubscribe(request, inbox.number))
        self._forget(inbox)
        # Requests that were under way: by now the gateway has withdrawn those that another member can take.
        late, inbox.late = inbox.late, []
        for request in late:
            if not request.cancelled:
                await request.fail("the request was not taken: the inbox is closed")

    def _drop(self, inbox: InboxCore) -> asyncio.Task[None]:
        """Close an inbox that the program has dropped, unless that was begun."""
        if inbox.ending is None:
            inbox.buffer.end()
            inbox.late[:0] = iter(inbox.buffer.take, None)  # nobody can take them any more
            inbox.ending = self._context.start(self._stop(inbox))
        return inbox.ending

    def _forget(self, inbox: InboxCore) -> None:
        if self.inboxes.get(inbox.number) is inbox:
            del self.inboxes[inbox.number]

    async def _resume(self, session: Session, inbox: InboxCore) -> None:
        if inbox.buffer.over:  # closed meanwhile
            return
        try:
            await self._ask(session, inbox)
        except RequestRefused as error:
            inbox.buffer.end(error)
            self._forget(inbox)
        except ConnectionFailed:
            pass  # this session is over as well; the next one asks again
        except Exception as error:
            # A boundary: the next connection asks again, as this one could not.
            session.abort(f"{inbox.address} could not be opened again: {error!r}")
            raise

    async def _ask(self, session: Session, inbox: InboxCore) -> None:
        if inbox.number == INBOX_NUMBER:
            inbox.address = inbox_of(session.welcome.client_id)
        await self._context.ask(session, lambda request: Subscribe(request, inbox.number, inbox.address))
