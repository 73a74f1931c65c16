"""Requests to clients' inboxes and the replies to them (spec section 8)."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from gateway.connections.fanout import Fanout
from gateway.connections.hub import Hub
from gateway.connections.intake import Intake
from gateway.connections.payload import check_payload, frame_as_run
from gateway.connections.pool import Pool
from gateway.connections.session import Inbox, Session
from gateway.errors import Code, RequestRefused
from gateway.protocol.data import DataFrame, parse_data
from gateway.protocol.frames import Frame
from gateway.protocol.limits import Limits
from gateway.protocol.meta import parse_meta
from gateway.protocol.names import AGENT_SCHEME, split_address
from gateway.protocol.state import State
from gateway.protocol.wire import DATA_HEADER, Buffer, Opcode


class Requests:
    """Brings requests to those who hold the address, and replies back to those who asked.

    Args:
        limits: what the gateway accepts.
        pool: who is there.
        hub: makes the fan-out of a client's mailbox.
        intake: takes large requests and replies.
    """

    def __init__(self, limits: Limits, pool: Pool, hub: Hub, intake: Intake) -> None:
        self._limits = limits
        self._pool = pool
        self._hub = hub
        self._intake = intake

    def receive(self, session: Session, data: Buffer, frame: Frame) -> None:
        """A REQUEST or REPLY.

        Raises:
            ProtocolViolation: ``MALFORMED_FRAME``.
        """
        try:
            parsed = parse_data(memoryview(data), frame)
            if parsed.opcode == Opcode.REQUEST:
                self._request(session, data, frame, parsed)
            else:
                self._reply(session, data, frame, parsed)
        except RequestRefused as refusal:
            correlation = DATA_HEADER.unpack_from(data, frame.start)[6]
            session.connection.refuse(refusal, correlation=correlation)

    def drop(self, session: Session) -> None:
        """The connection is gone: tell those who wait for its replies, and forget what it asked."""
        for asker_peer, correlation in session.owed:
            asker = self._pool.get(asker_peer)
            if asker is not None and asker.asked.pop(correlation, None) is not None:
                problem = f"{session.connection.client_id} left before it replied to request {correlation}"
                asker.connection.refuse(RequestRefused(Code.PEER_GONE, problem), correlation=correlation)
        session.owed.clear()
        for correlation, replier_peer in session.asked.items():
            replier = self._pool.get(replier_peer)
            if replier is not None:
                replier.owed.pop((session.connection.peer, correlation), None)
        session.asked.clear()

    def _request(self, session: Session, data: Buffer, frame: Frame, parsed: DataFrame) -> None:
        route = session.routes.get(parsed.stream)
        if route is None:
            raise RequestRefused(Code.UNKNOWN_STREAM, f"alias {parsed.stream} was never opened: send OPEN first")
        if route.refusal is not None:
            raise route.refusal
        if route.stream is not None:
            raise RequestRefused(Code.INVALID_NAME, f"{route.name} is a stream: requests go to an address")
        if session.connection.state is State.DRAINING:
            raise RequestRefused(Code.DRAINING, "the gateway is stopping and takes no new requests")
        correlation = parsed.offset
        if correlation in session.asked:
            raise RequestRefused(Code.INVALID_REQUEST, f"correlation {correlation} is of an outstanding request")
        if len(session.asked) >= self._limits.max_requests:
            problem = f"the connection has max_requests={self._limits.max_requests} outstanding"
            raise RequestRefused(Code.LIMIT_EXCEEDED, problem)
        scheme, holder = split_address(route.name)
        replier = self._pool.inbox_of(holder) if scheme == AGENT_SCHEME else None
        if replier is None:
            raise RequestRefused(Code.NO_SUCH_PEER, f"nobody holds the inbox {route.name} now")
        undo = partial(_settle, session, replier, correlation)
        self._pass_on(session, data, frame, parsed, self._mailbox(replier), undo)
        _owe(session, replier, correlation)

    def _reply(self, session: Session, data: Buffer, frame: Frame, parsed: DataFrame) -> None:
        key = (parsed.stream, parsed.offset)
        asker = self._pool.get(parsed.stream)
        if key not in session.owed or asker is None:
            problem = f"peer {parsed.stream} waits for no reply to request {parsed.offset} from this connection"
            raise RequestRefused(Code.NOT_REQUESTED, problem)
        self._pass_on(session, data, frame, parsed, self._mailbox(asker), partial(_owe, asker, session, parsed.offset))
        _settle(asker, session, parsed.offset)

    def _pass_on(
        self,
        session: Session,
        data: Buffer,
        frame: Frame,
        parsed: DataFrame,
        mailbox: Fanout,
        undo: Callable[[], object],
    ) -> None:
        if mailbox.queue_full:
            raise RequestRefused(Code.QUEUE_FULL, f"{mailbox.source.name} has no room in its queue: try again later")
        meta = parse_meta(parsed.meta)
        if parsed.plan is not None:
            self._intake.begin_direct(session, parsed, meta, mailbox, undo)
            return
        itemsize = check_payload(parsed, meta, session.connection.codecs, self._limits)
        source, peer = mailbox.source, session.connection.peer
        run = frame_as_run(data, frame, parsed, source, peer, parsed.offset)
        mailbox.deliver_frame(run, parsed, peer, itemsize)

    def _mailbox(self, session: Session) -> Fanout:
        if session.mailbox is None:
            session.mailbox = self._hub.new_fanout(Inbox(session.connection.client_id))
            mailbox = session.mailbox
            mailbox.join(session.connection, mailbox.start(session.connection, None))
        return session.mailbox


def _owe(asker: Session, replier: Session, correlation: int) -> None:
    """A request waits for its reply."""
    if correlation not in asker.asked and not asker.connection.closed:
        asker.asked[correlation] = replier.connection.peer
        replier.owed[(asker.connection.peer, correlation)] = None


def _settle(asker: Session, replier: Session, correlation: int) -> None:
    """It waits no longer."""
    asker.asked.pop(correlation, None)
    replier.owed.pop((asker.connection.peer, correlation), None)
