"""Actuator: the only place through which plans set anything, and the arbiter between them and the delivery policy."""

from __future__ import annotations

import logging
from collections.abc import Container, Iterable, Iterator
from itertools import islice
from typing import Final

from gateway.connections.fanout.delivery_class import DeliveryClass
from gateway.connections.fanout.fanout import Fanout
from gateway.connections.fanout.pubsub_fanout import PubSubFanout
from gateway.connections.heartbeat.heartbeat import Heartbeat
from gateway.connections.hub.hub import Hub
from gateway.connections.lagging.lag_changes import LagChanges
from gateway.connections.links.bottleneck import Bottleneck
from gateway.connections.lowering import Lowering
from gateway.connections.outbound.connection import Connection
from gateway.connections.outbound.link_reading import link_snapshot
from gateway.connections.planning.adjust import SettingChange
from gateway.connections.planning.context import FanInFacts, WorkflowFacts
from gateway.connections.planning.flush_window import WindowedFlusher, flush_by
from gateway.connections.planning.knob import Knob, Site
from gateway.connections.planning.pacing import begin_pacing, end_pacing
from gateway.connections.planning.rules.routings import Route
from gateway.connections.planning.sender_credit import bound_senders, drain_for_senders
from gateway.connections.ports import Clock, DeliveryPolicy
from gateway.connections.requests.groups import Groups
from gateway.connections.sessions.pool import Pool
from gateway.connections.slices import Slices
from gateway.errors import Code
from gateway.protocol.messages import Notice
from gateway.protocol.names import workflow_of
from gateway.streams.stream import Stream

logger = logging.getLogger(__name__)

FLUSHED_TOGETHER: Final = 64
"""Streams whose classes are given a flusher in one step."""

RECONSIDERED: Final = 1024
"""Receivers that lag for which a preference counts at once, in some 300 us; for others it does from a turn later on."""


class Actuator:
    """Settings of the gateway's parts.

    Args:
        pool: connections.
        hub: fan-outs of streams, and views.
        groups: members of groups.
        heartbeat: asks connections for signs of life.
        policy: chooses encodings.
        lag_changes: connections that have fallen behind or caught up.
        slices: takes the steps of connections that receive very many streams.
        clock: ends windows.

    Attributes:
        pool: the same.
        groups: the same.
        lowering: subscriptions that may get a lower view.
        lag_changes: the same.
        tails: past of durable streams that is in memory for those that join.
        joins: receivers that are expected to join states.
    """

    def __init__(
        self,
        pool: Pool,
        hub: Hub,
        groups: Groups,
        heartbeat: Heartbeat,
        policy: DeliveryPolicy,
        lag_changes: LagChanges[Connection],
        slices: Slices,
        clock: Clock,
    ) -> None:
        self.pool = pool
        self._fanouts = hub.fanouts
        self.tails = hub.fanouts.tails
        self.joins = hub.fanouts.joins
        self.groups = groups
        self._heartbeat = heartbeat
        self._policy = policy
        self.lag_changes = lag_changes
        self.lowering = Lowering(hub.views, slices)
        self._clock = clock
        self._preferred: dict[str, Stream] = {}
        """Streams that are served first where receivers lag, by name."""
        self._windows: dict[str, WindowedFlusher] = {}
        """Flushers of the workflows that have a window."""
        self._windowed: dict[str, dict[Stream, None]] = {}
        """Streams whose classes are flushed by them, by workflow."""

    def has(self, site: Site) -> bool:
        """Return whether a receiver, a group, a stream or a tail is there."""
        if site.knob is Knob.VIEW:
            session = self.pool.get(site.peer)
            return session is not None and self.lowering.may(session)
        if site.knob is Knob.PREFETCH:
            return self.tails.has(site.name)
        if site.knob is Knob.PRIORITY:
            stream = self._preferred.get(site.name) or self._fanouts.named(site.name)
            return stream is not None and stream.ended is None
        if site.knob is Knob.KEYFRAME_AHEAD:
            return self.joins.has(site.name)
        if site.knob is Knob.CHUNK_SIZE and self._fanouts.named(site.name) is None:
            return False
        if site.peer:
            return self.pool.get(site.peer) is not None
        return bool(self.groups.first_members_of(site.name, 1))

    def connection_of(self, client_id: str) -> Connection | None:
        """Return the newest connection of a client, if it stands."""
        session = self.pool.newest_of(client_id)
        return None if session is None else session.connection

    def fanout_of(self, stream: Stream) -> Fanout:
        """Return the fan-out of a stream, which has not ended."""
        return self._fanouts.of(stream)

    def encodes(self, stream: Stream, delivery: DeliveryClass) -> bool:
        """Return whether the delivery policy has payloads of a stream encoded for a delivery class."""
        return any(chain.names for chain in self._policy.in_use(stream, delivery.profile))

    def take_disturbed(self) -> frozenset[str]:
        """Return the workflows in which the delivery policy has changed an encoding since the last call.

        No effect of a plan is judged by measurements from before and behind such a change.
        """
        return frozenset([workflow_of(stream.name) for stream in self._policy.take_changed()])

    def set(self, change: SettingChange) -> bool:
        """Put a setting in force; return whether it can be: its site may be gone."""
        site, value = change.site, change.value
        logger.debug("plans: %s is set to %g: %s", site, value, change.reason)
        match site.knob:
            case Knob.FLUSH_WINDOW:
                self._set_window(site.name, value)
            case Knob.PACING:
                return self._set_pacing(site, paced=bool(value))
            case Knob.VIEW:
                session, lowered = self.pool.get(site.peer), bool(value)
                return session is not None and self.lowering.set(session, _told_of(session.connection), lowered=lowered)
            case Knob.ROUTING:
                if not value:
                    self.groups.weights.pop(site.name, None)
            case Knob.SENDER_CREDIT:
                return self._set_sender_credit(site, int(value))
            case Knob.CHUNK_SIZE:
                return self._advise_chunks(site, int(value), change.reason)
            case Knob.PRIORITY:
                return self._prefer(site.name, preferred=bool(value))
            case Knob.PREFETCH:
                if value:
                    return self.tails.load(site.name)
                self.tails.drop(site.name)
            case Knob.KEYFRAME_AHEAD:
                if value:
                    return self.joins.begin(site.name)
                self.joins.end(site.name)
            case Knob.HEARTBEAT:
                if not value:
                    self._heartbeat.awaited = frozenset()  # until the next look names those of other workflows
        return True

    def route(self, routes: Iterable[Route], settings: Iterable[Site]) -> None:
        """Give members the newest weights, in groups whose requests are led by measured times."""
        led = {site.name for site in settings if site.knob is Knob.ROUTING}
        for route in routes:
            if route.address in led:
                self.groups.weights[route.address] = {member.peer: member.weight for member in route.weights}

    def ask_often(self, workflows: Iterable[WorkflowFacts], settings: Container[Site]) -> None:
        """Have those clients asked often that others wait for, in workflows with the setting."""
        sessions = [
            self.pool.newest_of(client_id)
            for workflow in workflows
            if Site(Knob.HEARTBEAT, workflow.name) in settings
            for client_id in workflow.awaited
        ]
        self._heartbeat.awaited = frozenset([session.peer.id for session in sessions if session is not None])

    def drain_for_senders(self, receivers: Iterable[FanInFacts]) -> None:
        """Shorten the queues of receivers whose senders have a credit."""
        for receiver in receivers:
            session = self.pool.get(receiver.peer)
            if session is not None:
                drain_for_senders(session.connection, receiver.taken_bytes)

    def cover(self, streams: Iterable[Stream]) -> Iterator[None]:
        """Have delivery classes that are new flushed in the windows of their workflows, and new streams of lowered
        subscriptions come by their lower views. Yields now and then."""
        covered = [stream for each in self._windowed.values() for stream in each]
        for number, stream in enumerate(dict.fromkeys([*streams, *covered]), start=1):
            workflow = workflow_of(stream.name)
            flusher = self._windows.get(workflow)
            if flusher is not None:
                windowed = self._windowed.setdefault(workflow, {})
                if self._flush_by(stream, flusher):
                    windowed[stream] = None
                else:
                    windowed.pop(stream, None)  # ended
            if not number % FLUSHED_TOGETHER:
                yield
        for number, _ in enumerate(self.lowering.go_on(), start=1):
            if not number % FLUSHED_TOGETHER:
                yield

    def forget(self, site: Site) -> None:
        """Set nothing at a site any more: it is gone."""
        if site.knob is Knob.FLUSH_WINDOW:
            self._set_window(site.name, 0.0)
        elif site.knob is Knob.PRIORITY:
            self._prefer(site.name, preferred=False)
        elif site.knob is Knob.CHUNK_SIZE:
            self._advise_chunks(site, 0, "the stream has ended")
        elif site.knob is Knob.VIEW:
            session = self.pool.get(site.peer)
            if session is not None:
                self.lowering.forget(session)

    def end_windows(self) -> None:
        """Send every message at the end of its turn from now on."""
        for workflow in list(self._windows):
            self._set_window(workflow, 0.0)

    def _set_window(self, workflow: str, window_s: float) -> None:
        before = self._windows.pop(workflow, None)
        if window_s:
            self._windows[workflow] = WindowedFlusher(self._fanouts.flusher, self._clock, window_s)
            return
        for stream in self._windowed.pop(workflow, {}):
            self._flush_by(stream, None)
        if before is not None:
            before.flush()

    def _flush_by(self, stream: Stream, flusher: WindowedFlusher | None) -> bool:
        """Have the classes of a stream flushed by a flusher, or at the end of the turn; False: it is gone."""
        fanout = self._fanouts.of(stream) if stream.ended is None else None
        if isinstance(fanout, PubSubFanout):
            flush_by(fanout, flusher or self._fanouts.flusher)
        return fanout is not None

    def _prefer(self, name: str, *, preferred: bool) -> bool:
        """Have a stream served first where receivers lag, or in its turn; False: it is gone."""
        stream = self._preferred.pop(name, None) or self._fanouts.named(name)
        if stream is None:
            return False
        stream.preferred = preferred
        if preferred:
            self._preferred[name] = stream
        for connection in islice(self.lag_changes.lagging, RECONSIDERED):
            outbox = connection.outbox
            if outbox is not None and (queue := outbox.queue_of(stream)) is not None:
                outbox.turns.reconsider(queue)
        return True

    def _set_sender_credit(self, site: Site, nbytes: int) -> bool:
        session = self.pool.get(site.peer)
        return session is not None and bound_senders(session.connection, nbytes)

    def _advise_chunks(self, site: Site, chunk_bytes: int, reason: str) -> bool:
        session = self.pool.get(site.peer)
        if session is None or not session.peer.takes_chunk_advice:
            return False
        advice = Notice(site.name, None, None, Code.CHUNKS_ADVISED, reason, chunk_bytes=chunk_bytes or None)
        session.connection.send(advice)
        return True

    def _set_pacing(self, site: Site, *, paced: bool) -> bool:
        session = self.pool.get(site.peer)
        if session is None:
            return False
        connection = session.connection
        if not paced:
            end_pacing(connection)
        elif not begin_pacing(connection):
            return False
        code = Code.VIEW_LOWERED if paced else Code.VIEW_RESTORED
        effect = "states come to you as you read them" if paced else "states come to you as fast as you take them"
        connection.send(Notice(None, None, None, code, f"{effect}: {_told_of(connection)}"))
        return True


def _told_of(connection: Connection) -> str:
    """Return in words for a client what its connection takes: reasons and verdicts of plans are for operators."""
    link = link_snapshot(connection)
    taker = "your program reads" if link.bottleneck is Bottleneck.READER else "your link carries"
    goodput = link.quality.goodput_bytes_per_s
    return f"{taker} {goodput / 1e3:.0f} kB/s" if goodput else "the gateway adapts to your link"
