"""Watched fan-in: wait and rate of a receiver of many senders, and what had waited before its credit."""

from __future__ import annotations

from gateway.connections.planning.context import FanInFacts
from gateway.connections.planning.facts.watched_fan_in import GROWS_OVER, WatchedFanIn
from gateway.connections.planning.sender_credit import bound_senders
from tests.connections.planning.fan_in import FanIn


class Scene:
    """A fan-in whose senders await nothing, watched."""

    def __init__(self) -> None:
        self.fan_in = FanIn(awaits=False)
        self.watched = WatchedFanIn(self.fan_in.connection, "wf", self.now_s)

    @property
    def now_s(self) -> float:
        """Time by the clock that only goes forward."""
        return self.fan_in.world.clock.monotonic_s()

    def look(self, seconds: float = 0.5) -> FanInFacts:
        """Let time pass, and look."""
        self.fan_in.world.clock.advance(seconds)
        return self.watched.look(self.now_s, 6, 100.0)


def test_the_wait_is_known_once_the_rate_is() -> None:
    scene = Scene()
    assert scene.look().wait_s == 0.0
    scene.fan_in.publish(20)
    facts = scene.look()
    assert facts.wait_s is None
    assert facts.cost_s is None
    taken = 0
    for _ in range(4):
        before = scene.fan_in.event_bytes
        scene.fan_in.read()
        taken = before - scene.fan_in.event_bytes
        facts = scene.look()
    assert round(facts.taken_bytes_per_s) == 2 * taken
    assert facts.wait_s == scene.fan_in.event_bytes / facts.taken_bytes_per_s
    assert facts.cost_s == facts.wait_s + 6 / 100.0
    assert (facts.client_id, facts.workflow, facts.senders, facts.kept_up_s) == ("collector", "wf", 6, 0.0)


def test_senders_that_are_not_known_any_more_are_as_many_as_before() -> None:
    scene = Scene()
    scene.look()
    assert scene.watched.look(scene.now_s, 0, 0.0).senders == 6


def test_what_had_waited_before_a_credit_settles_before_anything_counts() -> None:
    scene = Scene()
    scene.fan_in.publish(50)
    scene.look()
    assert not scene.watched.settling
    bound_senders(scene.fan_in.connection, 65536)
    settled = []
    while scene.fan_in.event_bytes:
        scene.fan_in.read()
        scene.look()
        settled.append((scene.fan_in.event_bytes <= 2 * 65536, not scene.watched.settling))
    assert settled[0] == (False, False)
    assert all(is_small == is_settled for is_small, is_settled in settled)
    assert scene.look(20.0).kept_up_s >= 20.0


def test_what_grows_with_a_credit_is_not_waited_for() -> None:
    scene = Scene()
    scene.fan_in.publish(50)
    bound_senders(scene.fan_in.connection, 65536)
    for _ in range(GROWS_OVER + 1):
        scene.fan_in.publish(2)
        scene.look()
    assert not scene.watched.settling
