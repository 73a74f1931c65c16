"""What becomes of a request that its replier will not answer, or that its asker does not want any more."""

from __future__ import annotations

from functools import partial

from gateway.connections.fanout.pubsub_fanout import PubSubFanout
from gateway.connections.fanout.recode import frame_of
from gateway.connections.inbound.chunked_uploads import ChunkedUploads
from gateway.connections.inbound.payload import readdressed
from gateway.connections.requests.groups import Groups, Member
from gateway.connections.requests.withdraw_request import withdraw_request
from gateway.connections.sessions.outstanding_requests import (
    ConnectionRequests,
    OutstandingRequest,
    OutstandingRequests,
)
from gateway.connections.sessions.pool import Pool
from gateway.connections.sessions.session import Session
from gateway.errors import Code, RequestRefused
from gateway.protocol.signals import Cancel
from gateway.streams.run import Run


class Failover:
    """Hands requests to other members of their group, and calls them off (spec sections 8.1 and 8.2).

    Args:
        pool: who is there.
        groups: their members.
        outstanding: all requests.
        intake: repeats and stops large ones.
    """

    def __init__(self, pool: Pool, groups: Groups, outstanding: OutstandingRequests, intake: ChunkedUploads) -> None:
        self._pool = pool
        self._groups = groups
        self._outstanding = outstanding
        self._intake = intake

    def lost(self, desk: ConnectionRequests) -> None:
        """A connection is lost: others get what it has not replied to, in the same order, or the askers are told."""
        for request in list(desk.owed.values()):
            reason = self._why_not(request)
            if not reason:
                member = self._groups.choose(request.address, request.asker, but=desk)
                if member is not None:
                    request.handovers += 1
                    self._stop_reply(request)
                    self._give(request, member)
                    continue
                reason = f"{request.address} has no other member now"
            self._stop_reply(request)
            if request.incoming is not None:
                self._intake.stop(self._session(request.asker), request.incoming, Code.PEER_GONE)
            problem = f"{desk.connection.peer.client_id} left before it replied to request {request.correlation}"
            request.refuse(RequestRefused(Code.PEER_GONE, f"{problem}: {reason}"))

    def left(self, desk: ConnectionRequests, address: str) -> None:
        """A member has left its group, but not the gateway: others get what it has not begun to reply to."""
        for request in [request for request in desk.owed.values() if request.address == address]:
            if request.streamed or request.replying is not None:
                continue
            member = self._groups.choose(address, request.asker, but=desk)
            if member is None:
                return
            mailbox, incoming = request.mailbox, request.incoming
            self._give(request, member)
            desk.forgive(request.key)
            if incoming is None:
                self._recall(desk, mailbox, request)

    def call_off(self, request: OutstandingRequest, code: int) -> None:
        """Nobody wants the answer any more: forget the request, and have its replier do the same.

        Args:
            request: an outstanding one.
            code: for ABORT, of what is under way.
        """
        request.settle()
        replier = request.replier
        replier.forgive(request.key)
        self._stop_reply(request, code)
        if request.incoming is not None:
            self._intake.stop(self._session(request.asker), request.incoming, code)
        else:
            self._recall(replier, request.mailbox, request)

    def _why_not(self, request: OutstandingRequest) -> str:
        """Why a request is not handed over; empty if it is, should there be somebody."""
        limit = self._outstanding.settings.max_handovers
        if request.kept is None:
            return "it was asked for by its name"
        if request.streamed:
            return "a part of the reply has come, which another member would repeat"
        if request.handovers >= limit:
            return f"after max_handovers={limit} others that did"
        return ""

    def _give(self, request: OutstandingRequest, member: Member) -> None:
        mailbox = member.mailbox
        self._outstanding.assign(request, member.desk, mailbox)
        peer = request.asker.connection.peer.id
        kept = request.kept
        assert kept is not None, "a request that is handed over is to a group, and so it was kept"
        if isinstance(kept, Run):
            run = readdressed(kept, mailbox.source, peer)
            mailbox.deliver_frame(run, frame_of(run), peer, 1)
        elif request.incoming is not None:
            request.kept = self._intake.redirect(self._session(request.asker), request.incoming, mailbox)
        else:
            request.kept = self._intake.repeat(self._session(request.asker), kept, mailbox)
            mailbox.commit(request.kept)

    def _stop_reply(self, request: OutstandingRequest, code: int = Code.TRANSFER_ABORTED) -> None:
        if request.replying is not None:
            self._intake.stop(self._session(request.replier), request.replying, code)
            request.replying = None

    def _recall(self, desk: ConnectionRequests, mailbox: PubSubFanout, request: OutstandingRequest) -> None:
        cancel = Cancel(*request.key)
        mailbox.when_delivered(partial(withdraw_request, desk.connection, mailbox.source, cancel))

    def _session(self, desk: ConnectionRequests) -> Session:
        session = self._pool.get(desk.connection.peer.id)
        assert session is not None, "requests end with the connections of both sides"
        return session
