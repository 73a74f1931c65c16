"""Dispatcher: splits incoming WebSocket messages into frames and hands each frame to its handler.

Errors become answers here and nowhere else: a violation of the protocol closes the connection, a refusal is answered
with ERROR.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from functools import partial
from typing import Final

from gateway.connections.deletions import Deletions
from gateway.connections.fanout.delivery_class import MANY_OWED, Flusher
from gateway.connections.hub.hub import Hub
from gateway.connections.inbound.chunked_uploads import ChunkedUploads
from gateway.connections.inbound.router import InboundMessage, Router
from gateway.connections.input_budget import InputBudget
from gateway.connections.lagging.flush_turns import FEW_MEMBERS
from gateway.connections.links.links import Links
from gateway.connections.outbound.connection import Connection
from gateway.connections.ports import Clock
from gateway.connections.presence.presence_handler import PresenceHandler
from gateway.connections.requests.requests import Requests
from gateway.connections.sessions.greeting import Greeter
from gateway.connections.sessions.session import Session
from gateway.connections.subscribe_handler import SubscribeHandler
from gateway.errors import Code, ProtocolViolation, RequestRefused
from gateway.protocol.frames import Frame, body_of, frame_at
from gateway.protocol.json_body import BodyRefused
from gateway.protocol.json_size import check_body
from gateway.protocol.messages import (
    Account,
    Authenticate,
    Delete,
    Hello,
    Open,
    Refresh,
    SessionMessage,
    Subscribe,
    Unsubscribe,
)
from gateway.protocol.presence import Attend, Awareness
from gateway.protocol.session_body import parse_session
from gateway.protocol.signals import Abort, Cancel, Conflated, Credit, Done, End, InProgress, Ping, Pong, ReceiverReport
from gateway.protocol.state import Role, advance
from gateway.protocol.wire import ALIGNMENT, DATA_HEADER, JSON_OPCODES, Buffer, Opcode

logger = logging.getLogger(__name__)

_MESSAGE = int(Opcode.MESSAGE)
_PUBLISHES: Final = frozenset({Opcode.MESSAGE, Opcode.BATCH})

FRAMES_A_LOOK: Final = 2
"""Frames that are handled between two looks at the clock; a run of messages counts as one, and a request as all."""
LONG_RUN_BYTES: Final = 16 * 1024
"""Size of a run from which on the clock is looked at behind it."""
LONG_PARSE_BYTES: Final = 1024
"""Size of a JSON body, or of descriptors and headers, from which on the clock is looked at behind the frame: 4 KiB of
descriptors take 0.5 ms, and 64 KiB of headers up to 1.4 ms."""
_LONG_PARSE_UNITS: Final = LONG_PARSE_BYTES // ALIGNMENT
STEP_S: Final = 0.000125
"""Time of one step of a message that is handled in later turns."""


class Dispatcher:
    """Handler of the messages of all connections, one at a time.

    Args:
        router: publishes.
        uploads: large messages.
        requests: requests and replies.
        hub: DONE, IN_PROGRESS and REFRESH.
        subscriptions: OPEN, SUBSCRIBE and related requests.
        deletions: DELETE.
        presence: ATTEND and AWARENESS.
        greeter: HELLO.
        links: reports of receivers.
        clock: for the times in PONG, and for those of steps.
        budget: time of a turn for fresh input.
        flusher: deliveries that messages have brought about, and that wait for the end of the turn.
    """

    def __init__(
        self,
        router: Router,
        uploads: ChunkedUploads,
        requests: Requests,
        hub: Hub,
        subscriptions: SubscribeHandler,
        deletions: Deletions,
        presence: PresenceHandler,
        greeter: Greeter,
        links: Links[Connection],
        clock: Clock,
        budget: InputBudget,
        flusher: Flusher,
    ) -> None:
        self._router = router
        self._uploads = uploads
        self._requests = requests
        self._hub = hub
        self._subscriptions = subscriptions
        self._deletions = deletions
        self._presence = presence
        self._greeter = greeter
        self._links = links
        self._clock = clock
        self._budget = budget
        self._flusher = flusher
        self._turns = flusher.turns
        self._left = flusher.turns.left

    def receive(self, session: Session, data: Buffer) -> None:
        """Take one binary WebSocket message from a socket, as :meth:`handle`; in a later turn if this one is over."""
        if (self._flusher.owed > MANY_OWED or self._budget.watched or self._left) and self._waits(session, data):
            session.backlog.add(partial(self._handle_later, session, data), len(data))
            return
        self.handle(session, data)

    def _waits(self, session: Session, data: Buffer) -> bool:
        """Return whether a message is for a later turn: this one is over, or earlier ones to its stream still wait.

        A publish that few receive, such as a control message, takes part in each turn: those with many receivers make
        the turns long, and wait in turn.
        """
        reading = session.connection.reading
        if len(data) >= DATA_HEADER.size and not (self._budget.watched or reading.held):
            _, opcode, _, _, alias, _, _, _ = DATA_HEADER.unpack_from(data)
            binding = session.bindings.get(alias) if opcode in _PUBLISHES else None
            if binding is not None and self._turns.waits(binding.name):
                self._turns.hold_back(reading)
                return True
            if binding is not None and binding.fanout is not None and binding.fanout.receivers <= FEW_MEMBERS:
                return False
        return self.late()

    def late(self) -> bool:
        """Make the deliveries that are owed if they are many; return whether the time of this turn is over.

        Nobody looks at the time unless deliveries were made, or something before may have taken long.
        """
        return (self.make_owed(self._budget.spent) or self._budget.watched) and self._budget.spent()

    def make_owed(self, look: Callable[[], object] = lambda: None) -> bool:
        """Make the deliveries that are owed if they are many: to be called by a step that has handled a message.

        Args:
            look: looks at the time before: that of a turn begins with the first look, and the deliveries are to count.
        """
        if self._flusher.owed <= MANY_OWED:
            return False
        look()
        self._flusher.flush()
        return True

    def _handle_later(self, session: Session, data: Buffer) -> bool:
        """Handle a message whose turn in the backlog has come; return False: what is left of it is added there."""
        self.handle(session, data, self._end_of_step())
        self.make_owed()
        return False

    def handle(self, session: Session, data: Buffer, over: Callable[[], bool] | None = None) -> None:
        """Handle one binary message behind the backlog until ``over``; ``data`` belongs to the gateway from now on."""
        backlog = session.pending
        if backlog is not None and backlog.blocks:
            backlog.add(partial(self._handle_later, session, data), len(data))
            return
        incoming = InboundMessage(data)
        size = incoming.size
        if size % ALIGNMENT or not size:
            session.fail(_odd(size))
            return
        at = self._take_frames(session, incoming, 0, over or self._budget.spent)
        if at < size and not session.connection.closed:
            session.backlog.add(_RestOfMessage(self, session, incoming, at).step, size)

    def _take_frames(self, session: Session, incoming: InboundMessage, at: int, over: Callable[[], bool]) -> int:
        """Handle frames until ``over`` returns True, or one needs further steps; return the index of the next."""
        data, size, connection, flusher = incoming.data, incoming.size, session.connection, self._flusher
        left = FRAMES_A_LOOK
        try:
            while at < size and not connection.closed:
                after = 0
                if data[at + 4] == _MESSAGE:
                    # Before the greeting no alias is bound, so that nothing is published.
                    after = self._router.publish_run(session, incoming, at)
                if after:
                    session.unreadable = 0
                    if after >= size:
                        return size
                    left -= 1 if after - at < LONG_RUN_BYTES else FRAMES_A_LOOK
                    at = after
                else:
                    left -= 1
                    frame = frame_at(data, at)
                    opcode, _, meta_units, _, end = frame
                    if opcode in JSON_OPCODES or meta_units >= _LONG_PARSE_UNITS:
                        left = 0
                        if end - at >= LONG_PARSE_BYTES:
                            # The next message, too, looks at the time.
                            self._budget.watch()
                    self._receive_frame(session, incoming, frame)
                    at = (end + 7) & -8
                    backlog = session.pending
                    if at >= size or (backlog is not None and backlog.blocks):
                        return at
                if left <= 0 or flusher.owed > MANY_OWED:
                    self.make_owed(over)
                    if over():
                        return at
                    left = FRAMES_A_LOOK
        except ProtocolViolation as violation:
            session.fail(violation)
        except Exception:
            logger.exception("message of %d bytes from %s failed", size, session.peer.client_id or "a new client")
            session.fail(RequestRefused(Code.INTERNAL, "the gateway failed; its log says more"))
        return size

    def go_on(self, session: Session, incoming: InboundMessage, at: int) -> int:
        """Handle frames of a message for :data:`STEP_S`; return the index of the next one, as :meth:`receive` left it.

        Args:
            session: of the connection.
            incoming: the message.
            at: index of the first frame that is not handled yet.
        """
        return self._take_frames(session, incoming, at, self._end_of_step())

    def _end_of_step(self) -> Callable[[], bool]:
        """Return a function that tells whether the time of the step that begins now is over."""
        clock = self._clock
        end_s = clock.monotonic_s() + STEP_S
        return lambda: clock.monotonic_s() >= end_s

    def receive_session(
        self, session: Session, message: SessionMessage | Ping | Cancel | Credit | ReceiverReport
    ) -> None:
        """Handle one message of the JSON subprotocol (spec section 14)."""
        connection = session.connection
        if connection.closed:
            return
        try:
            advance(Role.CLIENT, session.state, message.opcode)
            if isinstance(message, Ping):
                self._pong(connection, message)
            elif isinstance(message, Cancel):
                self._requests.cancel(session, message)
            elif isinstance(message, ReceiverReport):
                self._links.report(connection, message)
            elif isinstance(message, Credit):
                self._subscriptions.add_credit(session, message)
            else:
                self._answer(session, message)
        except ProtocolViolation as violation:
            session.fail(violation)

    def refuse_text(self, session: Session, refusal: RequestRefused) -> None:
        """Answer a message of the JSON subprotocol that cannot be read."""
        subscribes = isinstance(refusal, BodyRefused) and refusal.more is not None
        if not subscribes or not self._subscriptions.unreadable(session, refusal):
            session.refuse_unreadable(refusal)

    def open(self, session: Session, request: Open) -> None:
        """Bind an alias for a connection that does not send OPEN itself.

        Raises:
            RequestRefused: see :meth:`~gateway.connections.subscribe_handler.SubscribeHandler.open`.
        """
        self._subscriptions.open(session, request)

    def _receive_frame(self, session: Session, incoming: InboundMessage, frame: Frame) -> None:
        connection = session.connection
        try:
            advance(Role.CLIENT, session.state, frame.opcode)
        except RequestRefused as refusal:
            session.refuse_unreadable(refusal)
            return
        unreadable, session.unreadable = session.unreadable, 0
        match frame.opcode:
            case Opcode.CHUNK:
                self._uploads.chunk(session, incoming.view, frame)
            case Opcode.MESSAGE | Opcode.BATCH:
                self._router.publish_frame(session, incoming, frame)
            case Opcode.REQUEST | Opcode.REPLY:
                self._requests.receive(session, incoming.data, frame)
            case Opcode.END:
                self._uploads.end(session, End.parse(incoming.data, frame))
            case Opcode.ABORT:
                self._uploads.abort(session, Abort.parse(incoming.data, frame))
            case Opcode.CANCEL:
                self._requests.cancel(session, Cancel.parse(incoming.data, frame))
            case Opcode.PING:
                self._pong(connection, Ping.parse(incoming.data, frame))
            case Opcode.PONG:
                connection.answered(Pong.parse(incoming.data, frame))
            case Opcode.DONE:
                self._hub.done(session, Done.parse(incoming.data, frame))
            case Opcode.IN_PROGRESS:
                self._hub.in_progress(session, InProgress.parse(incoming.data, frame))
            case Opcode.CONFLATED:
                connection.accounts.conflated_by_client(Conflated.parse(incoming.data, frame))
            case Opcode.REPORT:
                self._links.report(connection, ReceiverReport.parse(incoming.data, frame))
            case Opcode.CREDIT:
                self._subscriptions.add_credit(session, Credit.parse(incoming.data, frame))
            case opcode if opcode in JSON_OPCODES:
                body = body_of(incoming.view, frame)
                try:
                    check_body(opcode, body)
                    message = parse_session(opcode, body)
                except RequestRefused as refusal:
                    session.unreadable = unreadable
                    if opcode != Opcode.SUBSCRIBE or not self._subscriptions.unreadable(session, refusal):
                        session.refuse_unreadable(refusal)
                    return
                self._answer(session, message)
            case opcode:
                raise AssertionError(f"opcode {opcode:#04x} passed the state table and nobody handles it")

    def _answer(self, session: Session, message: SessionMessage) -> None:
        if isinstance(message, Subscribe | Account | Refresh | Attend | Awareness) and session.lost:
            return  # nobody but the client would have anything of it
        answers: dict[str, int | str | None] = {}
        try:
            match message:
                case Hello():
                    self._greeter.receive(session, message)
                case Open():
                    answers = {"alias": message.alias}
                    self._subscriptions.open(session, message)
                case Subscribe():
                    answers = {"request": message.request}
                    self._subscriptions.subscribe(session, message)
                case Unsubscribe():
                    answers = {"request": message.request}
                    self._subscriptions.unsubscribe(session, message)
                case Delete():
                    answers = {"request": message.request}
                    self._deletions.delete(session, message)
                case Attend():
                    answers = {"request": message.request}
                    self._presence.attend(session, message)
                case Awareness():
                    answers = {"stream": message.scope}
                    self._presence.show(session, message)
                case Authenticate():
                    answers = {"request": message.request}
                    self._subscriptions.authenticate(session, message)
                case Refresh():
                    self._hub.refresh(session, message.stream)
                case Account():
                    answers = {"request": message.request}
                    self._subscriptions.account(session, message)
                case _:
                    raise AssertionError(f"{message.opcode.name} passed the state table and nobody handles it")
        except RequestRefused as refusal:
            session.refuse(refusal, **answers)

    def _pong(self, connection: Connection, ping: Ping) -> None:
        now_ns = self._clock.time_ns()
        connection.send(Pong(ping.t0, now_ns, self._clock.time_ns()))


class _RestOfMessage:
    """Rest of a WebSocket message, in the backlog of its session."""

    __slots__ = ("_at", "_dispatcher", "_incoming", "_session")

    def __init__(self, dispatcher: Dispatcher, session: Session, incoming: InboundMessage, at: int) -> None:
        self._dispatcher = dispatcher
        self._session = session
        self._incoming = incoming
        self._at = at

    def step(self) -> bool:
        """Handle some frames; return whether there are more."""
        self._at = self._dispatcher.go_on(self._session, self._incoming, self._at)
        return self._at < self._incoming.size


def _odd(size: int) -> ProtocolViolation:
    problem = f"WebSocket message of {size} bytes: not a positive multiple of {ALIGNMENT}"
    return ProtocolViolation(Code.MALFORMED_FRAME, problem)


def drained(session: Session) -> bool:
    """Return whether nothing waits of or for a connection: in transfers, backlog, outbox, transport and mailboxes."""
    connection = session.connection
    if session.transfers or session.pending is not None or session.requests.owed:
        return False
    mailboxes_idle = all(mailbox.idle for mailbox in session.requests.mailboxes.values())
    return mailboxes_idle and not connection.has_waiting and not connection.transport.waiting_bytes()
