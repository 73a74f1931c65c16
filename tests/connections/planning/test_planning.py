"""Planning: looks at the gateway, tries what is wanted, and keeps or rolls it back, with a clock that is injected."""

from __future__ import annotations

import logging
from dataclasses import replace
from types import MappingProxyType

import numpy as np
import pytest

from gateway.connections.overload.loop_lag import STANDING
from gateway.connections.planning.adjust import ConnectionAdjustments, Connections, SettingChange
from gateway.connections.planning.context import Context
from gateway.connections.planning.knob import Knob, Site
from gateway.connections.planning.ledger import Verdict
from gateway.connections.planning.recess import FIRST_RECESS_S, Recess
from gateway.connections.planning.settings import PlanMode
from gateway.connections.socket_counts import SocketCounts, TcpInfo
from gateway.errors import Code
from gateway.protocol.views import View
from tests.connections.memory import EVERY_CODEC, World
from tests.connections.planning.crowd import LIGHT, Crowd
from tests.connections.planning.fan_in import MESSAGE, FanIn
from tests.connections.planning.slow_scene import SlowScene


def test_a_receiver_whose_states_come_late_is_paced_and_stays_so_since_that_helps() -> None:
    scene = SlowScene()
    scene.run(60)
    snapshot = scene.planning.snapshot()
    (adjustment,) = snapshot.adjustments
    assert adjustment.site.knob is Knob.PACING
    assert adjustment.verdict is Verdict.KEPT
    assert adjustment.cost_after.mean_s < adjustment.cost_before.mean_s
    assert [site.name for site in snapshot.connections.settings] == ["viewer"]
    assert "kB/s of states are published to it" in snapshot.plan.quality[0].reason
    assert scene.planning.ledger.counts[Verdict.KEPT] == 1
    stats = scene.planning.stats()
    assert (stats.settings[Knob.PACING], stats.settings[Knob.ROUTING], stats.trials) == (1, 0, 0)


class LowerScene(SlowScene):
    """The same of a client that lets the gateway send less of each version."""

    def __init__(self) -> None:
        super().__init__()
        self.receiver.unsubscribe(1)
        self.receiver.subscribe("wf/x", 9, lower=View(np.s_[::64]))
        self.link_s = 0.5

    @property
    def verdicts(self) -> list[tuple[float, Verdict]]:
        """Values of the knob of views that were tried, and what became of them, the last one first."""
        tried = self.planning.snapshot().adjustments
        return [(each.value, each.verdict) for each in tried if each.site.knob is Knob.VIEW]


def test_a_receiver_gets_its_lower_view_since_that_helps_and_the_other_one_when_its_link_is_fast() -> None:
    scene = LowerScene()
    scene.run(200)
    assert scene.verdicts == [(1.0, Verdict.KEPT)]
    assert scene.connection in {session.connection for session in scene.planning.actuator.lowering._lowered}
    assert scene.receiver.reader.arrivals[-1].array.size == 8000 // 64
    reasons = [each.reason for each in scene.planning.snapshot().adjustments if each.site.knob is Knob.VIEW]
    assert "by the lower views" in reasons[0]
    codes = [notice.code for notice in scene.receiver.reader.notices if notice.subscription == 9]
    assert codes == [Code.VIEW_LOWERED]
    scene.link_s = 0.0
    scene.run(2000)
    assert scene.verdicts == [(0.0, Verdict.KEPT), (1.0, Verdict.KEPT)]
    assert scene.receiver.reader.arrivals[-1].array.size == 8000
    assert not len(scene.planning.actuator.lowering)


def test_a_client_that_names_its_lower_view_anew_between_two_looks_gets_it_as_before() -> None:
    scene = LowerScene()
    scene.run(200)
    scene.receiver.unsubscribe(9)
    for _ in scene.planning.actuator.cover([]):
        pass  # the end of a look that had found it there
    scene.receiver.subscribe("wf/x", 10, lower=View(np.s_[::64]))
    look(scene)
    assert scene.receiver.session.views[10].lowered


def test_a_lower_view_that_is_named_anew_after_plans_have_found_it_gone_is_tried_anew(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    scene = LowerScene()
    scene.run(200)
    scene.receiver.unsubscribe(9)
    costs = scene.planning._facts.costs

    def subscribe_meanwhile(context: Context) -> dict[Site, float | None]:
        scene.receiver.subscribe("wf/x", 10, lower=View(np.s_[::64]))
        return costs(context)

    monkeypatch.setattr(scene.planning._facts, "costs", subscribe_meanwhile)
    look(scene)
    assert not scene.planning.snapshot().connections.settings
    assert not scene.receiver.session.views[10].lowered
    assert not len(scene.planning.actuator.lowering)


def test_a_plan_that_only_advises_sets_nothing() -> None:
    scene = SlowScene(PlanMode.ADVISE)
    scene.run(40)
    snapshot = scene.planning.snapshot()
    assert snapshot.plan.quality
    assert not snapshot.connections.settings
    assert not scene.receiver.reader.notices


def test_without_plans_nothing_is_looked_at() -> None:
    scene = SlowScene(PlanMode.OFF)
    scene.run(10)
    assert not scene.planning.snapshot().plan.quality


def test_a_receiver_that_is_gone_is_forgotten() -> None:
    scene = SlowScene()
    scene.run(60)
    scene.world.lose(scene.receiver)
    for _ in scene.planning.look():
        pass
    for _ in scene.planning.look():
        pass
    snapshot = scene.planning.snapshot()
    assert not snapshot.connections.settings
    assert not snapshot.connections.costs


def test_a_newcomer_on_a_slow_line_is_paced_at_once() -> None:
    scene = SlowScene()
    busy = TcpInfo(0.0, 0.0, 0.0, 0.0, True, 0, 0, 0, 0, 0.0, 0.0, 0.0)
    scene.receiver.transport.counts = SocketCounts(0.0, busy)
    newest = scene.world.core.planning.actuator.lag_changes
    newest.note(scene.connection, lagging=False)
    assert list(scene.planning.glance()) == []
    carried = busy._replace(rtt_s=0.3, acknowledged_bytes=50_000, busy_s=0.2, unacknowledged_bytes=100_000)
    scene.receiver.transport.counts = SocketCounts(0.0, carried)
    for _ in scene.planning.glance():
        pass
    assert scene.connection.paced
    (trial,) = scene.planning.snapshot().connections.trials
    assert trial.measure.reason == "100 kB are on their way to it, and its system takes 250 kB/s"
    for _ in scene.planning.glance():
        raise AssertionError("it is paced already")


def look(scene: SlowScene) -> None:
    for _ in scene.planning.look():
        pass


def test_a_failure_is_told_once_and_plans_go_on_behind_a_recess(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    scene = SlowScene()
    with monkeypatch.context() as broken:
        broken.setattr("gateway.connections.planning.planning.plan", lambda context: 1 // 0)
        with caplog.at_level(logging.WARNING):
            scene.step()
        (record,) = caplog.records
        assert "plans have failed" in record.getMessage()
        assert record.exc_info
        caplog.clear()
        scene.step()
        assert not caplog.records, "nothing is looked at meanwhile"
        snapshot = scene.planning.snapshot()
        assert snapshot.failures == scene.planning.stats().failures == 1
        assert 0 < snapshot.recess_s < FIRST_RECESS_S
        scene.world.clock.advance(FIRST_RECESS_S)
        with caplog.at_level(logging.WARNING):
            look(scene)
        (record,) = caplog.records
        assert not record.exc_info, "the traceback is in the log already"
        assert scene.planning.snapshot().failures == 2
        assert scene.planning.snapshot().recess_s == 2 * FIRST_RECESS_S
    assert scene.receiver.read().arrivals
    scene.world.clock.advance(2 * FIRST_RECESS_S)
    scene.run(60)
    assert [site.name for site in scene.planning.snapshot().connections.settings] == ["viewer"]
    assert scene.planning.snapshot().recess_s == 0


def test_a_glance_that_fails_ends_plans_as_a_look_does(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    scene = SlowScene()
    scene.run(60)
    monkeypatch.setattr("gateway.connections.planning.facts.facts_reader.first_paces", lambda starts: 1 // 0)
    with caplog.at_level(logging.WARNING):
        for _ in scene.planning.glance():
            pass
        for _ in scene.planning.glance():
            pass
    (record,) = caplog.records
    assert record.exc_info
    assert not scene.connection.paced
    assert scene.planning.snapshot().failures == 1


def test_events_that_waited_as_plans_failed_change_back_while_no_plans_are_made() -> None:
    world = World()
    publisher = world.publisher("wf/events")
    viewer = world.peer("viewer", EVERY_CODEC)
    viewer.subscribe("wf/events", 1, lower=View(np.s_[::64]))
    planning, connection = world.core.planning, viewer.session.connection
    lowering = planning.actuator.lowering
    assert lowering.set(viewer.session, "a slow link", lowered=True)
    connection.pause_writing()
    publisher.publish_array(0, np.zeros(640, np.float32))
    world.settle()
    planning._recess = Recess().after_failure(world.clock.monotonic_s())
    assert lowering.set(viewer.session, "plans have failed", lowered=False)
    connection.resume_writing()
    for _ in planning.look():
        pass
    publisher.publish_array(0, np.zeros(640, np.float32))
    world.settle()
    assert [arrival.array.size for arrival in viewer.read().arrivals] == [10, 640]


def test_a_setting_that_cannot_be_put_in_force_leaves_none_behind(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    scene = SlowScene()
    scene.run(60)
    actuator = scene.planning.actuator
    refused = [Site(Knob.ROUTING, "group:a"), Site(Knob.ROUTING, "group:b")]
    settings = MappingProxyType(dict.fromkeys(refused, 1.0) | dict(scene.planning._connections.settings))
    scopes = MappingProxyType({site: site.name for site in settings})
    scene.planning._connections = replace(scene.planning._connections, settings=settings, scopes=scopes)
    set_in_force = actuator.set
    monkeypatch.setattr(actuator, "set", lambda change: 1 // 0 if change.site in refused else set_in_force(change))
    monkeypatch.setattr("gateway.connections.planning.planning.plan", lambda context: 1 // 0)
    with caplog.at_level(logging.WARNING):
        look(scene)
    assert [bool(record.exc_info) for record in caplog.records] == [True, True, False]
    assert caplog.records[-1].getMessage() == "2 settings of the plans could not be ended"
    assert not scene.planning.snapshot().connections.settings
    assert scene.receiver.read().notices[-1].code == Code.VIEW_RESTORED


def test_a_setting_that_was_about_to_end_ends_when_plans_fail(monkeypatch: pytest.MonkeyPatch) -> None:
    """The end of a setting is decided, and the look fails before it is put in force."""
    scene = SlowScene()
    scene.run(60)
    monkeypatch.setattr(
        "gateway.connections.planning.planning.adjust",
        lambda connections, dynamics: ConnectionAdjustments((), (), Connections(), 1.0),
    )
    monkeypatch.setattr(scene.planning.actuator, "route", lambda routes, settings: 1 // 0)
    look(scene)
    assert scene.receiver.read().notices[-1].code == Code.VIEW_RESTORED


def test_the_log_has_a_line_a_workflow_and_those_of_single_receivers_for_whoever_debugs(
    caplog: pytest.LogCaptureFixture,
) -> None:
    scene = SlowScene()
    with caplog.at_level(logging.DEBUG, "gateway.connections.planning"):
        scene.run(60)
    told = [record.getMessage() for record in caplog.records if record.levelno == logging.INFO]
    assert [line.split(";")[0] for line in told] == ["plans: pacing in wf: 1 set to 1", "plans: pacing in wf: 1 kept"]
    assert "pacing of viewer is kept" in caplog.text


def test_when_the_gateway_stops_no_message_waits_for_a_window() -> None:
    scene = SlowScene()
    core = scene.world.core
    core.planning.actuator.set(SettingChange(Site(Knob.FLUSH_WINDOW, "wf"), 0.005, "busy"))
    for _ in core.planning.actuator.cover(list(core.streams)):
        pass
    other = scene.world.subscriber("wf/x", "other")
    scene.publisher.publish(0, bytes(8))
    scene.world.turn()
    assert not other.read().arrivals
    core.go_away("stopping", 1.0)
    assert other.read().arrivals
    for _ in core.planning.look():
        pass


def test_a_trial_begins_again_when_the_stage_of_overload_changes() -> None:
    scene = SlowScene()
    while not scene.planning.snapshot().connections.trials:
        scene.step()
    scene.run(5)
    (trial,) = scene.planning.snapshot().connections.trials
    assert trial.cost.number > 0
    for _ in range(STANDING):
        scene.world.core.overload.loop_lag.observe(0.2)
    for _ in scene.world.core.overload.sweep():
        pass
    scene.step()
    (trial,) = scene.planning.snapshot().connections.trials
    assert (trial.cost.number, trial.disturbed) == (0, 1)
    scene.step()
    (trial,) = scene.planning.snapshot().connections.trials
    assert trial.disturbed == 1


def test_settings_end_when_plans_have_failed(monkeypatch: pytest.MonkeyPatch) -> None:
    scene = SlowScene()
    scene.run(60)
    assert [site.name for site in scene.planning.snapshot().connections.settings] == ["viewer"]
    monkeypatch.setattr("gateway.connections.planning.planning.plan", lambda context: 1 // 0)
    look(scene)
    assert not scene.planning.snapshot().connections.settings
    window = scene.connection.bulk_window
    assert window is not None
    assert not window.bulk.paced
    assert scene.receiver.read().notices[-1].code == Code.VIEW_RESTORED


def test_the_window_of_a_workflow_that_is_gone_ends() -> None:
    scene = SlowScene()
    site = Site(Knob.FLUSH_WINDOW, "gone")
    scene.planning._connections = Connections(MappingProxyType({site: 0.002}), MappingProxyType({site: "gone"}))
    scene.planning.actuator.set(SettingChange(site, 0.002, "busy"))
    for _ in scene.planning.look():
        pass
    assert not scene.planning.snapshot().connections.settings
    assert not scene.planning.actuator._windows


def test_stages_of_a_pipeline_are_asked_often_as_long_as_it_runs() -> None:
    world = World()
    core = world.core
    camera, screen = world.publisher("wf/x"), world.subscriber("wf/x", "screen")
    awaited = []
    for second in range(60):
        if second < 20:
            camera.publish(0, bytes(8))
            world.settle()
        world.clock.advance(1.0)
        core.workflows.begin_sweep()
        world.settle()
        for _ in core.planning.look():
            world.settle()
        awaited.append(set(core.heartbeat.awaited))
        screen.read()
    assert awaited[15] == {camera.session.peer.id}
    assert not awaited[-1]
    ended, begun = core.planning.snapshot().adjustments
    assert (begun.site, begun.verdict, begun.value) == (Site(Knob.HEARTBEAT, "wf"), Verdict.STANDING, 1.0)
    assert begun.reason.startswith("receivers of wf wait for ")
    assert (ended.value, ended.words) == (0.0, "what called for it is over")


def test_senders_of_a_receiver_that_cannot_keep_up_wait_before_its_queue_is_long() -> None:
    scene = FanIn()
    most = 0
    for _ in range(100):
        scene.step()
        most = max(most, scene.event_bytes)
    (adjustment,) = [each for each in scene.planning.ledger if each.site.knob is Knob.SENDER_CREDIT]
    assert adjustment.verdict is Verdict.KEPT
    assert adjustment.site.name == "collector"
    assert "of the events of 6 senders or more" in adjustment.reason
    assert scene.event_bytes < most / 4
    assert scene.event_bytes <= 4 * adjustment.value + len(scene.senders) * len(MESSAGE)
    assert max(scene.published) <= 1.2 * min(scene.published)


def test_a_credit_that_nobody_keeps_to_is_rolled_back() -> None:
    """The senders do not await their publishes."""
    scene = FanIn(awaits=False)
    scene.run(60)
    judged = [each for each in scene.planning.ledger if each.site.knob is Knob.SENDER_CREDIT]
    assert judged
    assert all(each.verdict is not Verdict.KEPT for each in judged)


def test_a_credit_ends_once_the_receiver_keeps_up() -> None:
    scene = FanIn()
    scene.run(60)
    assert scene.connection.made_outbox().events.sender_credit
    scene.receiver.transport.read_on()
    scene.run(80)
    assert not scene.planning.snapshot().connections.settings
    assert scene.connection.made_outbox().events.sender_credit == 0


def test_a_light_stream_goes_before_heavy_ones_since_that_helps_until_the_receiver_keeps_up() -> None:
    scene = Crowd()
    scene.run(40)
    (adjustment,) = [each for each in scene.planning.ledger if each.site.knob is Knob.PRIORITY]
    assert adjustment.site.name == LIGHT
    assert adjustment.verdict is Verdict.KEPT
    assert adjustment.cost_after.mean_s < adjustment.cost_before.mean_s / 4
    assert "wait for turns of other streams" in adjustment.reason
    assert scene.stream.preferred
    assert scene.waiting_bytes <= 64
    scene.publishes = False
    scene.receiver.transport.read_on()
    scene.run(100)
    assert Site(Knob.PRIORITY, LIGHT) not in scene.planning.snapshot().connections.settings
    assert not scene.stream.preferred


def test_streams_that_are_alike_keep_their_turns() -> None:
    scene = FanIn(senders=12, awaits=False)
    scene.run(60)
    assert not [each for each in scene.planning.ledger if each.site.knob is Knob.PRIORITY]
