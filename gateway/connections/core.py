"""Core: the gateway without its sockets; it constructs and connects the parts that all connections share."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Generator
from random import Random
from typing import Final

from gateway.connections.access import Access, Withdrawals
from gateway.connections.admission.admission import Admission
from gateway.connections.collaboration.workflows import Workflows
from gateway.connections.consumers.context import ConsumerContext
from gateway.connections.consumers.dead_letters import DeadLetters
from gateway.connections.consumers.detached_consumers import DetachedConsumers
from gateway.connections.consumers.prepared_deliveries import KeptForms
from gateway.connections.core_settings import CoreSettings
from gateway.connections.deletions import Deletions
from gateway.connections.dispatcher import Dispatcher, drained
from gateway.connections.draining import Round, closing, spread_s, telling
from gateway.connections.fanout.patch_merger import PatchMerger
from gateway.connections.heartbeat.heartbeat import Heartbeat
from gateway.connections.hub.hub import Hub
from gateway.connections.inbound.chunked_uploads import ChunkedUploads
from gateway.connections.inbound.commit_gate import CommitGate
from gateway.connections.inbound.partial_uploads import PartialUploads
from gateway.connections.inbound.router import Router
from gateway.connections.inbound.stream_closing import StreamClosing
from gateway.connections.input_budget import InputBudget
from gateway.connections.lagging.lag_changes import LagChanges
from gateway.connections.latency.sampling import LatencySampling
from gateway.connections.links.links import SAMPLE_S, Links
from gateway.connections.outbound.connection import Connection
from gateway.connections.outbound.delivery_accounts import DeliveryAccounts, SubscribedStreams
from gateway.connections.outbound.formats import Format
from gateway.connections.outbound.link_reading import next_offset_of, read_counts
from gateway.connections.outbound.peer import Peer
from gateway.connections.overload.dashboard_states import DashboardStates
from gateway.connections.overload.overload import Overload
from gateway.connections.overload.relief import Relief
from gateway.connections.planning.actuator import Actuator
from gateway.connections.planning.planning import Planning
from gateway.connections.ports import Authorizer, Clock, DeliveryPolicy, DurableStore, Memory, Threads, Transport
from gateway.connections.presence.presence_handler import PresenceHandler
from gateway.connections.rates.publish_rates import PublishRates
from gateway.connections.requests.requests import Requests
from gateway.connections.sessions.grant import TypeAuthorizer
from gateway.connections.sessions.greeting import Greeter
from gateway.connections.sessions.idle_sessions import IdleSessions
from gateway.connections.sessions.notices import Notices
from gateway.connections.sessions.pool import Pool
from gateway.connections.sessions.session import Session
from gateway.connections.sliced_workers import SlicedWorkers
from gateway.connections.slices import Slices
from gateway.connections.subscribe_handler import SubscribeHandler
from gateway.connections.subscribe_parts import SubscribeParts
from gateway.connections.sweeps import Sweep
from gateway.connections.viewing.context import ViewContext
from gateway.errors import Code, PeerError, ProtocolViolation
from gateway.protocol.codecs import FILTER_NAMES
from gateway.protocol.negotiation import PATCH, Capabilities
from gateway.streams.large import TransferNumbers
from gateway.streams.producers import Producers
from gateway.streams.stream_registry import StreamRegistry

AGE_INTERVAL_S: Final = 1.0
"""Interval at which messages that are too old are dropped."""

LOST_BACKLOG_BYTES: Final = 64 * 1024 * 1024
"""Input of all lost connections together that is still handled; what is lost with more is not."""
LOST_BACKLOG_S: Final = 10.0
"""Longest time after the loss of a connection in which its input is still handled."""


class Core:
    """State that all connections share; the server hands connections and their messages to it.

    Args:
        settings: limits and times.
        clock: time, and the end of the turn.
        threads: threads for encoding.
        policy: chooses encodings.
        authorizer: authenticates clients.
        store: keeps the streams that outlive the process; absent: there are none.
        memory: memory of the process; absent: it is not known, and does not count as pressure.

    Attributes:
        admission: decides about clients that come.
        slices: long work on the loop's thread.
        input_budget: time of a turn for fresh input.
        dead_letters: messages that no consumer has processed, on their way to the streams of dead letters.
        producers: publishes of each producer that have been accepted.
        presence: members of workflows and streams.
        workflows: collaboration graphs.
        overload: pressure on the gateway, and the stage of measures against it.
        latency: samples of the time that deliveries take.
        links: measured connections.
        access: authentication of clients, and their permissions until they expire.
        planning: settings that are tried, and kept or rolled back.
        sweeps: work that recurs, for the server to repeat.
        conflated_messages: messages that newer ones replaced in the outboxes of connections that are gone.
        client_conflated_messages: messages that newer ones replaced in the libraries of clients that are gone.
        lag_changes: connections that have fallen behind or caught up.
        dropped_messages: messages dropped from these outboxes.
        told: round in which all clients are told that the gateway stops; ``None``: it does not.
        drain_ends_s: time at which all connections are closed then.
        on_drain: begins to stop for an operator, who is named in words; returns the seconds that it takes at most.
        drain_address: URL of the gateway to which clients are to go then; ``None``: they come back to this one.
        misconfigured: the setting with which no client can work, and its remedy; empty if there is none.
        refused_sockets: sockets that the server refused for lack of file descriptors.
    """

    def __init__(
        self,
        settings: CoreSettings,
        clock: Clock,
        threads: Threads,
        policy: DeliveryPolicy,
        authorizer: Authorizer,
        store: DurableStore | None = None,
        memory: Memory | None = None,
    ) -> None:
        limits = settings.limits
        withdrawals = authorizer if isinstance(authorizer, Withdrawals) else None
        self.access = Access(TypeAuthorizer(authorizer), clock, withdrawals)
        self.settings = settings
        self.clock = clock
        self.slices = Slices(clock)
        workers = SlicedWorkers(threads, self.slices)
        self.input_budget = InputBudget(clock)
        self.pool = Pool()
        self.admission = Admission(settings.max_connections, settings.admission, self.pool.population)
        transfers = TransferNumbers(secrets.randbelow(2**32))
        self.streams = StreamRegistry(
            limits.max_streams,
            settings.rules,
            settings.history_total_bytes,
            durable=store is not None,
            max_expanded_bytes=limits.max_expanded_bytes,
        )
        self.producers = Producers(clock.monotonic_s)
        if store is not None:
            store.restore(self.streams, transfers, self.producers)
        self.dead_letters = DeadLetters(self, workers, self.streams, settings.consumers.dead_letter_bytes)
        notices = Notices(self.pool, clock)
        detached = DetachedConsumers(clock, settings.consumers, settings.rules)
        consumers = ConsumerContext(
            settings.consumers,
            clock,
            workers,
            store,
            self.producers,
            notices,
            self.dead_letters,
            detached,
            KeptForms(),
            self.slices,
        )
        self.merger = PatchMerger(workers, transfers)
        self.lag_changes: LagChanges[Connection] = LagChanges()
        hold_s = settings.delivery.max_event_hold_s
        views = ViewContext(clock, workers, limits, transfers, policy, self.merger, self.lag_changes, hold_s)
        self.gate = CommitGate(store)
        self._partial_uploads = PartialUploads(limits, clock, settings.transfer_timeout_s, self.gate)
        closing = StreamClosing(self.gate, self._partial_uploads, self.producers, self.pool)
        self.hub = Hub(self.streams, views, consumers, closing, self.slices)
        times = settings.heartbeat_interval_s, settings.hello_timeout_s
        self.heartbeat = Heartbeat(self.pool, clock, *times, settings.heartbeat, self.disconnect)
        self._subscribed = SubscribedStreams(limits)
        self.draining = False
        self.told: Round | None = None
        self._waited_for: Session | None = None
        """A connection that something waited of or for at the last look."""
        self.drain_ends_s: float | None = None
        self.on_drain: Callable[[str], float] = lambda _: 0.0
        self.drain_address: str | None = None
        self.conflated_messages = self.client_conflated_messages = self.dropped_messages = 0
        self.policy = policy
        self.misconfigured = ""
        self.refused_sockets = 0
        self._uploads = ChunkedUploads(
            limits, self._partial_uploads, self.gate, transfers, self.merger, self.streams.expansion
        )
        self._requests = Requests(limits, settings.requests, self.pool, self.hub.fanouts, self._uploads, clock)
        self.links: Links[Connection] = Links(self.lag_changes, read_counts, next_offset_of, clock)
        self.workflows = Workflows(self.pool, self.streams, self.hub, self._requests.groups, clock, self.slices)
        kept = settings.delivery.outbox_limit_bytes, settings.history_total_bytes, self.streams.budget
        paces = views.pace, DashboardStates(self.pool, self.hub.fanouts)
        relief = Relief(*kept, *paces, self.admission, self.pool, self.slices)
        self.overload = Overload(settings.overload, memory, self.lag_changes, self._other_bytes, relief, clock)
        self.latency = LatencySampling(
            lambda: [*self.hub.fanouts, *[view.fanout for view in self.hub.views]], clock, Random()
        )
        groups = self._requests.groups
        actuator = Actuator(self.pool, self.hub, groups, self.heartbeat, policy, self.lag_changes, self.slices, clock)
        self.planning = Planning(settings.planning, actuator, self.workflows, groups, self.overload, clock)
        self._subscriptions = SubscribeHandler(
            limits,
            SubscribeParts(self.streams, limits.max_streams),
            self.hub,
            self.pool,
            self._requests,
            self.access,
            self.producers,
            self._partial_uploads,
            self.workflows.traffic,
            self.admission.participants,
            clock,
            self.slices,
        )
        self.presence = PresenceHandler(settings.presence, clock, self.slices)
        self._deletions = Deletions(self.hub, self.streams, self.gate)
        self._greeter = Greeter(
            Capabilities(codecs=settings.codecs.names, filters=(*FILTER_NAMES, PATCH), limits=limits),
            self.access,
            clock,
            settings.heartbeat_interval_s,
            self.pool,
            self.admission,
            self._part,
        )
        idle_timeout_s = settings.admission.idle_timeout_s
        self.idle_sessions = IdleSessions(self.pool, idle_timeout_s, clock, self.presence.attends)
        self.publish_rates = PublishRates(self.pool, settings.admission, clock, settings.heartbeat_interval_s)
        self.sweeps: tuple[Sweep, ...] = (
            Sweep(lambda: self.heartbeat.tick_s, self.heartbeat.sweep),
            Sweep(lambda: settings.consumer_sweep_interval_s, self.sweep_consumers),
            Sweep(lambda: self.workflows.pause_s, self.workflows.begin_sweep),
            self.presence.sweep,
            self.publish_rates.sweep,
            self.idle_sessions.sweep,
            self.access.sweep,
            Sweep(lambda: SAMPLE_S, self.links.sweep),
            self.latency.sweep,
            Sweep(lambda: AGE_INTERVAL_S, self.trim_histories),
            *self.overload.sweeps,
            *self.planning.sweeps,
        )
        self.dispatcher = Dispatcher(
            Router(limits, self._uploads, self._partial_uploads, self.gate, self.merger, self.streams.expansion),
            self._uploads,
            self._requests,
            self.hub,
            self._subscriptions,
            self._deletions,
            self.presence,
            self._greeter,
            self.links,
            clock,
            self.input_budget,
            self.hub.fanouts.flusher,
        )
        self._lost_bytes = 0
        """Input of connections that are lost, in their backlogs."""

    @property
    def superseded_connections(self) -> int:
        """Connections that were closed with ``SUPERSEDED``: a newer program has their ``client_id``."""
        return self._greeter.superseded_connections

    def connect(self, transport: Transport, form: Format) -> Session:
        """Add a connection and return its session, whose messages go to :meth:`receive`."""
        peer = Peer(self.pool.next_peer())
        settings, clock, accounts = self.settings.delivery, self.clock, DeliveryAccounts(self._subscribed)
        connection = Connection(
            peer, transport, form, settings, clock, accounts, self.merger, self.lag_changes, self.slices
        )
        session = Session(connection, self.slices, self.clock.monotonic_s())
        if self.draining:
            connection.close(Code.GOING_AWAY, "the gateway is stopping")
            return session
        try:
            self.admission.check_room(clock.monotonic_s())
        except ProtocolViolation as refusal:
            session.fail(refusal)
        else:
            self.pool.add(session)
            self.heartbeat.add(session)
        return session

    def receive(self, session: Session, data: bytes) -> None:
        """Handle one binary message of a connection."""
        session.heard = True
        self.dispatcher.handle(session, data)

    def disconnect(self, session: Session) -> None:
        """Remove a connection whose transport is gone; before, handle what it has sent and is not handled yet.

        Does nothing for one that :meth:`_part` has removed, or is about to.
        """
        if session.lost or self.pool.get(session.peer.id) is not session:
            return
        self.presence.drop(session)
        self.admission.participants.drop(session.peer.id)
        self.hub.lose(session)
        backlog = session.pending
        if backlog is None or session.connection.closed:
            self._remove(session)
            return
        lost_bytes = backlog.waiting_bytes
        if self._lost_bytes + lost_bytes > LOST_BACKLOG_BYTES:
            backlog.drop()
            self._remove(session)
            return
        self._lost_bytes += lost_bytes

        def gone() -> None:
            self._lost_bytes -= lost_bytes
            self._remove(session)

        def give_up() -> None:
            if session.pending is backlog:
                backlog.drop()

        backlog.lose(gone)
        self.clock.call_later(LOST_BACKLOG_S, give_up)

    def _part(self, session: Session, error: PeerError) -> None:
        """Close a connection whose ``client_id`` another one has now: from this moment on it counts as lost.

        A connection that is being closed for another reason is not told of it.
        """
        if not session.connection.closed:
            session.part(error)
        self.disconnect(session)

    def _remove(self, session: Session) -> None:
        session.connection.detach()
        self.access.forget(session)
        self.client_conflated_messages += session.connection.accounts.client_conflated
        outbox = session.connection.outbox
        if outbox is not None:
            self.conflated_messages += outbox.conflated
            self.dropped_messages += outbox.dropped
        self._partial_uploads.drop(session)
        self._subscriptions.drop(session)
        self._requests.drop(session)
        self._deletions.drop(session)
        self.hub.drop(session)
        self.pool.remove(session)

    def trim_histories(self) -> Generator[None, None, None]:
        """Trim messages that are too old. Yields now and then, for the loop."""
        now_ns = round(self.clock.monotonic_s() * 1e9)
        yield from self.streams.budget.trim(now_ns)
        yield from self.streams.dead_letters.trim(now_ns)

    def sweep_consumers(self) -> Generator[None, None, None]:
        """Check deadlines and timeouts; to be called every ``consumer_sweep_interval_s`` of the settings.

        Yields now and then, for the loop.
        """
        self.dead_letters.sweep()
        return self.hub.sweep()

    def _other_bytes(self) -> int:
        """Return the bytes that wait elsewhere than for one connection."""
        history_bytes = self.streams.budget.held_bytes + self.streams.dead_letters.held_bytes
        return history_bytes + self.gate.waiting_bytes + self.hub.views.memory.held_bytes

    def go_away(self, reason: str, deadline_s: float, telling_s: float = 0.0) -> Round:
        """Begin to tell every client that the gateway will close within ``deadline_s`` (spec section 3.3).

        Args:
            reason: reason, for people.
            deadline_s: time within which all connections are closed.
            telling_s: longest time in which all clients are told; 0: all at once.

        Returns:
            the round in which they are told: to be taken further until it is over.
        """
        self.draining = self.admission.draining = True
        self.planning.stop()
        for fanout in self.hub.fanouts:
            fanout.release_acks()
        self.drain_ends_s = self.clock.monotonic_s() + deadline_s
        seconds, address = spread_s(len(self.pool), telling_s), self.drain_address
        self.told = telling(self.pool, reason, deadline_s, seconds, self.clock, address=address)
        self.told.go_on()
        return self.told

    @property
    def drained(self) -> bool:
        """Whether nothing is under way: no transfer or request, nothing to store or encode, nothing to deliver."""
        if not (self.gate.idle and self.hub.idle and self.hub.fanouts.sent and self.dead_letters.idle):
            return False
        last = self._waited_for
        if last is None or drained(last) or self.pool.get(last.peer.id) is not last:
            # All connections are looked at only when that one is done: with very many, a look takes 0.1 s.
            self._waited_for = next((session for session in self.pool if not drained(session)), None)
        return self._waited_for is None

    def close_all(self, code: int, reason: str, closing_s: float = 0.0) -> Round:
        """Begin to close every connection, in at most ``closing_s``, and return the round in which that is done."""
        closed = closing(self.pool, code, reason, spread_s(len(self.pool), closing_s), self.clock)
        closed.go_on()
        return closed
