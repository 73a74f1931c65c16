"""Watched group: members that answer requests, measured from one look to the next by counters that are kept anyway."""

from __future__ import annotations

from collections.abc import Collection
from math import exp
from typing import Final, NamedTuple

from gateway.connections.planning.context import GroupFacts, MemberFacts
from gateway.connections.requests.groups import Member
from gateway.ids import PeerId

FORGOTTEN_S: Final = 60.0
"""Time constant with which what was measured of a member is forgotten: one that was slow once has its turn again."""

MAX_REPLIES: Final = 32.0
"""Replies that the time of a member is the mean of, about."""


class _Counts(NamedTuple):
    """Counts of one member."""

    answered: int
    busy_so_far_s: float
    waited_so_far_s: float
    replies: float = 0.0
    """Replies that are remembered."""
    busy_s: float = 0.0
    """Time in which it had requests, while these replies came."""


class WatchedGroup:
    """Measurements of one group.

    The time for which a member had requests, divided by those that it has answered, is the time of one: requests that
    wait there for others leave it as it is. A member of several groups counts with all of its requests in each.

    Args:
        address: the group.
        now_s: time of the first look.
    """

    __slots__ = ("_counts", "_looked_s", "address")

    def __init__(self, address: str, now_s: float) -> None:
        self.address = address
        self._looked_s = now_s
        self._counts: dict[PeerId, _Counts] = {}

    def look(self, members: Collection[Member], now_s: float) -> GroupFacts:
        """Return what was measured since the last look."""
        span_s, self._looked_s = max(now_s - self._looked_s, 1e-3), now_s
        counts: dict[PeerId, _Counts] = {}
        facts = []
        answered, waited_s = 0, 0.0
        for member in members:
            peer = member.requests.connection.peer
            before = self._counts.get(peer.id)
            each = counts[peer.id] = _count(before, member, now_s, span_s)
            if before is not None:
                answered += each.answered - before.answered
                waited_s += each.waited_so_far_s - before.waited_so_far_s
            service_s = each.busy_s / each.replies if each.replies >= 1 else 0.0
            outstanding = len(member.requests.owed)
            facts.append(MemberFacts(peer.client_id, peer.id, outstanding, int(each.replies), service_s))
        self._counts = counts
        # Little's law, with the mean number of requests that were there.
        wait_s = waited_s / answered if answered else 0.0
        return GroupFacts(self.address, answered / span_s, wait_s, tuple(facts))


def _count(before: _Counts | None, member: Member, now_s: float, span_s: float) -> _Counts:
    """Return the counts of one member."""
    requests = member.requests
    requests.count_time(now_s)
    now = _Counts(requests.answered, requests.busy_s, requests.waited_s)
    if before is None:
        return now
    kept = exp(-span_s / FORGOTTEN_S)
    replies = kept * before.replies + now.answered - before.answered
    busy_s = kept * before.busy_s + now.busy_so_far_s - before.busy_so_far_s
    scale = min(1.0, MAX_REPLIES / max(replies, 1.0))
    return now._replace(replies=scale * replies, busy_s=scale * busy_s)
