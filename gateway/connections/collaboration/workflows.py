"""Workflows: the collaboration graphs of all workflows, brought up to date by a sweep over counters.

A sweep takes small steps among those of other long work, and the next one begins later the longer it has taken.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator, Iterator, Mapping
from types import MappingProxyType
from typing import Final

from gateway.connections.collaboration.graph import FEW_PLACES, NO_COUNTS, PLACES, Flow, FlowCounts, advancing
from gateway.connections.collaboration.pattern import GraphPattern
from gateway.connections.collaboration.recognition import recognize
from gateway.connections.collaboration.traffic import FLOW_COST, IDLE_COST, MAX_WORKFLOWS, StreamRate, Traffic
from gateway.connections.collaboration.workflow import Workflow, WorkflowStats
from gateway.connections.hub.hub import Hub
from gateway.connections.ports import Clock
from gateway.connections.requests.groups import Groups
from gateway.connections.sessions.pool import Pool
from gateway.connections.slices import LET_GO_TOGETHER, Slices, Step, let_go, step_of
from gateway.ids import ClientId
from gateway.protocol.messages import ClientType
from gateway.protocol.names import is_address
from gateway.streams.stream import Stream
from gateway.streams.stream_registry import StreamRegistry

SWEEP_INTERVAL_S: Final = 1.0
"""Least time between the beginnings of two sweeps."""

SWEEP_SHARE: Final = 0.005
"""Part of one core that sweeps may take: a long one is followed by a pause of so many times its length."""

LEAST_SPAN_S: Final = 0.001
"""Length that a span has at least, so that there is a rate in it."""

STEP_COST: Final = 2048
"""Cost of one step, as :meth:`~gateway.connections.collaboration.traffic.Traffic.take` counts it: some 0.4 ms."""

WORKFLOW_COST: Final = 256
EDGE_COST: Final = 16
"""Costs of bringing a graph up to date: of itself, and of each edge and flow."""

NOWHERE: Final = frozenset[str]()
"""Workflows of a client that takes part in none."""

MAX_EDGES: Final = 65_536
"""Edges of all graphs together, some 15 MB; beyond them a graph has at most those of few clients."""


class Workflows:
    """Graphs of all workflows.

    Args:
        pool: all connections.
        streams: all streams.
        hub: their receivers.
        groups: members of groups.
        clock: time between sweeps.
        slices: takes the steps of a sweep.

    Attributes:
        traffic: what has been counted since the last sweep.
        streams: rates of streams that had messages in the last span, of very many of some.
        on_counts: called with the name of a workflow, the length of the span, and the counts that its graph gets;
            ``None``: nobody records them.
    """

    def __init__(
        self, pool: Pool, streams: StreamRegistry, hub: Hub, groups: Groups, clock: Clock, slices: Slices
    ) -> None:
        self._pool = pool
        self._streams = streams
        self._clock = clock
        self._slices = slices
        self._workflows: dict[str, Workflow] = {}
        self.traffic = Traffic(pool, hub, groups, self._workflows)
        self.streams: Mapping[Stream, StreamRate] = {}
        self.on_counts: Callable[[str, float, FlowCounts], object] | None = None
        self._edges = 0
        self._last_id = 0
        self._counted_s = clock.monotonic_s()
        self._step: Step | None = None
        """Step of the sweep that is under way."""
        self._spent_s = 0.0
        """Time that the sweep has taken so far, or the last one in all."""

    def __iter__(self) -> Iterator[Workflow]:
        return iter(self._workflows.values())

    def of(self, name: str) -> Workflow | None:
        """Return a workflow, if it has a graph."""
        return self._workflows.get(name)

    def __len__(self) -> int:
        return len(self._workflows)

    @property
    def pause_s(self) -> float:
        """Time to wait before the next sweep is begun."""
        return max(SWEEP_INTERVAL_S, self._spent_s / SWEEP_SHARE)

    def stats(self) -> WorkflowStats:
        """Return the numbers of all workflows."""
        patterns = dict.fromkeys(GraphPattern, 0)
        for workflow in self:
            patterns[workflow.recognition.pattern] += 1
        return WorkflowStats(MappingProxyType(patterns), self._edges)

    def begin_sweep(self) -> None:
        """Begin a sweep in the turns that follow, unless one is under way; to be called after :attr:`pause_s`."""
        if self._step is None:
            self._step = step_of(self._sweep())
            self._spent_s = 0.0
            self._slices.add(self._take_step)

    def _take_step(self) -> bool:
        assert self._step is not None
        begun_s, more = self._clock.monotonic_s(), False
        try:
            more = self._step()
        finally:
            self._spent_s += self._clock.monotonic_s() - begun_s
            if not more:
                self._step = None
        return more

    def _sweep(self) -> Iterator[None]:
        yield from self._read()
        now_s = self._clock.monotonic_s()
        elapsed_s, self._counted_s = max(LEAST_SPAN_S, now_s - self._counted_s), now_s
        moved, self.traffic.moved = self.traffic.moved, {}
        self.streams = {
            stream: StreamRate(rate.messages_per_s / elapsed_s, rate.bytes_per_s / elapsed_s)
            for stream, rate in moved.items()
        }
        yield from _together(self._lead_requests())
        silent = deque([workflow.name for workflow in self if not workflow.graph.edges])
        cost = 0
        for name in list(self._workflows | self.traffic.tables):
            cost += yield from self._advance(name, elapsed_s, now_s, silent)
            if cost >= STEP_COST:
                cost = 0
                yield

    def _read(self) -> Iterator[None]:
        """Count what has been sent since the last sweep."""
        cost = 0
        for session in self._pool:
            cost += 1
            for binding in list(session.bindings.values()) if session.bindings else ():
                # 100,000 silent streams take 25 ms; with a call for each, 40 ms (CPython 3.11, November 2026).
                if binding.next_sequence == binding.counted[0] and binding.exchange is None:
                    cost += IDLE_COST
                else:
                    cost += self.traffic.take(session.peer.client_id, binding)
                if cost >= STEP_COST:
                    cost = 0
                    yield
            if cost >= STEP_COST:
                cost = 0
                yield

    def _lead_requests(self) -> Iterator[int]:
        """Lead requests and replies to the busiest workflow in which both clients take part, if there is one.

        Yields the cost of each part of the work. Many flows are taken, and let go, bit by bit.
        """
        tables, flows = self.traffic.tables, dict[str, tuple[Flow, ...]]()
        concerned: dict[ClientId, None] = {}
        for address in list(tables):
            if is_address(address):
                taken = flows[address] = tables.pop(address).take().flows
                for flow in taken:
                    concerned[flow.source] = concerned[flow.target] = None
                yield EDGE_COST * len(taken)
            yield IDLE_COST
        taking_part: dict[ClientId, set[str]] = {}
        for name in list(self._workflows) if concerned else ():
            if not is_address(name):
                graph = self._workflows[name].graph
                for client_id in graph.clients:
                    if client_id in concerned:
                        taking_part.setdefault(client_id, set()).add(name)
                yield FLOW_COST * len(graph.edges)
            yield IDLE_COST
        for address in list(flows):
            for flow in flows.pop(address):
                shared = taking_part.get(flow.source, NOWHERE) & taking_part.get(flow.target, NOWHERE)
                table = self.traffic.table_of(max(shared, key=self._rank, default=address))
                if table is not None:
                    table.add(flow.source, (flow.target,), flow.via, flow.messages, flow.nbytes)
                yield EDGE_COST + FLOW_COST * len(shared)
            yield IDLE_COST
        while let_go(concerned) | let_go(taking_part):
            yield IDLE_COST * LET_GO_TOGETHER

    def _rank(self, name: str) -> tuple[float, str]:
        """Return the sort key of a workflow that has a graph: the busiest one is the last."""
        return self._workflows[name].graph.messages_per_s, name

    def _advance(self, name: str, elapsed_s: float, now_s: float, silent: deque[str]) -> Generator[None, None, int]:
        """Bring one graph up to date, and return the cost of it.

        Args:
            name: the workflow.
            elapsed_s: length of the span that its counts are of.
            now_s: time at its end.
            silent: workflows without edges at the beginning of the sweep, which make room.
        """
        before, table = self._workflows.get(name), self.traffic.tables.pop(name, None)
        counts = NO_COUNTS if table is None else table.take()
        if before is None:
            if not counts.flows or not self._make_room(silent):
                return 1
            self._last_id += 1
            before = Workflow(self._last_id, name)
        elif not counts.messages and not before.graph.edges:
            if not self._streams.count_in(name):
                del self._workflows[name]
            return 1
        if self.on_counts is not None:
            self.on_counts(name, elapsed_s, counts)
        others = self._edges - len(before.graph.edges)
        graph = yield from advancing(before.graph, counts, elapsed_s, PLACES)
        if others + len(graph.edges) > MAX_EDGES:
            graph = yield from advancing(before.graph, counts, elapsed_s, FEW_PLACES)
        self._edges = others + len(graph.edges)
        panels = frozenset([client_id for client_id in graph.clients if self._is_panel(client_id, before)])
        recognition = recognize(before.recognition, graph.without(panels), now_s)
        self._workflows[name] = Workflow(before.id, name, graph, recognition, panels)
        return WORKFLOW_COST + EDGE_COST * (len(graph.edges) + len(counts.flows))

    def _is_panel(self, client_id: ClientId, before: Workflow) -> bool:
        """Return whether a client is an admin panel; of one that is gone, whether it was."""
        session = self._pool.newest_of(client_id)
        return client_id in before.panels if session is None else session.peer.client_type is ClientType.ADMIN_PANEL

    def _make_room(self, silent: deque[str]) -> bool:
        """Return whether another workflow may have a graph; one that has no edges any more makes room."""
        if len(self._workflows) < MAX_WORKFLOWS:
            return True
        while silent:
            workflow = self._workflows.get(silent.popleft())
            if workflow is not None and not workflow.graph.edges:
                del self._workflows[workflow.name]
                return True
        return False


def _together(costs: Iterator[int]) -> Iterator[None]:
    """Take parts of work, which yield their costs, up to the cost of one step between two chances for the loop."""
    cost = 0
    for each in costs:
        cost += each
        if cost >= STEP_COST:
            cost = 0
            yield
