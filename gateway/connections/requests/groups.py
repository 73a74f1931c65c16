"""Which connections are members of which groups, and which of them gets the next request (spec section 8.2)."""

from __future__ import annotations

from typing import NamedTuple

from gateway.connections.fanout.pubsub_fanout import PubSubFanout
from gateway.connections.sessions.outstanding_requests import REQUEST_BYTES, ConnectionRequests
from gateway.ids import PeerId

NEAR_NS = 1_000_000
"""Round trips below this are all the same; above it a member is as far as another whose round trip is half of it."""


class Member(NamedTuple):
    """A connection as a member of one group."""

    desk: ConnectionRequests
    mailbox: PubSubFanout
    """Brings it the group's requests."""


class Groups:
    """The members of all groups."""

    def __init__(self) -> None:
        self._members: dict[str, dict[PeerId, Member]] = {}

    def __len__(self) -> int:
        return len(self._members)

    def join(self, address: str, member: Member) -> None:
        """Add a member to ``group:<name>``."""
        self._members.setdefault(address, {})[member.desk.connection.peer.id] = member
        member.desk.groups.add(address)

    def leave(self, address: str, desk: ConnectionRequests) -> None:
        """Remove a member."""
        desk.groups.remove(address)
        members = self._members[address]
        del members[desk.connection.peer.id]
        if not members:
            del self._members[address]

    def choose(self, address: str, asker: ConnectionRequests, but: ConnectionRequests | None = None) -> Member | None:
        """The member that gets the next request: the least loaded, of equals the one that has waited longest.

        Looks at every member: 0.5 us each (CPython 3.11, November 2026).

        Args:
            address: ``group:<name>``.
            asker: who asks; it gets its own request only if it is the only member.
            but: a member that is not asked.
        """
        members = self._members.get(address, {})
        there = [each for each in members.values() if each.desk is not but and not each.desk.connection.closed]
        if not there:
            return None
        chosen = min(there, key=lambda member: (member.desk is asker, *_burden(member.desk)))
        # To the end: of equals the first is chosen, and so each in turn.
        members[chosen.desk.connection.peer.id] = members.pop(chosen.desk.connection.peer.id)
        return chosen


def _burden(desk: ConnectionRequests) -> tuple[bool, int, bool, int]:
    """What is compared: no room at all, requests not answered yet, behind with reading, far away."""
    connection = desk.connection
    rtt_ns = 0 if connection.link is None else connection.link.rtt_ns
    return (
        connection.queue_full,
        desk.load_bytes // REQUEST_BYTES,
        connection.lagging,
        (rtt_ns // NEAR_NS).bit_length(),
    )
