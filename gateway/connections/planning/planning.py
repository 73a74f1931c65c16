"""Planning: looks at what is measured a few times a second, plans, adjusts, and enters the effects in the ledger."""

from __future__ import annotations

import logging
import time
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from types import MappingProxyType
from typing import Final, NamedTuple

from gateway.connections.collaboration.workflows import Workflows
from gateway.connections.overload.overload import Overload
from gateway.connections.overload.stage import Stage
from gateway.connections.past_tails import PastStats
from gateway.connections.planning.actuator import Actuator
from gateway.connections.planning.adjust import LONG_S, Connections, Dynamics, SettingChange, adjust
from gateway.connections.planning.context import Context
from gateway.connections.planning.facts.facts_reader import FactsReader
from gateway.connections.planning.facts.receiver_watch import GLIMPSE_S
from gateway.connections.planning.journal import lines_of
from gateway.connections.planning.knob import DEFAULTS, OF_WORKFLOWS, Knob, Site
from gateway.connections.planning.ledger import Adjustment, Ledger, Verdict
from gateway.connections.planning.plan import ConnectionManagementPlan, plan
from gateway.connections.planning.recess import Recess
from gateway.connections.planning.settings import PlanMode, PlanSettings
from gateway.connections.ports import Clock
from gateway.connections.requests.groups import Groups
from gateway.connections.sweeps import Sweep, timed

logger = logging.getLogger(__name__)

SET_A_STEP: Final = 4
"""Settings put in force between two chances for the loop: a receiver that is paced is sent what waits for it."""

SHARE: Final = 0.01
"""Part of one core that looks may take: behind a long one none begins for so many times its length, as glances begin
none either."""


class PlanningSnapshot(NamedTuple):
    """Plans as they are now."""

    mode: PlanMode
    now_s: float
    plan: ConnectionManagementPlan
    connections: Connections
    adjustments: tuple[Adjustment, ...]
    """The last ones, the newest first."""
    spent_s: float
    """Time that the last look took."""
    failures: int
    """Looks that have failed."""
    recess_s: float
    """Time until plans go on behind a failure; 0: they do."""
    past: PastStats
    """Use of the past of durable streams by clients that join."""
    sent_ahead: int
    """Receivers so far that got a version as it was encoded before they joined."""


@dataclass(frozen=True, slots=True)
class PlanningStats:
    """Numbers of the plans."""

    settings: Mapping[Knob, int]
    """Settings in force that are not the defaults, those on trial too."""
    trials: int
    """Changes whose effect is being measured."""
    adjustments: Mapping[Verdict, int]
    """Changes so far, by their outcome."""
    look_s: float
    """Time that the last look took."""
    failures: int = 0
    """Looks that have failed so far."""
    past: PastStats = field(default_factory=PastStats)
    """Use of the past of durable streams by clients that join."""
    sent_ahead: int = 0
    """Receivers so far that got a version as it was encoded before they joined."""


class Planning:
    """Plans of one gateway.

    Args:
        settings: effect that plans have.
        actuator: sets what is decided.
        workflows: patterns, and rates of streams.
        groups: members of groups.
        overload: lag of the loop, and the stage of measures against overload.
        clock: time.
        thread_time_s: returns the time for which this thread has worked.

    Attributes:
        actuator: the same.
        ledger: adjustments and their effects.
        sweeps: looks and glances, for the server to repeat.
    """

    def __init__(
        self,
        settings: PlanSettings,
        actuator: Actuator,
        workflows: Workflows,
        groups: Groups,
        overload: Overload,
        clock: Clock,
        thread_time_s: Callable[[], float] = time.thread_time,
    ) -> None:
        self.actuator = actuator
        self.ledger = Ledger()
        self._mode = settings.mode
        self._stopped = settings.mode is PlanMode.OFF
        self._workflows = workflows
        self._overload = overload
        self._stage = overload.stage
        self._clock = clock
        self._thread_time_s = thread_time_s
        self._plan = ConnectionManagementPlan()
        self._connections = Connections()
        self._facts = FactsReader(actuator, workflows, groups, clock, thread_time_s)
        self._look_again_s = LONG_S
        self._spent_s = self._looked_s = 0.0
        self._recess = Recess()
        self._looking = False
        self.sweeps = Sweep(lambda: self.pause_s, self.look), Sweep(lambda: GLIMPSE_S, self.glance)
        if not self._stopped:
            overload.loop_lag.observers.append(self._facts.observe_lag)
            actuator.joins.begin_counting()

    @property
    def pause_s(self) -> float:
        """Time to wait before the next look."""
        return max(self._look_again_s, self._spent_s / SHARE)

    def snapshot(self) -> PlanningSnapshot:
        """Return the plans as they are now."""
        adjustments = tuple(reversed([*self.ledger]))
        now_s = self._clock.monotonic_s()
        recess, left_s = self._recess, self._recess.left_s(now_s)
        return PlanningSnapshot(
            self._mode,
            now_s,
            self._plan,
            self._connections,
            adjustments,
            self._spent_s,
            recess.failures,
            left_s,
            self.actuator.tails.stats(),
            self.actuator.joins.used,
        )

    def stats(self) -> PlanningStats:
        """Return the numbers of the plans."""
        settings = Counter([site.knob for site in self._connections.settings])
        by_knob = MappingProxyType({knob: settings[knob] for knob in Knob})
        trials = len(self._connections.trials)
        past, ahead = self.actuator.tails.stats(), self.actuator.joins.used
        return PlanningStats(by_knob, trials, self.ledger.counts, self._spent_s, self._recess.failures, past, ahead)

    def stop(self) -> None:
        """Hold no message back from now on: the gateway stops."""
        self._stopped = True
        self.actuator.end_windows()

    @property
    def _idle(self) -> bool:
        """Whether no look may begin: there are no plans, or one is under way."""
        return self._stopped or self._looking or self._recess.left_s(self._clock.monotonic_s()) > 0

    def glance(self) -> Iterator[None]:
        """Look at once, if for a receiver that has just come or fallen behind so much waits that it is to be paced now.

        Yields as :meth:`look` does.
        """
        if not self._idle and self._mode is PlanMode.ON:
            yield from self._guarded(self._glance())

    def _glance(self) -> Iterator[None]:
        if self._facts.glance() and self._clock.monotonic_s() - self._looked_s >= self._spent_s / SHARE:
            yield from self._timed(self._look())

    def look(self) -> Iterator[None]:
        """Measure, plan and adjust; to be called every :attr:`pause_s`. Yields now and then, for the loop."""
        if not self._idle:
            yield from self._guarded(self._timed(self._look()))
        elif not self._stopped and not self._looking:
            yield from self.actuator.lowering.go_on()  # streams that could not change as plans have failed

    def _timed(self, steps: Iterator[None]) -> Iterator[None]:
        return timed(steps, self._thread_time_s, self._looked)

    def _looked(self, spent_s: float) -> None:
        self._spent_s, self._looked_s = spent_s, self._clock.monotonic_s()

    def _look(self) -> Iterator[None]:
        settings, overloaded = self._connections.settings, self._overload.stage is not Stage.NORMAL
        context = yield from self._facts.read(settings, overloaded=overloaded)
        if not self._stopped:
            yield from self._decide(context)

    def _guarded(self, steps: Iterator[None]) -> Iterator[None]:
        """Take the steps of a look or a glance; if one fails, end all settings, and make no plan for a while."""
        self._looking = True
        before = self._connections.settings
        try:
            yield from steps
        except Exception as failure:
            # Deliveries must not depend on it: they go on as without plans, and plans as after a restart.
            recess = self._recess = self._recess.after_failure(self._clock.monotonic_s())
            if recess.is_first:
                logger.exception("plans have failed: defaults are in force, no plan is made for %g s", recess.length_s)
            else:
                logger.warning("plans have failed again, none is made for %g s: %r", recess.length_s, failure)
            yield from self._begin_anew({*before, *self._connections.settings})
        finally:
            self._looking = False

    def _begin_anew(self, sites: Collection[Site]) -> Iterator[None]:
        """Put the defaults in force everywhere, and measure anew. Yields now and then, for the loop.

        Args:
            sites: sites of settings that are in force, or that were about to be ended.
        """
        self._plan = ConnectionManagementPlan()
        self._connections = Connections(judged=self._connections.judged)
        self._look_again_s = LONG_S
        self._facts.forget()
        refused = 0
        ends: list[Callable[[], object]] = [self.actuator.end_windows, *[partial(self._end, site) for site in sites]]
        for number, end in enumerate(ends, start=1):
            try:
                end()
            except Exception:
                # The others are to end all the same, and thousands may fail alike.
                if not refused:
                    logger.exception("a setting of the plans could not be ended")
                refused += 1
            if not number % SET_A_STEP:
                yield
        if refused > 1:
            logger.error("%d settings of the plans could not be ended", refused)

    def _end(self, site: Site) -> None:
        self.actuator.set(SettingChange(site, DEFAULTS[site.knob], "plans have failed"))

    def _decide(self, context: Context) -> Iterator[None]:
        self._plan = made = plan(context)
        disturbed = self.actuator.take_disturbed()
        if self._mode is PlanMode.ADVISE:
            return
        connections = replace(self._connections, wanted=made.quality)
        stage, self._stage = self._stage, self._overload.stage
        if stage is not self._stage:
            # Measures against overload change for how long messages wait, everywhere.
            tried = [*made.quality, *[trial.measure for trial in connections.trials]]
            disturbed |= {measure.scope for measure in tried}
        gone = self._gone(connections)
        adjustments = adjust(
            connections, Dynamics(context.now_s, self._facts.costs(context), disturbed, gone, self._facts.settling)
        )
        self._connections = adjustments.connections
        self._look_again_s = adjustments.look_again_s
        for adjustment in adjustments.judged:
            self.ledger.enter(adjustment)
            logger.debug("plans: %s is %s: %s", adjustment.site, adjustment.verdict, adjustment.words)
        for line in lines_of(adjustments.changes, adjustments.judged):
            logger.log(line.level, "plans: %s", line.text)
        for number, change in enumerate(adjustments.changes, start=1):
            self.actuator.set(change)
            if not number % SET_A_STEP:
                yield
                if self._stopped:
                    return  # and no window begins again
        for site in gone:
            self.actuator.forget(site)
        self.actuator.joins.look_ahead()
        self.actuator.route(made.routes, self._connections.settings)
        self.actuator.drain_for_senders(context.fan_ins)
        self.actuator.ask_often(context.workflows, self._connections.settings)
        yield from self.actuator.cover(list(self._workflows.streams))

    def _gone(self, connections: Connections) -> frozenset[Site]:
        """Return the sites of settings and trials that are not there any more."""
        sites = {*connections.settings, *[trial.measure.site for trial in connections.trials], *connections.bars}
        return frozenset([site for site in sites if not self._has(site)])

    def _has(self, site: Site) -> bool:
        if site.knob in OF_WORKFLOWS:
            return self._workflows.of(site.name) is not None
        return self.actuator.has(site)
