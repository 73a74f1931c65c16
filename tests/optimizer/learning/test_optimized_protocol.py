"""Learning from a history, and applying that to present traffic: pure, and the same for the same history and seed."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.optimizer.history.record import ShadowTrial, TrafficRecord
from gateway.optimizer.learning.optimized_protocol import TrafficSnapshot, learn_from_history, optimize_realtime
from tests.optimizer.history.records import ANY_RECORD, ANY_TRIAL
from tests.optimizer.learning.test_replay import FAST, SLOW, history, record
from tests.optimizer.learning.trials import trial, trials


def test_a_history_teaches_decisions_and_their_worth() -> None:
    protocol = learn_from_history(history(SLOW))
    ((key, decision),) = protocol.strategy
    assert (key.stream, str(decision.chain)) == ("wf/1", "pco:8")
    assert protocol.efficiency.saved_share > 0.2
    metrics = protocol.metrics
    assert (metrics.records, metrics.trials, metrics.classes, metrics.decided, metrics.model_trials) == (
        4,
        4,
        1,
        1,
        None,
    )
    assert metrics.replayed.policies["learned"].regret < 0.05


def test_streams_without_a_trial_are_decided_by_the_model() -> None:
    features = trial(1, 2.0).features
    protocol = learn_from_history([*trials(40), record(999, SLOW, features=features)])
    assert protocol.metrics.model_trials == 40
    ((_, decision),) = protocol.strategy
    assert decision.chain.codec == "pco"


def test_an_empty_history_teaches_nothing() -> None:
    protocol = learn_from_history([])
    assert (len(protocol.strategy), protocol.efficiency.saved_share, protocol.metrics.decided) == (0, 0, 0)
    found = optimize_realtime(TrafficSnapshot((record(1),)), protocol)
    assert (len(found.application), found.adjustment, found.improvement) == (0, (), 0)


def test_present_traffic_is_told_what_holds_and_what_changes() -> None:
    protocol = learn_from_history(history(SLOW))
    same = optimize_realtime(TrafficSnapshot((record(1, SLOW),)), protocol)
    assert (same.application.to_json(), same.adjustment) == (protocol.strategy.to_json(), ())
    assert same.improvement > 0.2
    moved = optimize_realtime(TrafficSnapshot((record(1, FAST, tier="loopback"), record(1, messages=0))), protocol)
    (change,) = moved.adjustment
    assert (change.before, change.after.chain.codec, change.key.tier) == (None, "none", "loopback")
    assert len(moved.protocol.strategy) == 2
    again = optimize_realtime(TrafficSnapshot((record(1, FAST, tier="loopback"),)), moved.protocol)
    assert again.adjustment == ()
    assert len(protocol.strategy) == 1


def test_a_new_trial_is_followed_by_the_next_looks_too() -> None:
    protocol = learn_from_history(history(SLOW))
    other = replace(trial(1, 7.9), time_ns=2**62)
    found = optimize_realtime(TrafficSnapshot((record(1, SLOW),), (other,)), protocol)
    (change,) = found.adjustment
    assert change.cause == "the stream was tried again"
    later = optimize_realtime(TrafficSnapshot((record(1, SLOW),)), found.protocol)
    assert later.adjustment == ()
    assert later.application.to_json() == found.application.to_json()


@settings(max_examples=30, deadline=None)
@given(st.lists(ANY_RECORD | ANY_TRIAL, max_size=12), st.lists(ANY_RECORD, max_size=4), st.integers(0, 2**31))
def test_any_history_teaches_the_same_each_time(
    events: list[TrafficRecord | ShadowTrial], present: list[TrafficRecord], seed: int
) -> None:
    known = [*events, *history(SLOW)]
    first, again = learn_from_history(known, seed), learn_from_history(known, seed)
    assert first.strategy.to_json() == again.strategy.to_json()
    snapshot = TrafficSnapshot(tuple(present))
    found = optimize_realtime(snapshot, first)
    assert found.application.to_json() == optimize_realtime(snapshot, again).application.to_json()
