"""Settings of plans: on unless they are told otherwise."""

from gateway.connections.planning.settings import PlanMode, PlanSettings


def test_plans_are_on() -> None:
    assert PlanSettings().mode is PlanMode.ON


def test_a_mode_has_the_name_of_the_settings_file() -> None:
    assert [str(mode) for mode in PlanMode] == ["on", "advise", "off"]
