"""Failover of requests: another member gets a request that its replier lost; unwanted requests are called off."""

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
from gateway.protocol.dtypes import BYTE
from gateway.protocol.signals import Cancel
from gateway.streams.run import Run


class Failover:
    """Reassignment of requests to other members of their group, and withdrawal (spec sections 8.1 and 8.2).

    Args:
        pool: all sessions.
        groups: members of all groups.
        outstanding: all requests that wait for their replies.
        uploads: repeats and stops large requests and replies.
    """

    def __init__(self, pool: Pool, groups: Groups, outstanding: OutstandingRequests, uploads: ChunkedUploads) -> None:
        self._pool = pool
        self._groups = groups
        self._outstanding = outstanding
        self._uploads = uploads

    def lost(self, requests: ConnectionRequests) -> None:
        """Reassign the requests that a lost connection has not replied to, in their order, or refuse them."""
        for request in list(requests.owed.values()):
            reason = self._obstacle(request)
            if not reason:
                member = self._groups.choose(request.address, request.asker, except_for=requests)
                if member is not None:
                    request.handovers += 1
                    self._stop_reply(request)
                    self._reassign(request, member)
                    continue
                reason = f"{request.address} has no other member now"
            self._stop_reply(request)
            if request.incoming is not None:
                self._uploads.stop(self._session(request.asker), request.incoming, Code.PEER_GONE)
            problem = f"{requests.connection.peer.client_id} left before it replied to request {request.correlation}"
            request.refuse(RequestRefused(Code.PEER_GONE, f"{problem}: {reason}"))

    def left(self, requests: ConnectionRequests, address: str) -> None:
        """Reassign the requests that a member has not begun to reply to: it has left its group, but not the gateway."""
        for request in [request for request in requests.owed.values() if request.address == address]:
            if request.streamed or request.replying is not None:
                continue
            member = self._groups.choose(address, request.asker, except_for=requests)
            if member is None:
                return
            mailbox, incoming = request.mailbox, request.incoming
            self._reassign(request, member)
            requests.mark_withdrawn(request.key)
            if incoming is None:
                self._withdraw(requests, mailbox, request)

    def call_off(self, request: OutstandingRequest, code: int) -> None:
        """Forget a request whose reply is not wanted any more, and have its replier forget it.

        Args:
            request: an outstanding request.
            code: for ABORT of the transfers that are under way for it.
        """
        request.settle()
        replier = request.replier
        replier.mark_withdrawn(request.key)
        self._stop_reply(request, code)
        if request.incoming is not None:
            self._uploads.stop(self._session(request.asker), request.incoming, code)
        else:
            self._withdraw(replier, request.mailbox, request)

    def _obstacle(self, request: OutstandingRequest) -> str:
        """Return the reason why a request must not be reassigned; empty if it may be."""
        limit = self._outstanding.settings.max_handovers
        if request.kept is None:
            return "it was asked for by its name"
        if request.streamed:
            return "a part of the reply has come, which another member would repeat"
        if request.handovers >= limit:
            return f"after max_handovers={limit} others that did"
        return ""

    def _reassign(self, request: OutstandingRequest, member: Member) -> None:
        mailbox = member.mailbox
        self._outstanding.assign(request, member.requests, mailbox)
        peer = request.asker.connection.peer.id
        kept = request.kept
        assert kept is not None, "a request that is reassigned is to a group, and so it was kept"
        if isinstance(kept, Run):
            run = readdressed(kept, mailbox.source, peer)
            mailbox.deliver_frame(run, frame_of(run), peer, BYTE)
        elif request.incoming is not None:
            request.kept = self._uploads.redirect(self._session(request.asker), request.incoming, mailbox)
        else:
            request.kept = self._uploads.repeat(self._session(request.asker), kept, mailbox)

    def _stop_reply(self, request: OutstandingRequest, code: int = Code.TRANSFER_ABORTED) -> None:
        if request.replying is not None:
            self._uploads.stop(self._session(request.replier), request.replying, code)
            request.replying = None

    def _withdraw(self, requests: ConnectionRequests, mailbox: PubSubFanout, request: OutstandingRequest) -> None:
        cancel = Cancel(*request.key)
        mailbox.when_delivered(partial(withdraw_request, requests.connection, mailbox.source, cancel))

    def _session(self, requests: ConnectionRequests) -> Session:
        session = self._pool.get(requests.connection.peer.id)
        assert session is not None, "requests end with the connections of both sides"
        return session
