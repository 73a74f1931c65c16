"""Facts reader: reads the context of a plan, and the costs of its settings, from the parts of the gateway."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Collection, Generator, Iterable, Iterator, Mapping
from itertools import islice
from typing import Final

from gateway.connections.collaboration.workflows import Workflows
from gateway.connections.planning.actuator import Actuator
from gateway.connections.planning.context import (
    Context,
    GroupFacts,
    JoinFacts,
    PastFacts,
    SlowStart,
    StreamFacts,
    WorkflowFacts,
)
from gateway.connections.planning.facts.arrival_watch import ArrivalWatch
from gateway.connections.planning.facts.fan_in_watch import FanInWatch
from gateway.connections.planning.facts.large_streams import LargeStreamWatch
from gateway.connections.planning.facts.receiver_watch import ReceiverWatch
from gateway.connections.planning.facts.roles import awaited_in, gatherers_in
from gateway.connections.planning.facts.turn_watch import TurnWatch
from gateway.connections.planning.facts.watched_group import WatchedGroup
from gateway.connections.planning.knob import Knob, Site
from gateway.connections.planning.rules.chunk_sizes import site_of
from gateway.connections.planning.rules.flush_windows import window_cost_s, windows_of
from gateway.connections.planning.rules.paces import first_paces
from gateway.connections.ports import Clock
from gateway.connections.requests.groups import Groups
from gateway.protocol.names import workflow_of
from gateway.streams.stream import Stream

MAX_GROUPS: Final = 64
MAX_MEMBERS: Final = 256
"""Groups that are watched, and members of each."""

MAX_WORKFLOWS: Final = 256
"""Workflows in which clients are found that others wait for."""

MAX_LAGS: Final = 64
"""Measurements of the lag of the loop that are kept for the next look: nobody may look any more."""

STEP: Final = 16
"""Workflows and streams that are looked at between two chances for the loop: some hundred microseconds."""


class FactsReader:
    """Measurements that last from one look to the next.

    Args:
        actuator: tells which connections lag, and the receivers of streams.
        workflows: patterns, and rates of streams.
        groups: members of groups.
        clock: time.
        thread_time_s: returns the time for which this thread has worked.
    """

    def __init__(
        self,
        actuator: Actuator,
        workflows: Workflows,
        groups: Groups,
        clock: Clock,
        thread_time_s: Callable[[], float],
    ) -> None:
        self._actuator = actuator
        self._workflows = workflows
        self._groups = groups
        self._clock = clock
        self._thread_time_s = thread_time_s
        self._watch = ReceiverWatch(actuator.pool, actuator.lag_changes, actuator.lowering, clock)
        self._slow_starts: list[SlowStart] = []
        self._watched_groups: dict[str, WatchedGroup] = {}
        self._arrivals = ArrivalWatch(actuator.fanout_of, clock)
        self._fan_ins = FanInWatch(actuator.connection_of)
        self._turns = TurnWatch(actuator.lag_changes)
        self._large = LargeStreamWatch(actuator.pool, actuator.fanout_of, actuator.encodes, clock)
        self._lags_s: deque[float] = deque(maxlen=MAX_LAGS)
        self._worked_s = self._looked_s = 0.0

    @property
    def settling(self) -> Collection[Site]:
        """Sites at which what had waited before a change still does."""
        return self._fan_ins.settling

    def observe_lag(self, lag_s: float) -> None:
        """Take a measurement of the lag of the loop."""
        self._lags_s.append(lag_s)

    def forget(self) -> None:
        """Measure anew from now on."""
        self._watch.forget()
        self._slow_starts = []
        self._watched_groups = {}
        self._arrivals.forget()
        self._fan_ins.forget()
        self._turns.forget()
        self._large.forget()
        self._lags_s.clear()

    def glance(self) -> bool:
        """Return whether so much waits for a receiver that has just come or fallen behind that it is paced now."""
        self._slow_starts = self._watch.slow_starts(self._clock.monotonic_s())
        return bool(first_paces(self._slow_starts))

    def read(self, settings: Mapping[Site, float], *, overloaded: bool = False) -> Generator[None, None, Context]:
        """Return the facts of now. Yields now and then, for the loop.

        Args:
            settings: settings in force.
            overloaded: whether measures against overload are in force.
        """
        now_s, worked_s = self._clock.monotonic_s(), self._thread_time_s()
        busy = min((worked_s - self._worked_s) / max(now_s - self._looked_s, 1e-3), 1.0) if self._looked_s else 0.0
        self._looked_s, self._worked_s = now_s, worked_s
        receivers = yield from self._watch.read(now_s)
        groups = yield from self._read_groups()
        streams = yield from self._read_streams()
        workflows = yield from self._read_workflows({stream.workflow for stream in streams})
        fan_ins = yield from self._fan_ins.read(workflows, streams, settings.keys(), now_s)
        queued = yield from self._turns.read(self._workflows.streams, receivers, settings.keys(), now_s)
        return Context(
            now_s,
            busy,
            overloaded,
            tuple(workflows),
            tuple(streams),
            tuple(receivers),
            tuple(self._slow_starts),
            tuple(groups),
            tuple(fan_ins),
            tuple(queued),
            tuple(self._large.read(self._workflows.streams)),
            tuple(self._read_pasts()),
            tuple(self._read_joins()),
            settings=settings,
        )

    def costs(self, context: Context) -> dict[Site, float | None]:
        """Return the cost of each site, of settings in force or not, since the last call."""
        costs: dict[Site, float | None] = {}
        lag_s = sum(self._lags_s) / len(self._lags_s) if self._lags_s else None
        self._lags_s.clear()
        for site, objective_s in windows_of(context):
            costs[site] = (
                None if lag_s is None else window_cost_s(lag_s, context.setting(site), context.busy, objective_s)
            )
        for receiver in context.receivers:
            for knob in (Knob.PACING, Knob.VIEW) if receiver.views is not None else (Knob.PACING,):
                costs[Site(knob, receiver.client_id, receiver.peer)] = receiver.staleness_s
        for fan_in in context.fan_ins:
            site = Site(Knob.SENDER_CREDIT, fan_in.client_id, fan_in.peer)
            costs[site] = None if site in self._fan_ins.settling else fan_in.cost_s
        for queued in context.queued:
            costs[Site(Knob.PRIORITY, queued.stream)] = queued.cost_s
        for large in context.large_streams:
            costs[site_of(large)] = large.wait_s
        for group in context.groups:
            costs[Site(Knob.ROUTING, group.address)] = group.wait_s if group.requests_per_s else None
        return costs

    def _read_workflows(self, busy: Iterable[str]) -> Generator[None, None, list[WorkflowFacts]]:
        """Read workflows whose streams have messages, and some whose clients ask each other."""
        first = [each.name for each in islice(self._workflows, MAX_WORKFLOWS) if each.graph.edges]
        facts: list[WorkflowFacts] = []
        for number, name in enumerate(dict.fromkeys([*first, *busy]), start=1):
            workflow = self._workflows.of(name)
            if workflow is not None:
                pattern, confidence = workflow.recognition.pattern, workflow.recognition.confidence
                awaited = awaited_in(workflow.graph, pattern) if number <= len(first) else ()
                gatherers = gatherers_in(workflow.graph, pattern) if number <= len(first) else ()
                facts.append(WorkflowFacts(name, pattern, confidence, awaited, gatherers))
            if not number % STEP:
                yield
        return facts

    def _read_pasts(self) -> Iterator[PastFacts]:
        for stream, joins, loaded, idle_s in self._actuator.tails.uses():
            yield PastFacts(stream.name, workflow_of(stream.name), joins, loaded, idle_s)

    def _read_joins(self) -> Iterator[JoinFacts]:
        for stream, name, waves, ahead in self._actuator.joins.expected():
            yield JoinFacts(name, workflow_of(stream.name), waves.burst, waves.interval_s, ahead)

    def _read_groups(self) -> Generator[None, None, list[GroupFacts]]:
        facts: list[GroupFacts] = []
        watched: dict[str, WatchedGroup] = {}
        for address in self._groups.addresses(MAX_GROUPS):
            now_s = self._clock.monotonic_s()  # the look has begun a while ago
            group = watched[address] = self._watched_groups.get(address) or WatchedGroup(address, now_s)
            facts.append(group.look(self._groups.first_members_of(address, MAX_MEMBERS), now_s))
            yield
        self._watched_groups = watched
        return facts

    def _read_streams(self) -> Generator[None, None, list[StreamFacts]]:
        facts: dict[Stream, StreamFacts] = {}
        for number, (stream, rate) in enumerate(list(self._workflows.streams.items()), start=1):
            if stream.ended is None and not stream.kind.acknowledged:
                facts[stream] = StreamFacts(
                    stream.name,
                    workflow_of(stream.name),
                    stream.kind,
                    rate.messages_per_s,
                    rate.bytes_per_s,
                    self._actuator.fanout_of(stream).receivers,
                    stream.config.latency_objective_s,
                )
            if not number % STEP:
                yield
        facts = {stream: each for stream, each in facts.items() if stream.ended is None}
        return (yield from self._arrivals.look(facts))
