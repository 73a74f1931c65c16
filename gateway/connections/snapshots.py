"""Snapshots for monitoring: immutable values, made on request from counters that the parts keep anyway.

To be called on the loop's thread. A gateway may have 50 000 connections and 100 000 streams, so a function that looks
at all of them works in steps, between which the loop runs other callbacks.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Generator, Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final, NamedTuple

from gateway.connections.admission.stats import AdmissionStats
from gateway.connections.collaboration.workflow import WorkflowStats
from gateway.connections.consumers.stats import ConsumerStats
from gateway.connections.core import Core
from gateway.connections.fanout.delivery_class import DeliveryClass
from gateway.connections.fanout.pubsub_fanout import PubSubFanout
from gateway.connections.heartbeat.stats import HeartbeatStats
from gateway.connections.hub.stats import KindStats, ViewStats
from gateway.connections.latency.latencies import LatencyStats
from gateway.connections.links.link_stats import LinkCounter, LinkStats
from gateway.connections.outbound.link_reading import LinkSnapshot, link_quality, link_snapshot, queued_bytes_of
from gateway.connections.overload.overload import OverloadSnapshot
from gateway.connections.overload.queue_budgets import QueueBudgetStats
from gateway.connections.planning.planning import PlanningStats
from gateway.connections.presence.stats import PresenceStats
from gateway.connections.rates.publish_rates import PublishRateStats
from gateway.connections.sessions.session import Session
from gateway.ids import Epoch, PeerId, StreamId, StreamName
from gateway.protocol.durability import Durability
from gateway.protocol.encoding import Chain
from gateway.protocol.messages import ClientType, EndReason, Kind
from gateway.protocol.state import State
from gateway.protocol.tensors import TensorSpec
from gateway.streams.state import PublishedEncoding, published_encoding, specs_of
from gateway.streams.store_health import StoreHealth
from gateway.streams.stream import Stream

STEP = 512
"""Connections, streams or consumers between two chances for the loop: about a millisecond."""


@dataclass(frozen=True, slots=True)
class ConnectionSnapshot:
    """One connection."""

    peer: PeerId
    address: str
    """Address and port of its socket; of a client behind a proxy those of the proxy. Empty: it has none."""
    opened_s: float
    """Time at which it was opened, by the gateway's monotonic clock."""
    client_id: str
    client_type: ClientType
    generation: int
    """Generation of its program: higher for one that came later."""
    agent: str
    subprotocol: str
    """The subprotocol, or ``local``."""
    state: State
    subscriptions: int
    aliases: int
    """Streams and addresses that it has opened."""
    transfers: int
    """Large messages on their way from it."""
    asked: int
    """Requests of its own that wait for a reply."""
    owed: int
    """Requests that it has to reply to."""
    groups: tuple[str, ...]
    """Groups that the client is a member of."""
    lagging: bool
    out_of_credit: int
    """Subscriptions that name credits and have none left: their streams wait until the client grants more."""
    paced: bool
    """Whether states leave for it only as it reads them."""
    lowered: int
    """Subscriptions that get their lower view."""
    waiting_bytes: int
    """Bytes in its outbox and its transport."""
    conflated: int
    client_conflated: int
    """Versions of states that its library has conflated, because its program is slow."""
    dropped: int
    link: LinkSnapshot


class EncodingInUse(NamedTuple):
    """Chain by which payloads of a stream go to some of its receivers."""

    chain: Chain
    ratio: float | None
    """Size sent over size published, as it is known; ``None``: it is not."""
    receivers: int


@dataclass(frozen=True, slots=True)
class StreamSnapshot:
    """One stream."""

    id: StreamId
    name: StreamName
    kind: Kind
    epoch: Epoch
    durability: Durability
    first_offset: int
    """Offset of the oldest message that can be read again; the next offset if there is none."""
    next_offset: int
    subscribers: int
    """Connections that receive it as it is; clients that are there, if its kind is acknowledged."""
    viewers: int
    """Connections that receive views of it, each view counted."""
    observers: int
    """Connections that take it without acknowledging, though its kind is acknowledged."""
    consumers: int
    """Clients that it is kept for until they acknowledge, there or waited for; other kinds have none."""
    pending: int
    """Messages and record batches that they have not acknowledged, each consumer counted."""
    published_bytes: int
    delivered_messages: int
    """Messages written to its receivers or queued for them, each receiver counted; of its views, none."""
    conflated: int
    """Versions that newer ones replaced in outboxes, each receiver counted; of its views as well."""
    client_conflated: int
    """Versions that were replaced in the libraries of clients, whose programs are slow."""
    dropped: int
    """Messages that were lost to receivers, each counted; of its views as well."""
    history_bytes: int
    """The past of the stream that is held in memory."""
    unacknowledged_bytes: int
    """Cost in memory of the messages that consumers have not acknowledged."""
    encodings: tuple[EncodingInUse, ...]
    """Chains by which the gateway encodes payloads for receivers; other receivers get them as published."""
    published_encoding: PublishedEncoding | None
    """Encoding of the newest message by its publisher; ``None``: there is none, or its kind keeps no message."""
    newest: tuple[TensorSpec, ...] | None
    """The tensors of the newest message; ``None``: there is none, or its kind keeps none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CoreSnapshot:
    """The gateway with all its connections and streams. Sums over connections are 0 while there is none."""

    draining: bool
    greeting: int = 0
    """Connections that have not said HELLO."""
    refused_sockets: int = 0
    """Sockets refused for lack of file descriptors."""
    connections: Mapping[ClientType, int]
    kinds: Mapping[Kind, KindStats]
    consumers: ConsumerStats
    """The consumers of all streams whose receivers acknowledge."""
    observers: int = 0
    """Receivers that take such streams without acknowledging, each stream counted."""
    subscriptions: int = 0
    transfers: int = 0
    requests: int = 0
    """Requests that wait for a reply."""
    kept_request_bytes: int = 0
    """Bytes of requests to groups, kept for another member should one be lost."""
    lagging: int = 0
    out_of_credit: int = 0
    """Subscriptions that name credits and have none left."""
    outbox_bytes: int = 0
    transport_bytes: int = 0
    """Written to connections and not yet taken by the operating system."""
    held_acks: int
    """Acknowledgements of publishes that are held back while receivers are behind."""
    waiting_dead_letters: int
    """Messages that are to become dead letters and are not published yet."""
    history_bytes: int
    """The past of all streams that is held in memory."""
    store_waiting_bytes: int
    """Published to durable streams and not stored yet."""
    clock_ahead_ns: int
    """Nanoseconds by which the machine's clock is ahead of the gateway's."""
    store: StoreHealth
    """Whether messages of durable streams are stored, and the failures so far."""
    conflated_messages: int = 0
    client_conflated_messages: int = 0
    """Delivered, and replaced by newer ones in the libraries of clients."""
    dropped_messages: int = 0
    superseded_connections: int = 0
    """Connections that were closed with ``SUPERSEDED``: a newer program has their ``client_id``."""
    views: ViewStats
    ended_streams: Mapping[EndReason, int]
    """Streams that have ended, by the reason."""
    workflows: WorkflowStats
    presence: PresenceStats
    """Members of all workflows and streams."""
    heartbeat: HeartbeatStats
    overload: OverloadSnapshot
    planning: PlanningStats
    admission: AdmissionStats
    links: Mapping[ClientType, LinkStats]
    latency: LatencyStats
    """Latency of deliveries, by samples."""
    publish_rates: PublishRateStats
    queue_budgets: QueueBudgetStats
    idle_closed_connections: int = 0
    """Connections that were closed because they did nothing."""


MAX_LISTED_GROUPS: Final = 32
"""Groups of one connection that a list of connections names."""


def connection_snapshot(session: Session) -> ConnectionSnapshot:
    """Return the numbers of one connection."""
    connection = session.connection
    outbox, requests = connection.outbox, session.requests.stats()
    return ConnectionSnapshot(
        peer=session.peer.id,
        address=connection.transport.peer_address(),
        opened_s=session.opened_s,
        client_id=session.peer.client_id,
        client_type=session.peer.client_type,
        generation=session.peer.generation,
        agent=session.peer.agent,
        subprotocol=connection.format.name,
        state=State.CLOSED if connection.closed else session.state,
        subscriptions=len(session.subscriptions) + len(session.views),
        aliases=len(session.bindings),
        transfers=len(session.transfers),
        asked=requests.asked,
        owed=requests.owed,
        groups=requests.groups[:MAX_LISTED_GROUPS],
        lagging=connection.lagging,
        out_of_credit=session.out_of_credit,
        paced=connection.paced,
        lowered=sum([wanted.lowered for wanted in session.views.values()]),
        waiting_bytes=queued_bytes_of(connection),
        conflated=0 if outbox is None else outbox.conflated,
        client_conflated=connection.accounts.client_conflated,
        dropped=0 if outbox is None else outbox.dropped,
        link=link_snapshot(connection),
    )


def stream_snapshot(core: Core, stream: Stream) -> StreamSnapshot:
    """Return the numbers of one stream; reads the head of its newest message, never the payload."""
    stats, fanout = core.hub.stream_stats(stream), core.hub.fanouts.of(stream)
    return StreamSnapshot(
        id=stream.id,
        name=stream.name,
        kind=stream.kind,
        epoch=stream.epoch,
        durability=stream.durability,
        first_offset=stream.first_offset,
        next_offset=stream.next_offset,
        subscribers=stats.subscribers,
        viewers=stats.viewers,
        observers=stats.observers,
        consumers=stats.consumers.present + stats.consumers.absent,
        pending=stats.consumers.pending,
        published_bytes=stream.published_bytes,
        delivered_messages=fanout.delivered_messages,
        conflated=stream.conflated_messages,
        client_conflated=stream.client_conflated_messages,
        dropped=stream.dropped_messages,
        history_bytes=stream.history.held_bytes,
        unacknowledged_bytes=stats.consumers.held_bytes,
        encodings=_encodings_of(core, stream, fanout.classes) if isinstance(fanout, PubSubFanout) else (),
        published_encoding=None if stream.newest is None else published_encoding(stream.newest),
        newest=None if stream.newest is None else specs_of(stream.newest),
    )


def _encodings_of(core: Core, stream: Stream, classes: Iterable[DeliveryClass]) -> tuple[EncodingInUse, ...]:
    found: dict[Chain, EncodingInUse] = {}
    for delivery in classes:
        if delivery.format.takes_chunks:
            for chain, ratio in core.policy.in_use(stream, delivery.profile).items():
                before = found.get(chain)
                found[chain] = EncodingInUse(chain, ratio, len(delivery) + (0 if before is None else before.receivers))
    return tuple(found.values())


def core_snapshot(core: Core) -> Generator[None, None, CoreSnapshot]:
    """Count everything: yields every :data:`STEP` items, and returns the result.

    Counters never go back from one snapshot to the next: what connections that left in between have counted is in the
    copy of the list that is worked through.
    """
    sums = Counter(
        conflated_messages=core.conflated_messages,
        client_conflated_messages=core.client_conflated_messages,
        dropped_messages=core.dropped_messages,
    )
    clients, links = Counter(dict.fromkeys(ClientType, 0)), LinkCounter()
    for index, session in enumerate(core.pool, start=1):
        _count_connection(session, sums, clients, links)
        if not index % STEP:
            yield
    hub = yield from core.hub.stats()
    return CoreSnapshot(
        draining=core.draining,
        refused_sockets=core.refused_sockets,
        connections=MappingProxyType(clients),
        kinds=hub.kinds,
        consumers=hub.consumers,
        observers=hub.observers,
        superseded_connections=core.superseded_connections,
        held_acks=hub.held_acks,
        history_bytes=core.streams.budget.held_bytes + core.streams.dead_letters.held_bytes,
        waiting_dead_letters=core.dead_letters.waiting_messages,
        store_waiting_bytes=core.gate.waiting_bytes,
        clock_ahead_ns=core.clock.ahead_ns,
        store=core.gate.store_health,
        views=hub.views,
        ended_streams=hub.ended_streams,
        workflows=core.workflows.stats(),
        presence=core.presence.stats(),
        heartbeat=core.heartbeat.stats(),
        overload=core.overload.snapshot(),
        planning=core.planning.stats(),
        admission=core.admission.stats(),
        links=links.stats(),
        latency=core.latency.latencies.stats(core.clock.monotonic_s()),
        publish_rates=core.publish_rates.stats(),
        queue_budgets=core.overload.budgets.stats(),
        idle_closed_connections=core.idle_sessions.closed,
        **sums,
    )


def _count_connection(session: Session, sums: Counter[str], clients: Counter[ClientType], links: LinkCounter) -> None:
    connection = session.connection
    if session.state is State.GREETING and not connection.closed:
        sums["greeting"] += 1
    else:
        clients[session.peer.client_type] += 1
        if (round_trip := connection.round_trip) is not None:
            links.add_round_trip(session.peer.client_type, round_trip.smoothed_s)
        if connection.link is not None:
            score = link_quality(connection).score
            links.add_link(session.peer.client_type, score, connection.link.bottleneck)
    sums["subscriptions"] += len(session.subscriptions) + len(session.views)
    sums["transfers"] += len(session.transfers)
    requests = session.requests.stats()
    sums["requests"] += requests.asked
    sums["kept_request_bytes"] += requests.kept_bytes
    sums["lagging"] += connection.lagging
    sums["out_of_credit"] += session.out_of_credit
    sums["transport_bytes"] += connection.transport.waiting_bytes()
    sums["client_conflated_messages"] += connection.accounts.client_conflated
    if connection.outbox is not None:
        sums["outbox_bytes"] += connection.outbox.waiting_bytes
        sums["conflated_messages"] += connection.outbox.conflated
        sums["dropped_messages"] += connection.outbox.dropped
