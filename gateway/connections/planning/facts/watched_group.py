"""Watched group: members that answer requests, measured from one look to the next by counters that are kept anyway."""

from __future__ import annotations

from collections.abc import Collection
from typing import NamedTuple

from gateway.connections.planning.context import GroupFacts, MemberFacts
from gateway.connections.requests.groups import Member
from gateway.ids import PeerId

REMEMBERED: float = 0.8
"""Part of the counts that is kept from one look to the next."""


class _Counts(NamedTuple):
    """Counts of one member."""

    delivered: int
    outstanding: int
    replies: float = 0.0
    busy_s: float = 0.0
    """Time in which it had requests, while these replies came."""


class WatchedGroup:
    """Measurements of one group.

    A member that has requests at two looks is taken to have had some in between: the time, divided by its replies, is
    the time of one. So requests cost nothing while they pass.

    Args:
        address: the group.
        now_s: time of the first look.
    """

    __slots__ = ("_counts", "_looked_s", "_replies_per_s", "address")

    def __init__(self, address: str, now_s: float) -> None:
        self.address = address
        self._looked_s = now_s
        self._counts: dict[PeerId, _Counts] = {}
        self._replies_per_s = 0.0

    def look(self, members: Collection[Member], now_s: float) -> GroupFacts:
        """Return what was measured since the last look."""
        span_s, self._looked_s = max(now_s - self._looked_s, 1e-3), now_s
        counts: dict[PeerId, _Counts] = {}
        facts = []
        replies = outstanding = 0
        for member in members:
            peer = member.requests.connection.peer
            counts[peer.id], came = self._count(self._counts.get(peer.id), member, span_s)
            replies += came
            each = counts[peer.id]
            outstanding += each.outstanding
            service_s = each.busy_s / each.replies if each.replies >= 1 else 0.0
            facts.append(MemberFacts(peer.client_id, peer.id, each.outstanding, int(each.replies), service_s))
        self._counts = counts
        self._replies_per_s = REMEMBERED * self._replies_per_s + (1 - REMEMBERED) * replies / span_s
        # Little's law: requests that are there, by requests that are answered in a second.
        wait_s = outstanding / self._replies_per_s if self._replies_per_s else 0.0
        return GroupFacts(self.address, replies / span_s, wait_s, tuple(facts))

    def _count(self, before: _Counts | None, member: Member, span_s: float) -> tuple[_Counts, int]:
        """Return the counts of one member, and the replies since the last look."""
        delivered, outstanding = member.mailbox.delivered_messages, len(member.requests.owed)
        if before is None:
            return _Counts(delivered, outstanding), 0
        came = max(0, delivered - before.delivered - (outstanding - before.outstanding))
        if not came or not (outstanding and before.outstanding):
            return before._replace(delivered=delivered, outstanding=outstanding), came
        return (
            _Counts(
                delivered,
                outstanding,
                REMEMBERED * before.replies + came,
                REMEMBERED * before.busy_s + span_s,
            ),
            came,
        )
