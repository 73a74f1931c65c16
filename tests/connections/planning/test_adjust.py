"""Adjustments: trials that are measured, kept or rolled back, against a model of what each setting does."""

import random
from collections.abc import Callable, Collection, Mapping
from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.connections.planning.adjust import (
    FIRST_BAR_S,
    LEAST_BEFORE,
    LONG_S,
    LONGEST_SETTLING_S,
    MAX_TRIALS,
    STANDING_S,
    TRIAL_S,
    ConnectionAdjustments,
    Connections,
    Dynamics,
    SettingChange,
    adjust,
)
from gateway.connections.planning.knob import Knob, Measure, Site
from gateway.connections.planning.ledger import Adjustment, Verdict

PACE = Site(Knob.PACING, "viewer", 7)
WANTED = Measure(PACE, 1.0, "lab", "a slow link")


class Model:
    """Connections whose costs depend on their settings.

    Args:
        cost_of: returns the cost at a site with a setting, in seconds.
        wanted: settings that are wanted.
        noise: relative deviation of the costs.
    """

    def __init__(
        self, cost_of: Callable[[Site, float], float], wanted: Collection[Measure] = (WANTED,), noise: float = 0.0
    ) -> None:
        self.connections = Connections(wanted=tuple(wanted))
        self.sites = {measure.site for measure in wanted}
        self.changes: list[SettingChange] = []
        self.judged: list[Adjustment] = []
        self.now_s = 0.0
        self._cost_of = cost_of
        self._noise = noise
        self._rng = random.Random(12)

    def want(self, *wanted: Measure) -> None:
        """Let other settings be wanted."""
        self.connections = replace(self.connections, wanted=wanted)

    def costs(self) -> Mapping[Site, float]:
        """Return the costs now, with noise."""
        values = {site: self.connections.settings.get(site, 0.0) for site in sorted(self.sites)}
        return {
            site: self._cost_of(site, value) * self._rng.lognormvariate(0, self._noise)
            for site, value in values.items()
        }

    def step(
        self,
        disturbed: Collection[str] = (),
        gone: Collection[Site] = (),
        settling: Collection[Site] = (),
        *,
        measured: bool = True,
    ) -> ConnectionAdjustments:
        """Adjust once, and let some time pass."""
        dynamics = Dynamics(self.now_s, self.costs() if measured else {}, disturbed, gone, settling)
        made = adjust(self.connections, dynamics)
        self.connections = made.connections
        self.changes += made.changes
        self.judged += made.judged
        self.now_s += made.look_again_s
        return made

    def run(self, seconds: float) -> None:
        """Adjust again and again."""
        end_s = self.now_s + seconds
        while self.now_s < end_s:
            self.step()


def test_a_setting_that_saves_is_kept() -> None:
    model = Model(lambda site, value: 0.1 if value else 0.8)
    model.run(30)
    (adjustment,) = model.judged
    assert adjustment.verdict is Verdict.KEPT
    assert adjustment.words == "messages wait 100.0 ms instead of 800.0 ms"
    assert (adjustment.before, adjustment.value, adjustment.reason) == (0.0, 1.0, "a slow link")
    assert model.connections.settings == {PACE: 1.0}
    assert model.changes == [SettingChange(PACE, 1.0, "a slow link", "lab")]


def test_a_change_waits_for_measurements_of_what_is_before_it() -> None:
    model = Model(lambda site, value: 0.1)
    for _ in range(LEAST_BEFORE - 1):
        assert not model.step().changes
    assert model.step().changes


def test_a_setting_that_makes_it_worse_is_rolled_back_and_barred() -> None:
    model = Model(lambda site, value: 0.8 if value else 0.1)
    model.run(10)
    (adjustment,) = model.judged
    assert adjustment.verdict is Verdict.ROLLED_BACK
    assert model.connections.settings == {}
    assert [change.value for change in model.changes] == [1.0, 0.0]
    assert model.changes[-1].reason == "rolled back: messages wait 800.0 ms instead of 100.0 ms: not clearly better"
    model.run(FIRST_BAR_S - 10)
    assert len(model.judged) == 1
    model.run(3600)
    assert len(model.judged) <= 7, "each bar is twice as long as the one before"


def test_a_setting_without_an_effect_is_rolled_back() -> None:
    model = Model(lambda site, value: 0.5, noise=0.1)
    model.run(20)
    assert [adjustment.verdict for adjustment in model.judged] == [Verdict.ROLLED_BACK]


def test_the_end_of_a_setting_is_kept_unless_it_costs() -> None:
    model = Model(lambda site, value: 0.1 if value else 0.8)
    model.run(30)
    model.want()
    model.run(10)
    assert [adjustment.verdict for adjustment in model.judged] == [Verdict.KEPT, Verdict.ROLLED_BACK]
    assert model.judged[-1].words == "messages wait 800.0 ms instead of 100.0 ms: worse"
    assert model.connections.settings == {PACE: 1.0}

    even = Model(lambda site, value: 0.1 if even.now_s > 30 or value else 0.8)
    even.run(30)
    even.want()
    even.run(10)
    assert even.judged[-1].verdict is Verdict.KEPT
    assert even.connections.settings == {}


def test_something_else_that_changes_makes_a_trial_begin_again() -> None:
    model = Model(lambda site, value: 0.1 if value else 0.8)
    while not model.connections.trials:
        model.step()
    for _ in range(3):
        model.step(disturbed={"lab"})
    assert not model.judged
    model.run(10)
    assert model.judged[0].verdict is Verdict.KEPT


def test_a_trial_that_is_disturbed_again_and_again_is_void() -> None:
    model = Model(lambda site, value: 0.1 if value else 0.8)
    while not model.connections.trials:
        model.step()
    while model.connections.trials:
        model.step(disturbed={"lab"})
    assert model.judged[0].verdict is Verdict.VOID
    assert model.connections.settings == {}


def test_nothing_begins_while_something_else_changes() -> None:
    model = Model(lambda site, value: 0.1 if value else 0.8)
    for _ in range(100):
        assert not model.step(disturbed={"lab"}).changes


def test_a_trial_that_cannot_be_measured_is_void() -> None:
    model = Model(lambda site, value: 0.1)
    while not model.connections.trials:
        model.step()
    while model.connections.trials:
        model.step(measured=False)
    assert model.judged[0].words == "its effect could not be measured"
    assert model.connections.settings == {}


def test_a_place_that_is_gone_is_forgotten() -> None:
    model = Model(lambda site, value: 0.1 if value else 0.8)
    model.run(30)
    model.sites.clear()
    model.want()
    model.step(gone={PACE})
    assert model.connections.settings == {}
    assert model.connections.scopes == {}
    assert model.connections.costs == {}


def test_a_trial_whose_place_is_gone_is_void_and_changes_nothing() -> None:
    model = Model(lambda site, value: 0.1)
    while not model.connections.trials:
        model.step()
    assert not model.step(gone={PACE}).changes
    assert model.judged[0].verdict is Verdict.VOID


def test_two_knobs_of_a_workflow_are_not_turned_at_once() -> None:
    window = Measure(Site(Knob.FLUSH_WINDOW, "lab"), 0.005, "lab", "busy")
    other = Measure(Site(Knob.FLUSH_WINDOW, "far"), 0.005, "far", "busy")
    model = Model(lambda site, value: 0.1 if value else 0.8, (window, other, WANTED))
    while not model.connections.trials:
        model.step()
    assert [trial.measure for trial in model.connections.trials] == [window], "a window's cost is that of all"
    seen = []
    for _ in range(200):
        model.step()
        seen.append({trial.measure.scope for trial in model.connections.trials})
        knobs = [(trial.measure.scope, trial.measure.site.knob) for trial in model.connections.trials]
        assert len({scope for scope, _ in knobs}) == len(set(knobs))
    assert {"lab", "far"} in seen, "a pace in one workflow and a window in another are told apart"
    assert len(model.connections.settings) == 3


def test_what_a_receiver_waits_is_measured_anew_for_another_knob_once_one_has_changed() -> None:
    view = Measure(Site(Knob.VIEW, "viewer", 7), 1.0, "lab", "a slow link")
    other = Measure(Site(Knob.VIEW, "other", 8), 1.0, "else", "a slow link")

    def cost_of(site: Site, value: float) -> float:
        return 0.1 if model.connections.settings.get(PACE) else 1.0

    model = Model(cost_of, [WANTED, view])
    model.sites.add(other.site)
    model.run(60)
    kept, rolled_back = model.judged[:2]
    assert (kept.site, kept.verdict) == (PACE, Verdict.KEPT)
    assert (rolled_back.site, rolled_back.verdict) == (view.site, Verdict.ROLLED_BACK)
    assert rolled_back.cost_before.mean_s < 0.11


def test_many_receivers_of_one_workflow_are_paced_at_once_within_a_bound() -> None:
    many = [Measure(Site(Knob.PACING, f"viewer-{n}", n), 1.0, "lab", "slow") for n in range(MAX_TRIALS + 10)]
    model = Model(lambda site, value: 0.1 if value else 0.8, many)
    while not model.connections.trials:
        model.step()
    assert len(model.connections.trials) == MAX_TRIALS
    model.run(60)
    assert len(model.connections.settings) == len(many)


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 1 << 30), noise=st.floats(0.0, 0.6), value=st.sampled_from([0.0, 1.0]))
def test_on_steady_traffic_nothing_flaps(seed: int, noise: float, value: float) -> None:
    """Two settings of the same effect: an hour of noise makes few changes, whichever is wanted."""
    model = Model(lambda site, _: 0.3, noise=noise)
    model._rng.seed(seed)
    if value:
        model.want()
        model.connections = replace(model.connections, settings={PACE: 1.0}, scopes={PACE: "lab"})
    model.run(3600)
    assert len(model.changes) <= 14


OFTEN = Measure(Site(Knob.HEARTBEAT, "lab"), 1.0, "lab", "others wait for replies of worker")


def test_a_standing_setting_is_in_force_at_once_and_ends_a_while_behind_its_cause() -> None:
    model = Model(lambda site, value: 0.1, [OFTEN])
    made = model.step(measured=False)
    assert made.changes == (SettingChange(OFTEN.site, 1.0, OFTEN.reason, "lab"),)
    assert model.connections.settings == {OFTEN.site: 1.0}
    assert not model.connections.trials
    model.run(60)
    assert [(each.verdict, each.words) for each in model.judged] == [(Verdict.STANDING, OFTEN.reason)]
    model.want()
    ends_s = model.now_s - LONG_S + STANDING_S
    model.run(STANDING_S - 2 * LONG_S)
    assert model.connections.settings == {OFTEN.site: 1.0}
    model.run(4 * LONG_S)
    assert model.connections.settings == {}
    assert model.changes[-1] == SettingChange(OFTEN.site, 0.0, "what called for it is over", "lab")
    assert ends_s <= model.judged[-1].judged_s <= ends_s + LONG_S
    assert (model.judged[-1].before, model.judged[-1].value, model.judged[-1].number) == (1.0, 0.0, 2)


def test_a_cause_that_comes_and_goes_changes_nothing() -> None:
    model = Model(lambda site, value: 0.1, [OFTEN])
    for _ in range(100):
        model.want(OFTEN)
        model.step(measured=False)
        model.want()
        model.run(STANDING_S / 2)
    assert len(model.changes) == 1


def test_a_standing_setting_is_beside_the_trials_of_its_workflow() -> None:
    model = Model(lambda site, value: 0.1 if value else 0.8, [WANTED, OFTEN])
    model.run(30)
    assert model.connections.settings == {PACE: 1.0, OFTEN.site: 1.0}
    assert {each.verdict for each in model.judged} == {Verdict.KEPT, Verdict.STANDING}


def test_a_standing_setting_of_a_workflow_that_is_gone_is_forgotten() -> None:
    model = Model(lambda site, value: 0.1, [OFTEN])
    model.step(measured=False)
    model.want()
    model.step(gone=[OFTEN.site], measured=False)
    assert model.connections.settings == model.connections.called_s == {}
    model.run(2 * STANDING_S)
    assert len(model.changes) == 1


def test_a_precaution_is_kept_unless_it_costs() -> None:
    careful = WANTED._replace(precaution=True)
    same = Model(lambda _site, _value: 0.02, [careful])
    same.run(40)
    assert [(each.verdict, each.words.rpartition(": ")[2]) for each in same.judged] == [
        (Verdict.KEPT, "it costs nothing")
    ]
    dear = Model(lambda _site, value: 0.05 if value else 0.02, [careful])
    dear.run(40)
    assert dear.judged[0].verdict is Verdict.ROLLED_BACK
    assert not dear.connections.settings


def test_a_cost_that_is_known_is_not_measured_first() -> None:
    model = Model(lambda _site, value: 0.02 if value else 0.5, [WANTED._replace(known_cost_s=0.5)])
    made = model.step()
    assert [change.site for change in made.changes] == [PACE]
    model.run(40)
    assert [each.verdict for each in model.judged] == [Verdict.KEPT]
    assert model.judged[0].cost_before.mean_s == 0.5


def test_nothing_counts_while_what_had_waited_before_a_change_still_does() -> None:
    """The change would not seem to save, and would be over before its effect shows."""
    model = Model(lambda site, value: 0.8)
    while not model.connections.trials:
        model.step()
    begun_s = model.now_s
    while model.now_s < begun_s + 2 * TRIAL_S:
        model.step(settling=[PACE])
    (trial,) = model.connections.trials
    assert trial.cost.number == 0
    model.run(FIRST_BAR_S / 2)
    assert [each.verdict for each in model.judged] == [Verdict.ROLLED_BACK]


def test_what_never_settles_is_measured_in_the_end() -> None:
    model = Model(lambda site, value: 0.8)
    while model.now_s < LONGEST_SETTLING_S + TRIAL_S:
        model.step(settling=[PACE])
    assert [each.verdict for each in model.judged] == [Verdict.ROLLED_BACK]
