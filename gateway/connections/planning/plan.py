"""Plan: the settings that the facts call for, each with its reason in words. A pure function of frozen values."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from gateway.connections.collaboration.pattern import GraphPattern
from gateway.connections.links.bottleneck import Bottleneck
from gateway.connections.overload.measures import SHED_FIRST, ShedGroup
from gateway.connections.planning.context import (
    Context,
    GroupFacts,
    MemberFacts,
    ReceiverFacts,
    StreamFacts,
)
from gateway.connections.planning.knob import Knob, Measure, Site

CLEAR: Final = 0.6
"""Confidence from which a pattern decides what is tried."""

WRITE_S: Final = 8e-6
"""Time of the loop for one write to one receiver: a system call over loopback (November 2026)."""

BUSY: Final = 0.5
CALM: Final = 0.3
"""Shares of the loop's time, as they would be without windows, from which windows pay, and below which they end."""

LEAST_SHARE: Final = 0.1
"""Share of the loop's time that the writes of a workflow take, at least, if a window is to pay."""

COLLECTED: Final = 4
"""Messages that a window is to collect."""

WINDOWS_S: Final = (0.001, 0.002, 0.005)
"""Windows that are tried: the longest one delays less than a frame of a screen takes."""

LATE_S: Final = 0.1
"""Queue delay from which versions of states leave as they are read."""

KEPT_UP_S: Final = 10.0
"""Time for which a paced receiver must get every version before it is looked whether it need be paced."""

UNEQUAL: Final = 1.5
"""Ratio of the times of two members from which requests are led by times."""

LEAST_REPLIES: Final = 8
"""Replies of a member from which its time counts."""

MOVE_BUSY: Final = 0.8
MOVE_ROOM: Final = 0.5
"""Shares of the time of a loop from which a gateway gives workflows away, and up to which another one takes them."""

TRIED: Final = {
    GraphPattern.BROADCAST: (Knob.FLUSH_WINDOW, Knob.PACING),
    GraphPattern.FAN_IN: (Knob.PACING, Knob.ROUTING),
    GraphPattern.PIPELINE: (Knob.PACING,),
    GraphPattern.REQUEST_REPLY: (Knob.PACING, Knob.ROUTING),
    GraphPattern.MESH: (Knob.FLUSH_WINDOW, Knob.PACING),
    GraphPattern.IDLE: (Knob.PACING, Knob.ROUTING),
}
"""Knobs that are turned for each pattern: a window would delay each stage of a pipeline, and each request."""


class MemberWeight(NamedTuple):
    """Weight of one member: requests that it has are counted so many times."""

    peer: int
    client_id: str
    weight: float


class Route(NamedTuple):
    """Weights of the members of one group."""

    address: str
    weights: tuple[MemberWeight, ...]


class Move(NamedTuple):
    """Advice that the clients of a workflow connect to another gateway."""

    workflow: str
    address: str
    reason: str


class PoolPlan(NamedTuple):
    """Order in which connections are given up under pressure."""

    shed_first: tuple[ShedGroup, ...] = SHED_FIRST


class Strategy(NamedTuple):
    """Knobs that are tried for one workflow."""

    workflow: str
    knobs: tuple[Knob, ...]
    reason: str


@dataclass(frozen=True, slots=True)
class ConnectionManagementPlan:
    """Settings that the facts call for."""

    routes: tuple[Route, ...] = ()
    moves: tuple[Move, ...] = ()
    pool: PoolPlan = field(default_factory=PoolPlan)
    quality: tuple[Measure, ...] = ()
    """Settings that are wanted, each at a site of its own; elsewhere the defaults are."""
    adaptation: tuple[Strategy, ...] = ()
    """Strategy of each workflow whose pattern is clear; other workflows get only what helps in every pattern."""


def plan(context: Context) -> ConnectionManagementPlan:
    """Return the plan for what is known now."""
    strategies = tuple(
        [
            Strategy(each.name, TRIED[each.pattern], f"{each.pattern} with confidence {each.confidence:.2f}")
            for each in context.workflows
            if each.confidence >= CLEAR
        ]
    )
    knobs = {strategy.workflow: strategy.knobs for strategy in strategies}
    measures = [*_windows(context, knobs), *_paces(context), *_routings(context)]
    return ConnectionManagementPlan(
        tuple([_route(group) for group in context.groups if _is_unequal(group)]),
        tuple(_moves(context)),
        PoolPlan(),
        tuple(measures),
        strategies,
    )


def _windows(context: Context, knobs: dict[str, tuple[Knob, ...]]) -> list[Measure]:
    """Return the flush windows of the workflows whose writes keep the loop busy."""
    by_workflow = defaultdict[str, list[StreamFacts]](list)
    for stream in context.streams:
        by_workflow[stream.workflow].append(stream)
    sites = {name: Site(Knob.FLUSH_WINDOW, name) for name in by_workflow}
    saved = {
        name: sum([_writing(each, 0.0) - _writing(each, context.setting(sites[name])) for each in streams])
        for name, streams in by_workflow.items()
    }
    unbatched = context.busy + sum(saved.values())
    measures = []
    for name, streams in by_workflow.items():
        site, writing = sites[name], sum([_writing(stream, 0.0) for stream in streams])
        in_force = context.setting(site)
        if Knob.FLUSH_WINDOW not in knobs.get(name, (Knob.FLUSH_WINDOW,) if in_force else ()):
            continue
        if unbatched < (CALM if in_force else BUSY) or writing < LEAST_SHARE * (CALM / BUSY if in_force else 1.0):
            continue
        busiest = max(streams, key=lambda stream: _writing(stream, 0.0))
        window_s = in_force or _window_of(busiest.messages_per_s)
        if not window_s:
            continue
        measures.append(
            Measure(
                site,
                window_s,
                name,
                f"the loop would be busy for {min(unbatched, 1.0):.0%} of its time, {min(writing, 1.0):.0%} to write"
                f" {sum([each.messages_per_s for each in streams]):.0f} messages/s of {name} to up to"
                f" {busiest.receivers} receivers, one by one",
            )
        )
    return measures


def _writing(stream: StreamFacts, window_s: float) -> float:
    """Return the share of the loop's time that writing takes with a flush window."""
    writes_per_s = min(stream.messages_per_s, 1 / window_s) if window_s else stream.messages_per_s
    return writes_per_s * stream.receivers * WRITE_S


def _window_of(messages_per_s: float) -> float:
    """Return the shortest window that collects some messages; the longest, if it collects two; 0: none does."""
    for window_s in WINDOWS_S:
        if messages_per_s * window_s >= COLLECTED:
            return window_s
    return WINDOWS_S[-1] if messages_per_s * WINDOWS_S[-1] >= 2 else 0.0


def _paces(context: Context) -> list[Measure]:
    """Return the receivers whose links carry less than the states that are published to them."""
    measures = []
    for receiver in context.receivers:
        site = Site(Knob.PACING, receiver.client_id, receiver.peer)
        reason = _pace_reason(receiver, paced=bool(context.setting(site)))
        if reason:
            measures.append(Measure(site, 1.0, receiver.workflow, reason))
    return measures


def _pace_reason(receiver: ReceiverFacts, *, paced: bool) -> str:
    """Return why a receiver is to be paced; empty: it is not."""
    demand, goodput = receiver.demand_bytes_per_s, receiver.goodput_bytes_per_s
    taker = "its program reads" if receiver.bottleneck is Bottleneck.READER else "its link carries"
    carried = f"{demand / 1e3:.0f} kB/s of states are published to it, and {taker} {goodput / 1e3:.0f} kB/s"
    if paced:
        return carried if receiver.kept_up_s < KEPT_UP_S else ""
    if not demand or receiver.queue_delay_s < LATE_S:
        return ""
    return f"what is sent to it waits {receiver.queue_delay_s * 1e3:.0f} ms on its way; {carried}"


def _routings(context: Context) -> list[Measure]:
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


def _moves(context: Context) -> list[Move]:
    """Return the workflows whose clients are better served by another gateway."""
    if len(context.gateways) < 2:
        return []
    here, *others = context.gateways
    free = min(others, key=lambda gateway: gateway.busy)
    moves = []
    for name, messages_per_s in sorted(here.messages_per_s.items(), key=lambda item: item[1]):
        home = max(others, key=lambda gateway: gateway.messages_per_s.get(name, 0.0))
        there = home.messages_per_s.get(name, 0.0)
        if there > 2 * messages_per_s and home.busy < MOVE_BUSY:
            share = there / (there + messages_per_s)
            moves.append(Move(name, home.address, f"{share:.0%} of the messages of {name} are delivered there"))
        elif here.busy >= MOVE_BUSY and free.busy <= MOVE_ROOM and not moves:
            moves.append(Move(name, free.address, f"busy for {here.busy:.0%} of the time here, {free.busy:.0%} there"))
    return moves
