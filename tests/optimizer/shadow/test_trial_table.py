"""Trial table: trials go where most bytes are and where the last one is oldest, and at once where something changes."""

from __future__ import annotations

from dataclasses import replace

from gateway.optimizer.history.record import PayloadFeatures
from gateway.optimizer.shadow.trial_table import (
    IDLE_S,
    LEAST_AGE_S,
    MAX_CLASSES,
    MAX_STREAMS,
    PROBES_FOR_A_TRIAL,
    STEP_STREAMS,
    TrialTable,
    TriedStream,
)
from gateway.protocol.names import compile_pattern
from tests.optimizer.history.records import record, shadow_trial

FEATURES = PayloadFeatures(zero_share=0.1, plane_entropy_bits=(4.0, 4.0))
OTHER = PayloadFeatures(zero_share=0.1, plane_entropy_bits=(8.0, 8.0))


def add(table: TrialTable, number: int, now_s: float = 0.0, **fields: object) -> TriedStream:
    tried = table.found(number, now_s)
    tried.add(record(number, **({"arrival_interval_s": 1.0} | fields)))
    return tried


def due(table: TrialTable, count: int, now_s: float = 0.0) -> list[int]:
    steps = table.due(count, now_s)
    while True:
        try:
            next(steps)
        except StopIteration as ended:
            found: list[int] = ended.value
            return found


def test_the_streams_with_most_bytes_to_their_receivers_come_first() -> None:
    table = TrialTable()
    add(table, 1, payload_bytes=1000, receivers=10)
    add(table, 2, payload_bytes=4000, receivers=1)
    add(table, 3, payload_bytes=4000, receivers=1, arrival_interval_s=0.1)
    add(table, 4, payload_bytes=4000, receivers=0)
    assert due(table, 9) == [3, 1, 2]
    assert due(table, 1) == [3]
    assert due(table, 0) == []


def test_time_since_the_last_trial_counts_and_none_is_made_soon() -> None:
    table = TrialTable()
    fast, slow = add(table, 1, payload_bytes=4000), add(table, 2, payload_bytes=1000)
    fast.tried_s = slow.tried_s = 0.0
    assert due(table, 9, LEAST_AGE_S / 2) == []
    assert due(table, 1, LEAST_AGE_S) == [1]
    fast.tried_s = 4.1 * LEAST_AGE_S
    assert due(table, 1, 5.2 * LEAST_AGE_S) == [2]
    fast.tried_s = None
    assert due(table, 1, 5.2 * LEAST_AGE_S) == [1]


def test_streams_that_are_tried_now_or_rest_are_left_out() -> None:
    table = TrialTable()
    add(table, 1).under_way = True
    add(table, 2)
    assert due(table, 9) == [2]
    assert due(table, 9, IDLE_S + 1) == []


def test_a_class_has_its_newest_record_and_so_many_are_kept() -> None:
    tried = TriedStream(1)
    for number in range(MAX_CLASSES + 2):
        tried.add(record(1, codecs=("lz4", f"codec-{number}")))
    tried.add(record(1, codecs=("lz4", "codec-5"), receivers=9))
    assert len(tried.records) == MAX_CLASSES
    assert tried.records[-1].receivers == 9
    assert tried.codecs == {"lz4", *[f"codec-{number}" for number in range(2, MAX_CLASSES + 2)]}


def test_features_that_change_are_a_drift() -> None:
    tried = TriedStream(1)
    assert not any(tried.drifted(FEATURES) for _ in range(20))
    assert tried.drifted(OTHER)
    assert not tried.drifted(OTHER)
    assert not tried.drifted(PayloadFeatures())


def test_the_features_of_the_first_record_count() -> None:
    tried = TriedStream(1)
    assert not tried.add(record(1, features=FEATURES))
    assert tried.drifted(OTHER)


def test_a_chain_that_achieves_something_else_is_a_drift_but_another_chain_is_none() -> None:
    tried = TriedStream(1)
    sizes = [256] * 10 + [900]
    assert [tried.add(record(1, sent_bytes=size)) for size in sizes] == [False] * 10 + [True]
    tried = TriedStream(1)
    for size in [256] * 10:
        tried.add(record(1, sent_bytes=size))
    assert not tried.add(record(1, sent_bytes=1024, chain="none"))


def test_classes_with_different_ratios_are_no_drift() -> None:
    tried = TriedStream(1)
    for _ in range(20):
        assert not tried.add(record(1, sent_bytes=256))
        assert not tried.add(record(1, sent_bytes=1024, codecs=(), chain="none"))


def test_so_many_streams_are_kept_and_the_one_recorded_longest_ago_makes_room() -> None:
    table = TrialTable()
    for number in range(MAX_STREAMS):
        add(table, number)
    add(table, 0)
    add(table, MAX_STREAMS)
    assert len(table) == MAX_STREAMS
    assert 0 in table
    assert 1 not in table
    assert table.get(1) is None
    table.forget(0)
    assert 0 not in table


def test_the_loop_has_a_chance_between_steps() -> None:
    table = TrialTable()
    for number in range(STEP_STREAMS * 3):
        add(table, number)
    assert len(list(table.due(2, 0.0))) == 3


def test_the_busiest_are_those_that_were_tried() -> None:
    table = TrialTable()
    for number in range(4):
        add(table, number, payload_bytes=1000 * number).trial = shadow_trial(number) if number != 3 else None
    assert [each.trial for each in table.busiest(2)] == [shadow_trial(2), shadow_trial(1)]
    assert [each.trial for each in table.busiest(2, compile_pattern("*/1"))] == [shadow_trial(1)]
    assert table.busiest(2, compile_pattern("*/3")) == []
    assert table.busiest(2)[0].records == [replace(record(2), payload_bytes=2000, arrival_interval_s=1.0)]


def test_probes_make_up_for_trials_that_there_is_no_time_for() -> None:
    table = TrialTable()
    for number in range(1, 21):
        add(table, number)
    tried = [19, 20]
    for number in tried:
        table.found(number, 0.0).trial = shadow_trial(number)
    everything = list(range(20, 0, -1))
    assert table.shared_out(everything, 1, may_probe=False) == {20: False}
    assert table.shared_out([20, 19, 1], 1, may_probe=True) == {20: False}
    assert table.shared_out(everything, 0, may_probe=True) == {}
    few = table.shared_out([20, 1, 2, 3], 2, may_probe=True)
    assert few == {1: True, 2: True, 3: True, 20: False}
    shared = table.shared_out(everything, 3, may_probe=True)
    assert list(shared) == list(range(18, 0, -1))
    assert all(shared.values())
    assert len(table.shared_out(everything, 2, may_probe=True)) == 2 * PROBES_FOR_A_TRIAL
