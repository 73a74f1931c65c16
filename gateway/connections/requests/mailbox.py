"""Mailbox of a connection: a fan-out with a single receiver, for requests and replies (spec section 8)."""

from __future__ import annotations

from functools import partial

from gateway.connections.fanout.pubsub_fanout import PubSubFanout
from gateway.connections.hub.fanout_registry import FanoutRegistry
from gateway.connections.outbound.inbox_source import InboxSource
from gateway.connections.outbound.no_entries import with_entry
from gateway.connections.sessions.outstanding_requests import ConnectionRequests
from gateway.errors import RequestRefused
from gateway.protocol.names import inbox_of


def own_mailbox(fanouts: FanoutRegistry, requests: ConnectionRequests) -> PubSubFanout:
    """Return the mailbox for the replies to a connection and the requests to its client; open it if need be."""
    address = inbox_of(requests.connection.peer.client_id)
    return requests.mailboxes.get(address) or _open(fanouts, requests, InboxSource(address, partial(_refuse, requests)))


def group_mailbox(fanouts: FanoutRegistry, requests: ConnectionRequests, address: str, number: int) -> PubSubFanout:
    """Return the mailbox for the requests to a group of which a connection is a member; open it if need be.

    Args:
        fanouts: makes the fan-out of a new mailbox.
        requests: of the member.
        address: the group.
        number: subscription of the member, which names the group in its messages.
    """
    mailbox = requests.mailboxes.get(address)
    if mailbox is None:
        return _open(fanouts, requests, InboxSource(address, partial(_refuse, requests), number))
    # The connection was a member before, and owes replies from that time.
    assert isinstance(mailbox.source, InboxSource)
    mailbox.source.id = number
    return mailbox


def close_unused(requests: ConnectionRequests) -> None:
    """Close the mailboxes of groups that a connection has left, once it owes them no reply and none has messages."""
    connection = requests.connection
    used = (
        {request.address for request in requests.owed.values()}
        | requests.groups.keys()
        | {inbox_of(connection.peer.client_id)}
    )
    for address in requests.mailboxes.keys() - used:
        mailbox = requests.mailboxes[address]
        waiting_bytes = 0 if connection.outbox is None else connection.outbox.waiting_bytes_of(mailbox.source)
        if mailbox.idle and not waiting_bytes:
            mailbox.leave(connection)
            del requests.mailboxes[address]


def _open(fanouts: FanoutRegistry, requests: ConnectionRequests, source: InboxSource) -> PubSubFanout:
    mailbox = fanouts.new_pubsub(source)
    requests.mailboxes = with_entry(requests.mailboxes, source.name, mailbox)
    mailbox.join(requests.connection, mailbox.start(requests.connection, None))
    return mailbox


def _refuse(requests: ConnectionRequests, asker_peer: int, correlation: int, refusal: RequestRefused) -> None:
    """Refuse a request that cannot be written for its replier; not if another member of the group has it meanwhile."""
    request = requests.owed.get((asker_peer, correlation))
    if request is not None:
        request.refuse(refusal)
