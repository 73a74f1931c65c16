"""Journal: one line for a knob and workflow, however many receivers it is about."""

from __future__ import annotations

import logging

from gateway.connections.planning.adjust import SettingChange
from gateway.connections.planning.cost import Cost
from gateway.connections.planning.journal import lines_of
from gateway.connections.planning.knob import Knob, Site
from gateway.connections.planning.ledger import Adjustment, Verdict


def change(name: str, scope: str = "lab", value: float = 1.0) -> SettingChange:
    return SettingChange(Site(Knob.PACING, name), value, f"the link of {name} is slow", scope)


def judged(name: str, verdict: Verdict, words: str) -> Adjustment:
    site = Site(Knob.PACING, name)
    return Adjustment(1, site, 0.0, 1.0, 0.0, 5.0, "slow", Cost(), Cost(), verdict, words, "lab")


def test_nothing_is_told_of_a_look_that_changes_nothing() -> None:
    assert lines_of([], []) == []


def test_a_thousand_receivers_are_one_line_with_their_number_and_one_reason() -> None:
    (line,) = lines_of([change(f"viewer-{number}") for number in range(1000)], [])
    assert line.level == logging.INFO
    assert line.text == "pacing in lab: 1000 set to 1; for example viewer-0: the link of viewer-0 is slow"


def test_one_receiver_is_no_example() -> None:
    (line,) = lines_of([change("viewer")], [])
    assert line.text == "pacing in lab: 1 set to 1; viewer: the link of viewer is slow"


def test_workflows_and_knobs_have_lines_of_their_own() -> None:
    window = SettingChange(Site(Knob.FLUSH_WINDOW, "lab"), 0.002, "the loop is busy for 84% of its time", "lab")
    lines = lines_of([change("one"), change("two", "shop"), window, change("three")], [])
    assert [line.text.split(";")[0] for line in lines] == [
        "pacing in lab: 2 set to 1",
        "pacing in shop: 1 set to 1",
        "flush_window in lab: 1 set to 0.002",
    ]


def test_verdicts_stand_beside_changes_and_the_example_is_of_the_most_frequent() -> None:
    kept = [judged(f"viewer-{number}", Verdict.KEPT, "messages wait less") for number in range(2)]
    (line,) = lines_of([change("other", value=0.0)], kept)
    assert line.text == "pacing in lab: 1 set to 0, 2 kept; for example viewer-0: messages wait less"


def test_effects_that_nobody_can_tell_are_no_news() -> None:
    (line,) = lines_of([], [judged("viewer", Verdict.VOID, "it is gone")])
    assert (line.level, line.text) == (logging.DEBUG, "pacing in lab: 1 void; viewer: it is gone")
    (line,) = lines_of([], [judged("viewer", Verdict.ROLLED_BACK, "worse")])
    assert (line.level, line.text) == (logging.INFO, "pacing in lab: 1 rolled back; viewer: worse")
