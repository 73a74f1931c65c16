"""Prometheus metrics of the gateway (from a snapshot), of its event loop and of its process.

A label has a handful of values, never a stream or a client: a gateway has 100 000 streams.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping
from typing import Final

from prometheus_client import CollectorRegistry, Histogram, PlatformCollector, ProcessCollector
from prometheus_client.core import CounterMetricFamily as Counter
from prometheus_client.core import GaugeHistogramMetricFamily as Distribution
from prometheus_client.core import GaugeMetricFamily as Gauge
from prometheus_client.core import HistogramMetricFamily, InfoMetricFamily, Metric
from prometheus_client.exposition import choose_encoder
from prometheus_client.registry import Collector
from starlette.requests import Request
from starlette.responses import Response

from gateway import __version__
from gateway.admin.http.steps import in_steps
from gateway.admin.reports.history_metrics import TrafficHistoryCollector
from gateway.connections.admission.stats import AdmissionStats
from gateway.connections.consumers.stats import ConsumerStats
from gateway.connections.core import Core
from gateway.connections.heartbeat.stats import HeartbeatStats
from gateway.connections.latency.latencies import LatencyStats
from gateway.connections.links.link_stats import LinkStats
from gateway.connections.overload.overload import OverloadSnapshot
from gateway.connections.planning.planning import PlanningStats
from gateway.connections.presence.stats import PresenceStats
from gateway.connections.snapshots import CoreSnapshot, core_snapshot
from gateway.optimizer.recording import RecordingReport
from gateway.protocol.messages import ClientType

LAG_BUCKETS_S: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5)


class CoreCollector(Collector):
    """Collector of the metric families of a snapshot.

    Attributes:
        snapshot: the snapshot that is collected; ``None``: there is none yet, and so no metric.
    """

    def __init__(self) -> None:
        self.snapshot: CoreSnapshot | None = None

    def collect(self) -> Iterator[Metric]:
        """Yield all metric families."""
        snapshot = self.snapshot
        if snapshot is None:
            return
        yield InfoMetricFamily("frys_gateway", "The gateway.", {"version": __version__})
        yield from _gauges(snapshot)
        yield from _per_kind(snapshot)
        yield from _consumers(snapshot.consumers)
        yield from _dead_letters(snapshot)
        yield from _overload(snapshot.overload)
        yield from _planning(snapshot.planning)
        yield from _admission(snapshot.admission)
        yield from _links(snapshot.links)
        yield _latency(snapshot.latency)
        yield from _presence(snapshot.presence)
        yield Counter(
            "frys_idle_closed_connections",
            "Connections closed because they did nothing for idle_timeout_s.",
            snapshot.idle_closed_connections,
        )
        yield from _heartbeat(snapshot.heartbeat)
        yield Gauge(
            "frys_held_publishers",
            "Connections that are not read, because their type or workflow has published more than its budget.",
            snapshot.publish_rates.held_publishers,
        )
        yield Gauge(
            "frys_bounded_outboxes",
            "Connections with a smaller outbox, because more waits for their type or workflow than its budget.",
            snapshot.queue_budgets.bounded_outboxes,
        )
        yield Gauge(
            "frys_observers",
            "Receivers that take acknowledged streams without acknowledging, one for each connection and stream.",
            snapshot.observers,
        )
        yield Counter(
            "frys_superseded_connections",
            "Connections closed with SUPERSEDED, because a newer program has their client_id.",
            snapshot.superseded_connections,
        )
        yield Counter(
            "frys_conflated_messages",
            "Messages of state streams replaced by newer ones in an outbox.",
            snapshot.conflated_messages,
        )
        yield Counter(
            "frys_client_conflated_messages",
            "Messages of state streams that were delivered, and replaced by newer ones because a program is slow.",
            snapshot.client_conflated_messages,
        )
        yield Counter(
            "frys_dropped_messages", "Messages of event streams dropped from an outbox.", snapshot.dropped_messages
        )
        yield Counter("frys_refused_sockets", "Sockets refused for lack of file descriptors.", snapshot.refused_sockets)
        ended = Counter("frys_ended_streams", "Streams that have ended.", labels=["reason"])
        for reason, count in snapshot.ended_streams.items():
            ended.add_metric([reason.value], count)
        yield ended
        computed, conflated = snapshot.views.counts
        yield Counter("frys_computed_views", "Entries computed for views.", computed)
        yield Counter(
            "frys_conflated_views", "Versions of states not computed for a view, because a newer one came.", conflated
        )


def _gauges(snapshot: CoreSnapshot) -> Iterator[Metric]:
    connections = Gauge("frys_connections", "Connections of clients.", labels=["client_type"])
    for client_type, count in snapshot.connections.items():
        connections.add_metric([client_type.value], count)
    yield connections
    yield Gauge("frys_greeting_connections", "Connections that have not sent HELLO.", snapshot.greeting)
    yield Gauge("frys_lagging_connections", "Connections served from their outbox.", snapshot.lagging)
    yield Gauge(
        "frys_subscriptions_out_of_credit",
        "Subscriptions whose streams wait until their client grants more.",
        snapshot.out_of_credit,
    )
    yield Gauge("frys_subscriptions", "Subscriptions of all connections.", snapshot.subscriptions)
    patterns = Gauge("frys_workflows", "Workflows that have a collaboration graph.", labels=["pattern"])
    for pattern, number in snapshot.workflows.patterns.items():
        patterns.add_metric([pattern.value], number)
    yield patterns
    yield Gauge("frys_collaboration_edges", "Edges of all collaboration graphs.", snapshot.workflows.edges)
    yield Gauge("frys_views", "Distinct views with at least one receiver.", snapshot.views.views)
    yield Gauge("frys_view_bytes", "Memory of views and of their newest messages.", snapshot.views.held_bytes)
    yield Gauge("frys_outbox_bytes", "Bytes waiting in outboxes; shared ones count in each.", snapshot.outbox_bytes)
    yield Gauge(
        "frys_transport_bytes", "Bytes written and not yet taken by the operating system.", snapshot.transport_bytes
    )
    yield Gauge(
        "frys_held_acks",
        "Acknowledgements of publishes held back while receivers are behind: their publishers wait.",
        snapshot.held_acks,
    )
    yield Gauge("frys_history_bytes", "Bytes of the histories of all streams, in memory.", snapshot.history_bytes)
    yield Gauge(
        "frys_store_waiting_bytes",
        "Bytes published to durable streams and not stored yet.",
        snapshot.store_waiting_bytes,
    )
    store = snapshot.store
    yield Gauge("frys_store_failing", "1 while messages of durable streams are not stored.", store.failing)
    yield Counter("frys_store_failures", "Failed writes, reads and checks of the store.", store.failures)
    yield Counter("frys_store_refused_messages", "Messages that were refused and not stored.", store.refused_messages)
    yield Gauge("frys_transfers", "Large messages that are being uploaded.", snapshot.transfers)
    yield Gauge("frys_requests", "Requests that wait for a reply.", snapshot.requests)
    yield Gauge(
        "frys_kept_request_bytes",
        "Bytes of requests to groups, kept in case a member is lost.",
        snapshot.kept_request_bytes,
    )
    yield Gauge(
        "frys_clock_ahead_seconds",
        "Seconds by which the machine's clock is ahead of the gateway's, which does not jump.",
        snapshot.clock_ahead_ns / 1e9,
    )
    yield Gauge("frys_draining", "1 while the gateway is stopping.", snapshot.draining)


def _planning(planning: PlanningStats) -> Iterator[Metric]:
    in_force = Gauge("frys_plan_settings", "Settings of plans that are in force.", labels=["knob"])
    for knob, count in planning.settings.items():
        in_force.add_metric([knob], count)
    adjustments = Counter("frys_plan_adjustments", "Settings that plans have tried, by outcome.", labels=["verdict"])
    for verdict, count in planning.adjustments.items():
        adjustments.add_metric([verdict], count)
    yield from (in_force, adjustments)
    yield Gauge("frys_plan_trials", "Settings whose effect is being measured.", planning.trials)
    yield Gauge("frys_plan_look_seconds", "Time that the last look of the plans took.", planning.look_s)
    yield Counter("frys_plan_failures", "Looks of the plans that have failed.", planning.failures)
    reads = Counter("frys_past_reads", "Reads of the past of durable streams, by where it was.", labels=["place"])
    reads.add_metric(["memory"], planning.past.hits)
    reads.add_metric(["store"], planning.past.misses)
    yield reads
    yield Gauge(
        "frys_prefetched_bytes", "Bytes of the past that are in memory for those that join.", planning.past.held_bytes
    )
    yield Counter(
        "frys_sent_ahead", "Receivers that got a version as it was encoded before they joined.", planning.sent_ahead
    )


def _overload(overload: OverloadSnapshot) -> Iterator[Metric]:
    yield Gauge(
        "frys_overload_stage", "Stage of measures against overload: 0 normal, 4 connections are closed.", overload.stage
    )
    entered = Counter("frys_overload_transitions", "Number of times that a stage was entered.", labels=["stage"])
    seconds = Counter("frys_overload_seconds", "Time spent in each stage.", labels=["stage"])
    for stage, count in overload.transitions.items():
        entered.add_metric([stage.label], count)
        seconds.add_metric([stage.label], overload.seconds[stage])
    yield from (entered, seconds)
    yield Gauge("frys_queued_bytes", "Bytes that wait, counted for each receiver.", overload.pressure.queued_bytes)
    yield Gauge(
        "frys_memory_limit_bytes",
        "Memory that the process is to stay within.",
        overload.pressure.memory_limit_bytes,
    )


def _links(links: Mapping[ClientType, LinkStats]) -> Iterator[Metric]:
    rtts = Distribution("frys_round_trip_seconds", "Round trips of connections, smoothed.", labels=["client_type"])
    scores = Distribution(
        "frys_link_score",
        "Scores of the links of connections that lag, have lagged of late, or have reported; 1 is best.",
        labels=["client_type"],
    )
    bottlenecks = Gauge(
        "frys_bottlenecks",
        "Connections of frys_link_score, by what holds up what is sent to them.",
        labels=["client_type", "bottleneck"],
    )
    for client_type, stats in links.items():
        for family, values in ((rtts, stats.rtt_s), (scores, stats.score)):
            family.add_metric([client_type.value], list(values.buckets.items()), values.total)
        for bottleneck, count in stats.bottlenecks.items():
            bottlenecks.add_metric([client_type.value, bottleneck.value], count)
    yield from (rtts, scores, bottlenecks)


def _per_kind(snapshot: CoreSnapshot) -> Iterator[Metric]:
    streams = Gauge("frys_streams", "Streams.", labels=["kind"])
    messages = Counter("frys_published_messages", "Messages published.", labels=["kind"])
    size = Counter("frys_published_bytes", "Bytes published, as received.", labels=["kind"])
    delivered = Counter("frys_delivered_messages", "Messages written to receivers or queued for them.", labels=["kind"])
    for kind, counts in snapshot.kinds.items():
        labels = [kind.value]
        streams.add_metric(labels, counts.streams)
        messages.add_metric(labels, counts.published_messages)
        size.add_metric(labels, counts.published_bytes)
        delivered.add_metric(labels, counts.delivered_messages)
    yield from (streams, messages, size, delivered)


def _consumers(consumers: ConsumerStats) -> Iterator[Metric]:
    by_presence = Gauge(
        "frys_consumers", "Consumers of acknowledged streams, one for each client and stream.", labels=["presence"]
    )
    by_presence.add_metric(["present"], consumers.present)
    by_presence.add_metric(["absent"], consumers.absent)
    yield by_presence
    yield Gauge(
        "frys_pending_deliveries",
        "Messages and record batches not yet acknowledged, counted for each consumer.",
        consumers.pending,
    )
    yield Gauge(
        "frys_unacknowledged_bytes", "Bytes of messages not yet acknowledged by all consumers.", consumers.held_bytes
    )
    yield Counter("frys_redelivered_messages", "Messages delivered to consumers again.", consumers.redelivered_messages)
    yield Counter(
        "frys_expired_messages",
        "Messages whose deadline passed before a consumer got them.",
        consumers.expired_messages,
    )
    yield Counter("frys_dead_lettered_messages", "Messages that became dead letters.", consumers.dead_lettered_messages)


def _dead_letters(snapshot: CoreSnapshot) -> Iterator[Metric]:
    yield Gauge(
        "frys_waiting_dead_letters",
        "Messages that are to become dead letters and are not published: on their way, or refused.",
        snapshot.waiting_dead_letters,
    )


def _latency(latency: LatencyStats) -> Metric:
    return HistogramMetricFamily(
        "frys_delivery_latency_seconds",
        "Time from the publish of a message until its last byte left for a receiver, by samples.",
        buckets=list(latency.within.items()),
        sum_value=latency.sum_s,
    )


def _presence(presence: PresenceStats) -> Iterator[Metric]:
    yield Gauge("frys_presence_scopes", "Workflows and streams that have members or watchers.", presence.scopes)
    members = Gauge("frys_presence_members", "Members of all scopes.", labels=["connection"])
    members.add_metric(["present"], presence.members - presence.away)
    members.add_metric(["away"], presence.away)
    yield members
    yield Gauge("frys_presence_watchers", "Connections that watch members, one for each scope.", presence.watchers)
    yield Gauge("frys_presence_bytes", "Metadata and awareness of all members.", presence.held_bytes)
    yield Counter("frys_presence_joins", "Members that have joined.", presence.joins)
    yield Counter("frys_presence_leaves", "Members that have left.", presence.leaves)
    yield Counter("frys_presence_frames", "Frames about members, counted for each watcher.", presence.sent_frames)


def _heartbeat(heartbeat: HeartbeatStats) -> Iterator[Metric]:
    yield Counter("frys_pings", "WebSocket pings to clients.", heartbeat.pings)
    timeouts = Counter(
        "frys_heartbeat_timeouts", "Connections closed with HEARTBEAT_TIMEOUT, by the reason.", labels=["reason"]
    )
    timeouts.add_metric(["silent"], heartbeat.silent)
    timeouts.add_metric(["deaf"], heartbeat.deaf)
    timeouts.add_metric(["vanished"], heartbeat.vanished)
    yield timeouts


def _admission(stats: AdmissionStats) -> Iterator[Metric]:
    admitted = Counter(
        "frys_admitted_clients",
        "Clients that were let in, by the type in their URL.",
        labels=["client_type"],
    )
    for client_type, count in stats.admitted.items():
        admitted.add_metric([client_type], count)
    yield admitted
    refused = Counter(
        "frys_refused_clients",
        "Clients that were told to return later, before their handshake or at HELLO.",
        labels=["reason", "client_type"],
    )
    for reason, by_type in stats.refused.items():
        for client_type, count in by_type.items():
            refused.add_metric([reason, client_type], count)
    yield refused
    yield Counter(
        "frys_refused_participants",
        "Aliases and subscriptions that were refused, because their workflow has as many connections as it may have.",
        stats.refused_by_workflows,
    )


class Metrics:
    """Metrics of one gateway.

    Args:
        core: the gateway.
        recording: reports on its traffic history; ``None``: it has none.

    Attributes:
        in_turn: held while a long answer of the admin port is made: of many requests at once, one is served at a time.
    """

    def __init__(self, core: Core, recording: RecordingReport | None = None) -> None:
        self._core = core
        self.in_turn = asyncio.Lock()
        self._registry = CollectorRegistry()
        self._collector = CoreCollector()
        if recording is not None:
            self._registry.register(TrafficHistoryCollector(recording))
        self._registry.register(self._collector)
        ProcessCollector(registry=self._registry)
        PlatformCollector(registry=self._registry)
        lag = Histogram(
            "frys_loop_lag_seconds", "Lag of the event loop.", registry=self._registry, buckets=LAG_BUCKETS_S
        )
        self.observe_lag = lag.observe

    async def show(self, request: Request) -> Response:
        """Answer a scrape of Prometheus."""
        encode, content_type = choose_encoder(request.headers.get("accept", ""))
        async with self.in_turn:
            self._collector.snapshot = await in_steps(core_snapshot(self._core))
            text = encode(self._registry)
        return Response(text, headers={"content-type": content_type})
