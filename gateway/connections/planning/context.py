"""Context of a plan: what was measured of workflows, streams, receivers and groups, as frozen values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import NamedTuple

from gateway.connections.arrivals import ArrivalModel
from gateway.connections.collaboration.pattern import GraphPattern
from gateway.connections.links.bottleneck import Bottleneck
from gateway.connections.outbound.link_reading import NamedPosition
from gateway.connections.planning.knob import DEFAULTS, Site
from gateway.protocol.messages import ClientType, Kind


class WorkflowFacts(NamedTuple):
    """Pattern of one workflow."""

    name: str
    pattern: GraphPattern
    confidence: float
    awaited: tuple[str, ...] = ()
    """Clients that others wait for."""
    gatherers: tuple[tuple[str, int], ...] = ()
    """Clients that take messages of several senders, and the number of these; only of a fan-in."""


class StreamFacts(NamedTuple):
    """Traffic of one stream, over the last span between two looks."""

    name: str
    workflow: str
    kind: Kind
    messages_per_s: float
    """Published messages."""
    bytes_per_s: float
    receivers: int
    """Connections that are written to directly."""
    latency_objective_s: float | None = None
    """Time within which a message is to leave; ``None``: as soon as it can."""
    arrivals: ArrivalModel | None = None
    """Model of the turns of the loop in which messages came; ``None``: they were not sampled."""


class ViewFacts(NamedTuple):
    """Bytes of the states for which a receiver has named a lower view, as they are published now."""

    full_bytes_per_s: float
    """Bytes by the views that it asked for."""
    lower_bytes_per_s: float
    """Bytes by the lower ones."""
    carried_bytes_per_s: float
    """Goodput of the link when the former were sent: less of it shows while little is sent."""


class ReceiverFacts(NamedTuple):
    """One connection that takes states, and its link."""

    peer: int
    client_id: str
    client_type: ClientType
    workflow: str
    """The workflow that sends it most."""
    demand_bytes_per_s: float
    """Bytes of the states published to it."""
    goodput_bytes_per_s: float
    """Rate at which it takes bytes when many wait."""
    excess_delay_s: float
    """Time that bytes wait on their way beyond the smallest round trip; smoothed."""
    staleness_s: float | None
    """Excess delay, and half of the time between two versions: age of the states that it has, beyond what a link
    without other traffic would make it; ``None``: it was not measured since the last look."""
    kept_up_s: float
    """Time since a version was last replaced by a newer one before it left."""
    bottleneck: Bottleneck
    """Part that keeps its states waiting."""
    program: NamedPosition | None = None
    """State in which its program is furthest behind; ``None``: in none, as far as its client tells."""
    burst_s: float = 0.0
    """Time that a burst of its states would take on the line before any of it is seen to wait; 0: it is not known."""
    views: ViewFacts | None = None
    """States that may come by a lower view; ``None``: it has named none."""


class SlowStart(NamedTuple):
    """One connection that takes states, and that has just come, or has just fallen behind."""

    peer: int
    client_id: str
    workflow: str
    """Workflow of one of its states."""
    goodput_bytes_per_s: float
    """Rate at which its system has taken bytes while any were on their way."""
    waiting_bytes: int
    """Bytes on their way that no newer version can pass: in this process, in the system, and on the line."""
    way_s: float
    """Smallest round trip."""
    queued_s: float
    """Time by which packets take longer than that now: at the begin of a fast line with a long way, none."""

    @property
    def wait_s(self) -> float:
        """Time that these bytes take, beyond the way itself."""
        return max(0.0, self.waiting_bytes / self.goodput_bytes_per_s - self.way_s)


class FanInFacts(NamedTuple):
    """One connection that takes events of many senders."""

    peer: int
    client_id: str
    workflow: str
    """The workflow whose clients send to it."""
    senders: int
    """Clients that send to it, at least: of many, the heaviest are known."""
    wait_s: float | None
    """Time that an event waits in its queue; ``None``: its rate is not known yet."""
    taken_bytes_per_s: float
    """Rate at which it takes bytes when many wait; 0: it is not known yet."""
    taken_bytes: int
    """Bytes that it has taken since the last look."""
    messages_per_s: float
    """Published events of the workflow."""
    kept_up_s: float
    """Time since so much waited last that its senders may have had to wait: half of the credit."""

    @property
    def cost_s(self) -> float | None:
        """Time until an event is delivered, of a sender that awaits each one: its turn, and the wait in the queue."""
        if self.wait_s is None or not self.messages_per_s:
            return None
        return self.wait_s + self.senders / self.messages_per_s


class QueuedFacts(NamedTuple):
    """One stream whose messages share receivers that lag with those of others."""

    stream: str
    workflow: str
    bytes_per_s: float
    """Published bytes."""
    receivers: int
    """Receivers that lag and take it."""
    wait_s: float | None
    """Mean time that a message waits in their queues; ``None``: it is not known, since none was published lately."""
    round_s: float
    """Time in which they take one turn of each other queue whose small messages are ready."""
    turn_bytes: float
    """Bytes of one such turn."""
    age_s: float
    """Age of their states, beyond what a link without other traffic would make it."""
    calm_s: float
    """Time since a round took so long last that a preference is of use."""

    @property
    def cost_s(self) -> float | None:
        """Time that its messages wait, and the age of the states that they may pass."""
        return None if self.wait_s is None else self.wait_s + self.age_s


class LargeStreamFacts(NamedTuple):
    """One stream of large messages, and the publisher of the newest one."""

    stream: str
    workflow: str
    peer: int
    """Connection of the publisher, which cuts by advice."""
    client_id: str
    payload_bytes: int
    """Size of the newest message, decoded."""
    encoded: bool
    """Whether its chunks are encoded, by its publisher or by the gateway."""
    near: bool
    """Whether no receiver is behind a line that is slower than this machine itself."""
    wait_s: float | None
    """Mean latency of its deliveries since the last look; ``None``: there was none."""


class PastFacts(NamedTuple):
    """Use of the past of one durable stream by clients that join."""

    stream: str
    workflow: str
    joins: int
    """Clients that have begun to read it from the store, lately."""
    loaded: bool
    """Whether its tail is in memory."""
    idle_s: float
    """Time since it was read last."""


class JoinFacts(NamedTuple):
    """Wave of receivers that is expected to join one state."""

    stream: str
    workflow: str
    joins: float
    """Mean number of receivers of a wave."""
    period_s: float
    """Time from one wave to the next."""
    ahead: bool
    """Whether the newest version is encoded ahead."""


class MemberFacts(NamedTuple):
    """One member of a group."""

    client_id: str
    peer: int
    outstanding: int
    """Requests that it has not replied to."""
    replies: int
    """Replies that the time was measured of."""
    service_s: float
    """Time of one request, the way to the member and back included, requests that waited there before it left out."""


class GroupFacts(NamedTuple):
    """One group that gets requests."""

    address: str
    requests_per_s: float
    wait_s: float
    """Mean time from a request to its reply, over the last span."""
    members: tuple[MemberFacts, ...]


class GatewayFacts(NamedTuple):
    """One of several gateways that share workflows."""

    address: str
    busy: float
    """Share of its loop's time that it works."""
    messages_per_s: Mapping[str, float]
    """Deliveries of each workflow there."""


@dataclass(frozen=True, slots=True)
class Context:
    """Facts that a plan is made of."""

    now_s: float
    busy: float = 0.0
    """Share of the loop's time that the gateway works, 0 to 1."""
    overloaded: bool = False
    """Whether measures against overload are in force: nothing is kept for what may come."""
    workflows: tuple[WorkflowFacts, ...] = ()
    streams: tuple[StreamFacts, ...] = ()
    receivers: tuple[ReceiverFacts, ...] = ()
    slow_starts: tuple[SlowStart, ...] = ()
    groups: tuple[GroupFacts, ...] = ()
    fan_ins: tuple[FanInFacts, ...] = ()
    queued: tuple[QueuedFacts, ...] = ()
    large_streams: tuple[LargeStreamFacts, ...] = ()
    pasts: tuple[PastFacts, ...] = ()
    joins: tuple[JoinFacts, ...] = ()
    gateways: tuple[GatewayFacts, ...] = ()
    """All gateways, this one first; empty: it is the only one."""
    settings: Mapping[Site, float] = field(default_factory=lambda: MappingProxyType({}))
    """Settings in force that are not the defaults."""

    def setting(self, site: Site) -> float:
        """Return the setting in force at a site."""
        return self.settings.get(site, DEFAULTS[site.knob])
