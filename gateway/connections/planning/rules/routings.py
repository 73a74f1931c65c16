"""Rule of routing: requests to a group are led by measured times where its members take times that differ."""

from __future__ import annotations

from typing import Final, NamedTuple

from gateway.connections.planning.context import Context, GroupFacts, MemberFacts
from gateway.connections.planning.knob import Knob, Measure, Site

UNEQUAL: Final = 1.5
"""Ratio of the times of two members from which requests are led by times."""

LEAST_REPLIES: Final = 8
"""Replies of a member from which its time counts."""


class MemberWeight(NamedTuple):
    """Weight of one member: requests that it has are counted so many times."""

    peer: int
    client_id: str
    weight: float


class Route(NamedTuple):
    """Weights of the members of one group."""

    address: str
    weights: tuple[MemberWeight, ...]


def routes(context: Context) -> tuple[Route, ...]:
    """Return the weights of the members of each group whose members take times that differ."""
    return tuple([_route(group) for group in context.groups if _is_unequal(group)])


def routings(context: Context) -> list[Measure]:
    """Return the groups whose members take times that differ."""
    measures = []
    for group in context.groups:
        site = Site(Knob.ROUTING, group.address)
        if not _is_unequal(group) and not (context.setting(site) and _is_unequal(group, UNEQUAL / 1.25)):
            continue
        times = [member.service_s for member in _measured(group)]
        fast, slow = min(times) * 1e3, max(times) * 1e3
        reason = f"a request takes from {fast:.1f} to {slow:.1f} ms, as the member of {group.address} that gets it"
        measures.append(Measure(site, 1.0, group.address, reason))
    return measures


def _measured(group: GroupFacts) -> list[MemberFacts]:
    return [member for member in group.members if member.replies >= LEAST_REPLIES and member.service_s > 0]


def _is_unequal(group: GroupFacts, ratio: float = UNEQUAL) -> bool:
    times = [member.service_s for member in _measured(group)]
    return len(times) >= 2 and max(times) >= ratio * min(times)


def _route(group: GroupFacts) -> Route:
    """Return the weights of the members: the times of their requests, relative to the fastest."""
    fastest = min([member.service_s for member in _measured(group)])
    return Route(
        group.address,
        tuple([MemberWeight(each.peer, each.client_id, each.service_s / fastest) for each in _measured(group)]),
    )
