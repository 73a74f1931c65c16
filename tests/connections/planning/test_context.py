"""Context: settings in force, or the defaults."""

from gateway.connections.planning.context import Context
from gateway.connections.planning.knob import Knob, Site

WINDOW = Site(Knob.FLUSH_WINDOW, "lab")


def test_a_setting_that_nobody_has_changed_is_the_default() -> None:
    assert Context(0.0).setting(WINDOW) == 0.0


def test_a_setting_in_force_is_found_at_its_place() -> None:
    context = Context(0.0, settings={WINDOW: 0.005})
    assert context.setting(WINDOW) == 0.005
    assert context.setting(Site(Knob.FLUSH_WINDOW, "other")) == 0.0
