"""Adjustments: which settings are changed now, and which changes are kept or rolled back by the costs behind them.

A pure function of frozen values. Settings whose effect no cost shows stand as long as something calls for them, and a
while longer. Any other change is a *trial* first: the costs at its site are measured before it and
behind it. A setting is kept if it saves clearly; its end, and a precaution, are kept unless they cost clearly. A
setting that was rolled back is barred for a while, which doubles each time, so that nothing flaps.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Final, NamedTuple

from gateway.connections.planning.cost import NO_COST, Cost
from gateway.connections.planning.knob import DEFAULTS, STANDING, Knob, Measure, Site
from gateway.connections.planning.ledger import Adjustment, Verdict

LEAST_BEFORE: Final = 8
"""Measurements of a cost that a change waits for."""

TRIAL_COSTS: Final = 8
LAST_COSTS: Final = 24
"""Measurements behind a change by which it is judged: if it seems to save, and that may be noise, up to the latter."""

SETTLING_S: Final = 1.0
"""Time behind a change whose measurements do not count: what had waited before it is delivered then."""

LONGEST_SETTLING_S: Final = 180.0
"""The same where much had waited: so long at most it is waited for."""

TRIAL_S: Final = 15.0
"""Longest trial: a cost that cannot be measured ends it."""

FIRST_BAR_S: Final = 30.0
LAST_BAR_S: Final = 3600.0
"""Times for which a setting that was rolled back is not tried again: the first one, which doubles, and the last one."""

MAX_DISTURBED: Final = 3
"""Times that a trial begins again because something else has changed."""

MAX_TRIALS: Final = 64
"""Trials at a time."""

SHORT_S: Final = 0.25
LONG_S: Final = 1.0
"""Time until the next look: while a change is tried or about to be, and otherwise."""

STANDING_S: Final = 10.0
"""Time for which a standing setting stays in force once nothing calls for it, so that nothing flaps."""

ALONE: Final = frozenset({Knob.FLUSH_WINDOW})
"""Knobs whose cost is that of all clients: one of their trials at a time in the whole gateway."""


class Bar(NamedTuple):
    """Time for which a setting is not tried, since it was rolled back."""

    until_s: float
    length_s: float


class Trial(NamedTuple):
    """Setting that was changed, and whose effect is being measured."""

    measure: Measure
    before: float
    begun_s: float
    cost_before: Cost
    cost: Cost = Cost()
    measured_from_s: float = 0.0
    disturbed: int = 0


@dataclass(frozen=True, slots=True)
class Connections:
    """Settings of connections: those in force, those wanted, and what is known of their effects."""

    settings: Mapping[Site, float] = field(default_factory=lambda: MappingProxyType({}))
    """Settings in force that are not the defaults."""
    scopes: Mapping[Site, str] = field(default_factory=lambda: MappingProxyType({}))
    """Workflows of these settings."""
    wanted: tuple[Measure, ...] = ()
    costs: Mapping[Site, Cost] = field(default_factory=lambda: MappingProxyType({}))
    """Costs with the settings in force."""
    trials: tuple[Trial, ...] = ()
    bars: Mapping[Site, Bar] = field(default_factory=lambda: MappingProxyType({}))
    called_s: Mapping[Site, float] = field(default_factory=lambda: MappingProxyType({}))
    """Times at which standing settings were called for last."""
    judged: int = 0
    """Adjustments judged so far."""


class Dynamics(NamedTuple):
    """Measurements of the last span."""

    now_s: float
    costs: Mapping[Site, float | None]
    """Costs in seconds at each site that is looked at; ``None``: it could not be measured."""
    disturbed: Collection[str] = ()
    """Workflows in which something else has changed: the encoding of a stream, for example."""
    gone: Collection[Site] = ()
    """Places of settings and trials that are not there any more."""
    settling: Collection[Site] = ()
    """Sites at which what had waited before a change still does: nothing that is measured there counts yet."""


class SettingChange(NamedTuple):
    """Setting to be put in force now."""

    site: Site
    value: float
    reason: str
    scope: str = ""
    """Workflow whose deliveries it changes."""


@dataclass(frozen=True, slots=True)
class ConnectionAdjustments:
    """Settings that change now, effects that were found, and the time to look again."""

    changes: tuple[SettingChange, ...]
    judged: tuple[Adjustment, ...]
    connections: Connections
    """Settings once the changes are made."""
    look_again_s: float


def adjust(connections: Connections, dynamics: Dynamics) -> ConnectionAdjustments:
    """Judge the trials that have been measured, and begin others.

    Args:
        connections: settings before.
        dynamics: what was measured since the last call.
    """
    work = _Work(connections, dynamics)
    work.judge()
    work.stand()
    work.begin()
    return work.adjustments()


class _Work:
    """One call of :func:`adjust`."""

    def __init__(self, connections: Connections, dynamics: Dynamics) -> None:
        self._before = connections
        self._now_s = dynamics.now_s
        self._dynamics = dynamics
        gone = frozenset(dynamics.gone)
        self._settings = {site: value for site, value in connections.settings.items() if site not in gone}
        self._scopes = {site: scope for site, scope in connections.scopes.items() if site in self._settings}
        self._bars = {
            site: bar
            for site, bar in connections.bars.items()
            # Remembered for as long again, so that the next one is longer.
            if self._now_s < bar.until_s + bar.length_s and site not in gone
        }
        self._called_s = {site: called_s for site, called_s in connections.called_s.items() if site in self._settings}
        self._trials: list[Trial] = []
        self._changes: list[SettingChange] = []
        self._judged: list[Adjustment] = []
        under_way = {trial.measure.site for trial in connections.trials}
        self._costs = {
            site: connections.costs.get(site, NO_COST)
            if cost_s is None
            else connections.costs.get(site, NO_COST).add(cost_s)
            for site, cost_s in dynamics.costs.items()
            if site not in under_way
        }

    def judge(self) -> None:
        """Measure the trials under way, and end those that can be judged."""
        for trial in self._before.trials:
            site = trial.measure.site
            if site in self._dynamics.gone:
                self._end(trial, Verdict.VOID, "it is gone")
                continue
            if trial.measure.scope in self._dynamics.disturbed:
                trial = trial._replace(
                    cost=Cost(), measured_from_s=self._now_s + SETTLING_S, disturbed=trial.disturbed + 1
                )
            if site in self._dynamics.settling and self._now_s - trial.begun_s < LONGEST_SETTLING_S:
                trial = trial._replace(measured_from_s=self._now_s + SETTLING_S)
            cost_s = self._dynamics.costs.get(site)
            if cost_s is not None and self._now_s >= trial.measured_from_s:
                trial = trial._replace(cost=trial.cost.add(cost_s))
            if trial.disturbed > MAX_DISTURBED:
                self._roll_back(trial, Verdict.VOID, "encodings have changed meanwhile, again and again")
            elif trial.cost.number >= TRIAL_COSTS:
                self._judge(trial)
            elif self._now_s - trial.measured_from_s > TRIAL_S:
                self._roll_back(trial, Verdict.VOID, "its effect could not be measured")
            else:
                self._trials.append(trial)

    def _judge(self, trial: Trial) -> None:
        before, after = trial.cost_before, trial.cost
        objective_s = trial.measure.objective_s
        beyond = "" if objective_s is None else f"beyond {objective_s * 1e3:g} ms, and with the price of the CPU time, "
        effect = f"{beyond}messages wait {after} instead of {before}"
        ends = trial.measure.value == DEFAULTS[trial.measure.site.knob]
        precaution = ends or trial.measure.precaution
        if after.saves(before):
            self._end(trial, Verdict.KEPT, effect)
        elif precaution and not after.exceeds(before):
            self._end(
                trial, Verdict.KEPT, f"{effect}: " + ("it is not needed any more" if ends else "it costs nothing")
            )
        elif not precaution and after.mean_s < before.mean_s and after.number < LAST_COSTS:
            self._trials.append(trial)
        else:
            words = "worse" if precaution else "not clearly better"
            self._roll_back(trial, Verdict.ROLLED_BACK, f"{effect}: {words}")

    def _end(self, trial: Trial, verdict: Verdict, words: str) -> None:
        number = self._before.judged + len(self._judged) + 1
        measure = trial.measure
        if verdict is Verdict.KEPT:
            self._costs[measure.site] = trial.cost
            self._bars.pop(measure.site, None)
        self._judged.append(
            Adjustment(
                number,
                measure.site,
                trial.before,
                measure.value,
                trial.begun_s,
                self._now_s,
                measure.reason,
                trial.cost_before,
                trial.cost,
                verdict,
                words,
                measure.scope,
            )
        )

    def _roll_back(self, trial: Trial, verdict: Verdict, words: str) -> None:
        site = trial.measure.site
        self._end(trial, verdict, words)
        self._set(site, trial.before, trial.measure.scope, f"rolled back: {words}")
        bar = self._bars.get(site)
        length_s = FIRST_BAR_S if bar is None else min(2 * bar.length_s, LAST_BAR_S)
        self._bars[site] = Bar(self._now_s + length_s, length_s)

    def _set(self, site: Site, value: float, scope: str, reason: str) -> None:
        self._changes.append(SettingChange(site, value, reason, scope))
        if site.peer:
            for other in Knob:
                if other is not site.knob:  # of the same messages, which wait for another time from now on
                    self._costs.pop(site._replace(knob=other), None)
        if value == DEFAULTS[site.knob]:
            self._settings.pop(site, None)
            self._scopes.pop(site, None)
        else:
            self._settings[site] = value
            self._scopes[site] = scope

    def stand(self) -> None:
        """Put standing settings in force that are called for, and end those that have not been for a while."""
        for measure in self._before.wanted:
            if measure.site.knob in STANDING:
                self._called_s[measure.site] = self._now_s
                if self._settings.get(measure.site) != measure.value:
                    self._stand(measure)
        for site, called_s in list(self._called_s.items()):
            if self._now_s - called_s >= STANDING_S:
                del self._called_s[site]
                self._stand(Measure(site, DEFAULTS[site.knob], self._scopes[site], "what called for it is over"))

    def _stand(self, measure: Measure) -> None:
        before = self._settings.get(measure.site, DEFAULTS[measure.site.knob])
        self._set(measure.site, measure.value, measure.scope, measure.reason)
        self._end(Trial(measure, before, self._now_s, NO_COST), Verdict.STANDING, measure.reason)

    def begin(self) -> None:
        """Begin the trials of settings that are wanted, and of the ends of those that are not."""
        under_way = _UnderWay(self._trials)
        for measure in self._candidates():
            if len(self._trials) >= MAX_TRIALS:
                break
            site = measure.site
            cost = self._cost_before(measure)
            if cost is None or not self._may_begin(measure):
                continue
            if measure.scope in self._dynamics.disturbed or not under_way.leaves_free(measure):
                continue
            before = self._settings.get(site, DEFAULTS[site.knob])
            self._set(site, measure.value, measure.scope, measure.reason)
            self._trials.append(Trial(measure, before, self._now_s, cost, measured_from_s=self._now_s + SETTLING_S))
            under_way.add(measure)
            self._costs.pop(site, None)

    def _cost_before(self, measure: Measure) -> Cost | None:
        """Return the cost without a change; ``None``: it is to be measured for longer."""
        if measure.known_cost_s is not None:
            return Cost().add(measure.known_cost_s)
        cost = self._costs.get(measure.site)
        return None if cost is None or cost.number < LEAST_BEFORE else cost

    def _candidates(self) -> Iterator[Measure]:
        wanted = {measure.site for measure in self._before.wanted}
        for measure in self._before.wanted:
            if measure.site.knob in STANDING:
                continue
            if self._settings.get(measure.site, DEFAULTS[measure.site.knob]) != measure.value:
                yield measure
        for site in list(self._settings):
            if site not in wanted and site.knob not in STANDING:
                default = DEFAULTS[site.knob]
                yield Measure(site, default, self._scopes[site], "what called for it is over")

    def _may_begin(self, measure: Measure) -> bool:
        """Return whether a change may be tried, or could if more were measured: it is not barred."""
        bar = self._bars.get(measure.site)
        return bar is None or self._now_s >= bar.until_s

    def adjustments(self) -> ConnectionAdjustments:
        """Return what was decided."""
        after = replace(
            self._before,
            settings=MappingProxyType(self._settings),
            scopes=MappingProxyType(self._scopes),
            costs=MappingProxyType(self._costs),
            trials=tuple(self._trials),
            bars=MappingProxyType(self._bars),
            called_s=MappingProxyType(self._called_s),
            judged=self._before.judged + len(self._judged),
        )
        look_again_s = SHORT_S if self._trials or any(map(self._may_begin, self._candidates())) else LONG_S
        return ConnectionAdjustments(tuple(self._changes), tuple(self._judged), after, look_again_s)


class _UnderWay:
    """Index of the trials under way: which changes could be told apart from theirs.

    Args:
        trials: the trials.
    """

    def __init__(self, trials: Iterable[Trial]) -> None:
        self._sites: set[Site] = set()
        self._knobs: set[Knob] = set()
        self._knobs_by_scope = defaultdict[str, set[Knob]](set)
        for trial in trials:
            self.add(trial.measure)

    def add(self, measure: Measure) -> None:
        """Take note that a change is tried."""
        self._sites.add(measure.site)
        self._knobs.add(measure.site.knob)
        self._knobs_by_scope[measure.scope].add(measure.site.knob)

    def leaves_free(self, measure: Measure) -> bool:
        """Return whether the effect of a change could be told from those of the trials under way."""
        knob = measure.site.knob
        if measure.site in self._sites or (knob in ALONE and knob in self._knobs):
            return False
        return not self._knobs_by_scope[measure.scope] - {knob}
