"""Traffic history: what the core delivers gets into files, by a sweep of the core."""

from __future__ import annotations

from itertools import count
from pathlib import Path

import numpy as np
import pytest

from gateway.optimizer.history.reading import ReadingTally, read_history
from gateway.optimizer.history.traffic_history import SHARE, TrafficHistory
from gateway.optimizer.history.writer_process import PUMP_INTERVAL_S
from gateway.optimizer.settings import OptimizerSettings
from gateway.protocol.messages import Kind
from gateway.protocol.views import View
from tests.connections.memory import EVERY_CODEC, FixedPolicy, ManualClock, StepWorkers, World

NOISE = np.random.default_rng(1).standard_normal(8192)


def begun(tmp_path: Path) -> tuple[World, TrafficHistory]:
    clock, workers = ManualClock(), StepWorkers()
    settings = OptimizerSettings(history_dir=str(tmp_path), sample_interval_s=2.0)
    history = TrafficHistory(tmp_path, settings, FixedPolicy(), clock, workers)
    world = World(history.policy, clock=clock, workers=workers)
    before = len(world.core.sweeps)
    history.begin(world.core)
    assert [each.pause_s() for each in world.core.sweeps[before:]] == [2.0, PUMP_INTERVAL_S]
    return world, history


def sweep(world: World) -> None:
    for each in world.core.sweeps[-2:]:
        for _ in each.work() or ():
            pass


def close_records(history: TrafficHistory) -> None:
    for _ in history.close_records():
        pass


def test_traffic_gets_into_files(tmp_path: Path) -> None:
    world, history = begun(tmp_path)
    publisher = world.publisher("wf/state", kind=Kind.STATE, codecs=())
    world.subscriber("wf/state", codecs=EVERY_CODEC)
    world.peer("viewer", EVERY_CODEC).subscribe("wf/state", view=View(dtype="float32"))
    publisher.publish_array(0, NOISE)
    world.settle()
    world.clock.advance(1.0)
    sweep(world)
    stats = history.stats()
    assert (stats.recorded, stats.writing, stats.writer_starts, stats.failure) == (2, True, 1, "")
    assert stats.waiting + stats.written == 2
    history.close(30.0)
    assert history.stats().written == 2
    assert {each.view != "" for each in read_history(tmp_path, ReadingTally())} == {True, False}


@pytest.mark.parametrize("kind", [Kind.CONTROL, Kind.COLLABORATION])
def test_what_the_observers_of_an_acknowledged_stream_get_is_recorded(tmp_path: Path, kind: Kind) -> None:
    world, history = begun(tmp_path)
    publisher = world.publisher("wf/tasks", kind=kind, codecs=())
    world.subscriber("wf/tasks", "worker", EVERY_CODEC)
    publisher.publish(0, NOISE.tobytes())
    world.settle()
    sweep(world)
    assert history.stats().recorded == 0
    dashboard = world.peer("dashboard", EVERY_CODEC)
    dashboard.subscribe("wf/tasks", observe=True)
    for _ in range(2):
        publisher.publish(0, NOISE.tobytes())
        world.settle()
        world.clock.advance(1.0)
        sweep(world)
    assert history.stats().recorded == 2
    publisher.publish(0, NOISE.tobytes())
    world.settle()
    dashboard.unsubscribe(1)
    world.settle()
    close_records(history)
    history.close(30.0)
    assert [each.stream for each in read_history(tmp_path, ReadingTally())] == ["wf/tasks"] * 2


def test_sweeps_that_take_long_are_rare(tmp_path: Path) -> None:
    world, history = begun(tmp_path)
    history._thread_time_s = count(0.0, 0.5).__next__  # half a second from each look at the time to the next
    world.publisher("wf/noise", codecs=()).publish_array(0, NOISE)
    world.settle()
    world.clock.advance(1.0)
    sweep(world)
    assert world.core.sweeps[-2].pause_s() == 1.0 / SHARE
    sweep(world)
    assert world.core.sweeps[-2].pause_s() == 0.5 / SHARE
    history._thread_time_s = lambda: 7.0
    sweep(world)
    assert world.core.sweeps[-2].pause_s() == 2.0
    history.close(30.0)


def test_records_that_are_open_are_closed_before_receivers_go(tmp_path: Path) -> None:
    world, history = begun(tmp_path)
    publisher = world.publisher("wf/noise", codecs=())
    world.subscriber("wf/noise", codecs=EVERY_CODEC)
    publisher.publish_array(0, NOISE)
    world.settle()
    close_records(history)
    history.close(30.0)
    (found,) = read_history(tmp_path, ReadingTally())
    assert (found.stream, found.receivers) == ("wf/noise", 1)


def test_a_record_that_cannot_be_made_does_not_hold_up_a_stop(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    world, history = begun(tmp_path)
    world.publisher("wf/noise", codecs=()).publish_array(0, NOISE)
    (opened,) = history._recorder._open.values()
    opened.stream = None  # type: ignore[assignment]
    close_records(history)
    history.close(1.0)
    assert "could not be made" in caplog.text


def test_streams_that_have_ended_are_left_out(tmp_path: Path) -> None:
    world, history = begun(tmp_path)
    publisher = world.publisher("wf/noise", codecs=())
    world.subscriber("wf/noise", codecs=EVERY_CODEC)
    publisher.publish_array(0, NOISE)
    (opened,) = history._recorder._open.values()
    opened.stream.ended = "deleted"  # type: ignore[assignment]
    close_records(history)
    history.close(1.0)
    stats = history.stats()
    assert (stats.recorded, stats.writer_starts, stats.writing) == (0, 1, False)
    assert (stats.directory, stats.sample_interval_s) == (str(tmp_path), 2.0)


def test_records_tell_which_share_of_its_time_the_loop_had_nothing_to_do(tmp_path: Path) -> None:
    world, history = begun(tmp_path)
    busy_s = 0.0
    history._thread_time_s = lambda: busy_s
    publisher = world.publisher("wf/noise", codecs=())
    world.subscriber("wf/noise", codecs=EVERY_CODEC)
    history._looked_s = world.clock.monotonic_s(), 0.0
    for spent_s in (0.0, 0.5, 7.0):
        publisher.publish_array(0, NOISE)
        world.settle()
        world.clock.advance(2.0)
        busy_s += spent_s
        sweep(world)
    history.close(30.0)
    assert [each.cpu_headroom for each in read_history(tmp_path, ReadingTally())] == [1.0, 0.75, 0.0]
