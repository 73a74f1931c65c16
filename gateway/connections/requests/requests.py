"""Requests to inboxes of clients and to groups, and the replies to them (spec section 8)."""

from __future__ import annotations

from functools import partial

from gateway.connections.fanout.pubsub_fanout import PubSubFanout
from gateway.connections.hub.fanout_registry import FanoutRegistry
from gateway.connections.inbound.chunked_uploads import ChunkedUploads
from gateway.connections.inbound.payload import check_payload, frame_as_run
from gateway.connections.outbound.no_entries import NO_ENTRIES
from gateway.connections.ports import Clock
from gateway.connections.requests.failover import Failover
from gateway.connections.requests.groups import Groups, Member
from gateway.connections.requests.mailbox import close_unused, group_mailbox, own_mailbox
from gateway.connections.sessions.exchange import Exchange
from gateway.connections.sessions.outstanding_requests import (
    ConnectionRequests,
    OutstandingRequest,
    OutstandingRequests,
    RequestSettings,
)
from gateway.connections.sessions.pool import Pool
from gateway.connections.sessions.session import Session
from gateway.connections.sessions.turns import Turns
from gateway.errors import Code, RequestRefused, fresh
from gateway.protocol.data import DataFrame, parse_data
from gateway.protocol.frames import Frame
from gateway.protocol.limits import Limits
from gateway.protocol.meta import parse_meta
from gateway.protocol.names import GROUP_SCHEME, split_address
from gateway.protocol.signals import Cancel
from gateway.protocol.state import State
from gateway.protocol.wire import DATA_HEADER, FLAG_FAILED, FLAG_MORE, Buffer, Opcode

SWEEP_INTERVAL_S = 0.1
"""Interval of the checks of deadlines, while there are requests: an expired one is noticed as late as that."""


class Requests:
    """Delivery of requests to the holder of their address, and of replies to the asker.

    Args:
        limits: bounds on messages and on outstanding requests.
        settings: bounds on requests to groups, which are kept for another member.
        pool: all sessions, and the holders of inboxes.
        fanouts: makes those of mailboxes.
        uploads: takes large requests and replies.
        clock: for deadlines.
    """

    def __init__(
        self,
        limits: Limits,
        settings: RequestSettings,
        pool: Pool,
        fanouts: FanoutRegistry,
        uploads: ChunkedUploads,
        clock: Clock,
    ) -> None:
        self._limits = limits
        self._pool = pool
        self._fanouts = fanouts
        self._uploads = uploads
        self._clock = clock
        self.groups = Groups()
        """Members of all groups."""
        self._outstanding = OutstandingRequests(settings, clock)
        self._failover = Failover(pool, self.groups, self._outstanding, uploads)
        self._sweeping = False

    def receive(self, session: Session, data: Buffer, frame: Frame) -> None:
        """Handle a REQUEST or REPLY, and answer with ERROR if it is refused.

        Args:
            session: the sender.
            data: WebSocket message, which must not change any more.
            frame: the frame in it.

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
            _, opcode, _, _, peer, _, correlation, _ = DATA_HEADER.unpack_from(data, frame.start)
            if opcode == Opcode.REQUEST:
                session.refuse(refusal, correlation=correlation)
                return
            session.refuse(refusal, correlation=correlation, peer=peer)
            request = session.requests.owed.get((peer, correlation))
            if request is not None and request.replying is None and refusal.code != Code.QUEUE_FULL:
                # No reply rather than one that lacks a part without the asker knowing.
                request.refuse(refusal)
                session.requests.mark_withdrawn(request.key)

    def cancel(self, session: Session, cancel: Cancel) -> None:
        """Handle CANCEL of an asker; ignore it if the request is not outstanding: its last reply is on its way."""
        request = session.requests.asked.get(cancel.correlation)
        if request is not None:
            self._failover.call_off(request, Code.CANCELLED)

    # Groups.

    def join(self, session: Session, address: str, subscription: int) -> None:
        """Make a connection a member of a group.

        Args:
            session: the member.
            address: ``group:<name>``.
            subscription: number that names the group in requests to the member.

        Raises:
            RequestRefused: ``INVALID_REQUEST``, the connection is a member already.
        """
        if address in session.requests.groups:
            raise RequestRefused(Code.INVALID_REQUEST, f"the connection is a member of {address} already")
        close_unused(session.requests)
        mailbox = group_mailbox(self._fanouts, session.requests, address, subscription)
        self.groups.join(address, Member(session.requests, mailbox))

    def leave(self, session: Session, address: str) -> None:
        """Remove a member from its group; other members get its open requests, or it keeps them if there is none."""
        self.groups.leave(address, session.requests)
        self._failover.left(session.requests, address)
        close_unused(session.requests)

    # Deadlines, and the end of connections.

    def _add(self, request: OutstandingRequest) -> None:
        self._outstanding.add(request)
        request.exchange.asked(request.size)
        self._sweep_later()

    def _sweep_later(self) -> None:
        if not self._sweeping:
            self._sweeping = True
            self._clock.call_later(SWEEP_INTERVAL_S, self._sweep)

    def _sweep(self) -> None:
        """Expire requests that are past their deadline, and reassign those of repliers that are closed."""
        now_ns = self._clock.time_ns()
        try:
            for request in self._outstanding.take_expired(now_ns):
                late_s = (now_ns - (request.deadline_ns or 0)) / 1e9
                problem = f"no reply of {request.address} by the deadline, {late_s:.3f} s ago"
                self._failover.call_off(request, Code.EXPIRED)
                request.refuse(RequestRefused(Code.EXPIRED, problem))
            for requests in list(self._outstanding.owing):
                if requests.connection.closed:
                    # The transport may take seconds to find out that the peer does not answer.
                    self._failover.lost(requests)
        finally:
            self._sweeping = False
            if self._outstanding.owing:
                self._sweep_later()

    def drop(self, session: Session) -> None:
        """Reassign the requests that a lost connection was to reply to, and call off the requests that it asked."""
        requests = session.requests
        for address in list(requests.groups):
            self.groups.leave(address, requests)
        self._failover.lost(requests)
        for request in list(requests.asked.values()):
            self._failover.call_off(request, Code.PEER_GONE)
        mailboxes, requests.mailboxes = requests.mailboxes, NO_ENTRIES
        for mailbox in mailboxes.values():
            mailbox.leave(session.connection)

    # Frames.

    def _request(self, session: Session, data: Buffer, frame: Frame, parsed: DataFrame) -> None:
        address, exchange = self._address(session, parsed)
        requests, correlation = session.requests, parsed.offset
        deadline_ns = None if parsed.extensions is None else parsed.extensions.deadline_ns
        if deadline_ns is not None and deadline_ns <= self._clock.time_ns():
            raise RequestRefused(Code.EXPIRED, f"the deadline of request {correlation} had passed when it came")
        scheme, holder = split_address(address)
        for_group = scheme == GROUP_SCHEME
        replier, mailbox = self._member(address, requests) if for_group else self._inbox(address, holder)
        if not _admits(replier, mailbox, session, parsed):
            raise RequestRefused(Code.QUEUE_FULL, f"{address} has no room in its queue: try again later")
        meta = parse_meta(parsed.meta)
        size = frame.end - frame.start if parsed.plan is None else parsed.plan.payload_bytes
        if for_group:
            self._outstanding.check_room(requests, size)
        request = OutstandingRequest(
            self._outstanding, requests, correlation, address, size, replier, mailbox, exchange
        )
        request.deadline_ns = deadline_ns
        if parsed.plan is not None:
            done, undo = partial(_completed, request), request.settle
            large = self._uploads.begin_direct(session, parsed, meta, mailbox, done=done, undo=undo)
            request.incoming = parsed.plan.transfer
            request.kept = large if for_group else None
            self._add(request)
            return
        element = check_payload(parsed, meta, session.connection.profile.codecs, self._limits)
        peer = session.peer.id
        run = frame_as_run(data, frame, parsed, mailbox.source, peer, correlation)
        request.kept = run.unpinned() if for_group else None
        self._add(request)
        mailbox.deliver_frame(run, parsed, peer, element)

    def _address(self, session: Session, parsed: DataFrame) -> tuple[str, Exchange]:
        binding = session.bindings.get(parsed.stream)
        if binding is None:
            raise session.not_open(parsed.stream, self._limits.max_aliases)
        if binding.refusal is not None:
            raise fresh(binding.refusal)
        if binding.exchange is None:
            raise RequestRefused(Code.INVALID_NAME, f"{binding.name} is a stream: requests go to an address")
        if session.state is State.DRAINING:
            raise RequestRefused(Code.DRAINING, "the gateway is stopping and takes no new requests")
        asked, correlation = session.requests.asked, parsed.offset
        if correlation in asked:
            raise RequestRefused(Code.INVALID_REQUEST, f"correlation {correlation} is of an outstanding request")
        if len(asked) >= self._limits.max_requests:
            problem = f"the connection has max_requests={self._limits.max_requests} outstanding"
            raise RequestRefused(Code.LIMIT_EXCEEDED, f"{problem}: await some of them first")
        return binding.name, binding.exchange

    def _inbox(self, address: str, client_id: str) -> tuple[ConnectionRequests, PubSubFanout]:
        replier = self._pool.inbox_of(client_id)
        if replier is None:
            raise RequestRefused(Code.NO_SUCH_PEER, f"nobody holds the inbox {address} now")
        return replier.requests, own_mailbox(self._fanouts, replier.requests)

    def _member(self, address: str, asker: ConnectionRequests) -> Member:
        member = self.groups.choose(address, asker)
        if member is None:
            raise RequestRefused(Code.NO_SUCH_PEER, f"{address} has no members now")
        return member

    def _reply(self, session: Session, data: Buffer, frame: Frame, parsed: DataFrame) -> None:
        last = parsed.flags & (FLAG_MORE | FLAG_FAILED) != FLAG_MORE
        key = (parsed.stream, parsed.offset)
        request = session.requests.owed.get(key)
        if request is None:
            if key in session.requests.released:
                if last:
                    del session.requests.released[key]
                if parsed.resuming:  # its sender waits for an answer
                    session.connection.send(Cancel(*key))
                return
            problem = f"peer {parsed.stream} waits for no reply to request {parsed.offset} from this connection"
            raise RequestRefused(Code.NOT_REQUESTED, problem)
        if request.replying is not None:
            problem = f"reply to request {parsed.offset} while transfer {request.replying} with another is under way"
            raise RequestRefused(Code.BROKEN_TRANSFER, problem)
        mailbox = own_mailbox(self._fanouts, request.asker)
        if not _admits(request.asker, mailbox, session if parsed.resuming else None, parsed):
            raise _no_room_for_reply(mailbox, parsed)
        meta = parse_meta(parsed.meta)
        if parsed.plan is not None:
            done, undo = partial(_replied, request, last), partial(_not_replied, request)
            self._uploads.begin_direct(session, parsed, meta, mailbox, done=done, undo=undo)
            request.exchange.replied(parsed.plan.payload_bytes)
            request.replying = parsed.plan.transfer
            return
        element = check_payload(parsed, meta, session.connection.profile.codecs, self._limits)
        peer = session.peer.id
        run = frame_as_run(data, frame, parsed, mailbox.source, peer, parsed.offset)
        request.exchange.replied(run.size)
        _replied(request, last)
        mailbox.deliver_frame(run, parsed, peer, element)


def _admits(receiver: ConnectionRequests, mailbox: PubSubFanout, sender: Session | None, message: DataFrame) -> bool:
    """Return whether a message finds room in the queue of its receiver.

    Args:
        receiver: the receiver.
        mailbox: one of its mailboxes.
        sender: takes its turn if the queue is full; ``None``: the message cannot be sent again, and so comes before
            those that can, and beside a large one of them that is more than the bound.
        message: the message.
    """
    outbox = receiver.connection.outbox
    large_bytes = 0 if message.plan is None else message.plan.payload_bytes
    if not mailbox.queue_full or outbox is None:
        receiver.turns = None
        receiver.largest_bytes = large_bytes
        return True
    limit_bytes = outbox.limit_bytes
    if sender is None:
        return outbox.inbox_bytes < 2 * limit_bytes + receiver.largest_bytes
    if receiver.turns is None:
        receiver.turns = Turns()
    if not receiver.turns.take(sender.peer.id, outbox.inbox_bytes, limit_bytes):
        return False
    receiver.largest_bytes = max(receiver.largest_bytes, large_bytes)
    return True


def _no_room_for_reply(mailbox: PubSubFanout, reply: DataFrame) -> RequestRefused:
    """Return the refusal of a reply: one whose sender waits for the answer to its head is to be sent again."""
    if reply.resuming:
        return RequestRefused(Code.QUEUE_FULL, mailbox.why_full())
    problem = f"the reply found no room in the queue of {mailbox.source.name}: read faster, or ask for less at a time"
    return RequestRefused(Code.LIMIT_EXCEEDED, problem)


def _completed(request: OutstandingRequest) -> None:
    request.incoming = None


def _replied(request: OutstandingRequest, last: bool) -> None:
    request.replying = None
    request.streamed = True
    if last:
        request.settle()


def _not_replied(request: OutstandingRequest) -> None:
    request.replying = None
