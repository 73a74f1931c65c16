"""What brings requests and replies to one connection: a fan-out with a single receiver (spec section 8)."""

from __future__ import annotations

from functools import partial

from gateway.connections.fanout.pubsub_fanout import PubSubFanout
from gateway.connections.hub.fanout_registry import FanoutRegistry
from gateway.connections.outbound.inbox_source import InboxSource
from gateway.connections.sessions.outstanding_requests import ConnectionRequests
from gateway.errors import RequestRefused
from gateway.protocol.names import inbox_of


def own_mailbox(fanouts: FanoutRegistry, desk: ConnectionRequests) -> PubSubFanout:
    """What brings a connection the replies to it, and the requests to its client."""
    address = inbox_of(desk.connection.peer.client_id)
    return desk.mailboxes.get(address) or _open(fanouts, desk, InboxSource(address, partial(_refuse, desk)))


def group_mailbox(fanouts: FanoutRegistry, desk: ConnectionRequests, address: str, number: int) -> PubSubFanout:
    """What brings a member the requests to its group, by its subscription ``number``."""
    mailbox = desk.mailboxes.get(address)
    if mailbox is None:
        return _open(fanouts, desk, InboxSource(address, partial(_refuse, desk), number))
    # It was a member before, and owes replies from that time.
    assert isinstance(mailbox.source, InboxSource)
    mailbox.source.id = number
    return mailbox


def close_unused(desk: ConnectionRequests) -> None:
    """Close the mailboxes of groups that the connection has left, once it owes nothing any more and nothing waits."""
    connection = desk.connection
    used = {request.address for request in desk.owed.values()} | desk.groups | {inbox_of(connection.peer.client_id)}
    for address in desk.mailboxes.keys() - used:
        mailbox = desk.mailboxes[address]
        waiting_bytes = 0 if connection.outbox is None else connection.outbox.waiting_bytes_of(mailbox.source)
        if mailbox.idle and not waiting_bytes:
            mailbox.leave(connection)
            del desk.mailboxes[address]


def _open(fanouts: FanoutRegistry, desk: ConnectionRequests, source: InboxSource) -> PubSubFanout:
    mailbox = desk.mailboxes[source.name] = fanouts.new_pubsub(source)
    mailbox.join(desk.connection, mailbox.start(desk.connection, None))
    return mailbox


def _refuse(desk: ConnectionRequests, asker_peer: int, correlation: int, refusal: RequestRefused) -> None:
    """Refuse a request that cannot be written for its replier; not if another member of the group has it meanwhile."""
    request = desk.owed.get((asker_peer, correlation))
    if request is not None:
        request.refuse(refusal)
