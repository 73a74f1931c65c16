"""Overload: measures the pressure on the gateway in a sweep, and leads it from stage to stage."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Final

from gateway.connections.lagging.lag_changes import LagChanges
from gateway.connections.outbound.connection import Connection
from gateway.connections.outbound.link_reading import queued_bytes_of
from gateway.connections.overload.loop_lag import LoopLag
from gateway.connections.overload.measures import Measures, measures_of
from gateway.connections.overload.pressure import Pressure
from gateway.connections.overload.queue_budgets import QueueBudgets
from gateway.connections.overload.relief import ClientQueue, Relief
from gateway.connections.overload.stage import OF_MEMORY, OF_TIME, Stage, StageState, advance, led_to, reason_of
from gateway.connections.ports import Clock, Memory
from gateway.connections.sweeps import Sweep

logger = logging.getLogger(__name__)

SWEEP_INTERVAL_S: Final = 0.25
"""Time between two measurements."""

COUNTED_TOGETHER: Final = 512
"""Connections whose queues are counted between two chances for the loop: some 0.3 ms."""

MEMORY_PART: Final = 0.75
"""Part of the memory that the system allows, which is the limit unless the settings have one. The rest is for the
system, and for what a process takes between two measurements."""


@dataclass(frozen=True, slots=True)
class OverloadSettings:
    """Settings against overload."""

    memory_limit_bytes: int = 0
    """Resident memory that the process is to stay within. 0: three quarters of what its control group, or else the
    machine, has."""


@dataclass(frozen=True, slots=True)
class OverloadSnapshot:
    """The stage, and how the gateway has come to it."""

    stage: Stage
    stage_s: float
    """Time for which the gateway has been in the stage."""
    reason: str
    """Pressure that has led to the stage, in words; empty if there was none."""
    pressure: Pressure
    """The last measurements."""
    transitions: Mapping[Stage, int]
    """Number of times that each stage was entered."""
    seconds: Mapping[Stage, float]
    """Time that the gateway has spent in each stage."""


@dataclass(eq=False)
class Overload:
    """Pressure and stage of one gateway.

    Attributes:
        budgets: bounds of outboxes by client type and workflow.
        pressure: the last measurements.
        measures: settings that are in force.
    """

    settings: OverloadSettings
    """Limit of the memory."""
    memory: Memory | None
    """Memory of the process; ``None``: it is not known."""
    lag_changes: LagChanges[Connection]
    """Connections that have fallen behind."""
    other_bytes: Callable[[], int]
    """Function that returns the bytes that wait elsewhere than for one connection."""
    relief: Relief
    """Parts that measures act upon."""
    clock: Clock
    """Time of the measurements."""
    loop_lag: LoopLag = field(default_factory=LoopLag, init=False)
    """Lag of the event loop, for the server to fill."""

    def __post_init__(self) -> None:
        admission = self.relief.admission
        self.budgets = QueueBudgets(admission.settings, admission.participants, self.relief.outbox_limit_bytes)
        begun = StageState(since_s=self.clock.monotonic_s())
        self._of_time = self._of_memory = begun
        self._stage = Stage.NORMAL
        self._since_s = begun.since_s
        self._reason = ""
        self._seconds: dict[Stage, float] = dict.fromkeys(Stage, 0.0)
        """Time in each stage, until the present one was entered."""
        self._transitions = dict.fromkeys(Stage, 0)
        self._limit_bytes: float = self.settings.memory_limit_bytes
        if not self._limit_bytes:
            self._limit_bytes = math.inf if self.memory is None else MEMORY_PART * self.memory.available_bytes()
        self.pressure = self._measure(0)
        self._bounds = self.relief.bounds(self._limit_bytes)
        self.measures: Measures = measures_of(Stage.NORMAL, Stage.NORMAL, self._bounds)
        for _ in self.relief.take(self.measures):
            pass
        self._lowered: set[Connection] = set()
        """Connections whose outbox has a lower bound than it has without pressure."""

    @property
    def sweeps(self) -> tuple[Sweep, ...]:
        """Work that recurs."""
        dashboards = self.relief.dashboard_states
        return Sweep(lambda: SWEEP_INTERVAL_S, self.sweep), Sweep(lambda: dashboards.pause_s, dashboards.sweep)

    @property
    def stage(self) -> Stage:
        """The present stage."""
        return self._stage

    def sweep(self) -> Iterator[None]:
        """Measure, go on to another stage if it is time, and take its measures, which :attr:`measures` tells.

        To be called every :data:`SWEEP_INTERVAL_S`. Yields now and then, for the loop.
        """
        queued_bytes, waiting = self.other_bytes(), list[ClientQueue]()
        lowered = self._lowered
        self.budgets.begin()
        # Also those that have caught up since: they may fall behind again when that bound is over.
        for number, connection in enumerate(self.lag_changes.lagging | lowered, start=1):
            waiting.append(ClientQueue(queued_bytes_of(connection), connection))
            queued_bytes += waiting[-1].nbytes
            limit_bytes = self.budgets.add(connection, self.measures.outbox_limit_bytes)
            self.relief.bound_outbox(connection, limit_bytes)
            if limit_bytes < self._bounds.outbox_limit_bytes and not connection.closed:
                lowered.add(connection)
            else:
                lowered.discard(connection)
            if not number % COUNTED_TOGETHER:
                yield
        self.budgets.settle()
        self.pressure = self._measure(queued_bytes)
        now_s = self.clock.monotonic_s()
        self._of_time = advance(self._of_time, self.pressure, now_s, OF_TIME)
        self._of_memory = advance(self._of_memory, self.pressure, now_s, OF_MEMORY)
        self._enter(max(self._of_time.stage, self._of_memory.stage), now_s)
        measures = measures_of(self._stage, self._of_memory.stage, self._bounds)
        if measures != self.measures:
            self.measures = measures
            yield from self.relief.take(measures)
        if led_to(self.pressure) is Stage.SHED:
            self.relief.shed(waiting, measures.shed)

    def _enter(self, stage: Stage, now_s: float) -> None:
        before = self._stage
        if stage is before:
            return
        self._seconds[before] += now_s - self._since_s
        self._transitions[stage] += 1
        self._stage, self._since_s, self._reason = stage, now_s, reason_of(self.pressure)
        level = logging.WARNING if stage > before else logging.INFO
        logger.log(level, "overload: from stage %s to %s: %s", before.label, stage.label, self._reason)

    def snapshot(self) -> OverloadSnapshot:
        """Return the numbers for monitoring."""
        stage_s = self.clock.monotonic_s() - self._since_s
        seconds = {stage: self._seconds[stage] + (stage_s if stage is self.stage else 0.0) for stage in Stage}
        return OverloadSnapshot(
            self.stage,
            stage_s,
            self._reason,
            self.pressure,
            MappingProxyType(dict(self._transitions)),
            MappingProxyType(seconds),
        )

    def _measure(self, queued_bytes: int) -> Pressure:
        resident_bytes = 0 if self.memory is None else self.memory.resident_bytes()
        return Pressure(self.loop_lag.standing_s, resident_bytes, queued_bytes, self._limit_bytes)
