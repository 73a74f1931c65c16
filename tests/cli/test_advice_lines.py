"""Advice of shadow trials as lines, and as JSON."""

from __future__ import annotations

from gateway.cli.advice_lines import HERE, LastTrials, advice_json, advice_lines
from gateway.optimizer.history.record import ShadowTrial, TrafficRecord
from gateway.optimizer.history.summary import summarize
from tests.optimizer.history.records import record, shadow_trial


def last(*trials: ShadowTrial) -> LastTrials:
    found = LastTrials()
    for trial in trials:
        found.add(trial)
    return found


def decided(number: int = 1, **fields: object) -> TrafficRecord:
    return record(number, **({"chain": "none", "payload_bytes": 524_288, "receivers": 1} | fields))


def test_a_class_has_a_line_for_each_tier() -> None:
    head, *lines = advice_lines(last(shadow_trial()), summarize([decided(goodput_bytes_per_s=2e6)]))
    assert head == "wf/1: 1 receiver with lz4, zstd; 4 encodings tried on 131.1 kB"
    assert len(lines) == 5
    assert lines[1] == f"  zstd:1 would take 77.9 ms to a 20 Mbit/s receiver where none takes 210 ms{HERE}"
    assert not lines[2].endswith(HERE)


def test_the_last_trial_counts_and_the_newest_record_of_each_class() -> None:
    old = shadow_trial(1, sample_bytes=1000, time_ns=5)
    records = [decided(time_ns=7), decided(time_ns=9, chain="lz4", receivers=3), decided(codecs=(), time_ns=8)]
    trials = last(shadow_trial(1, time_ns=6), old, shadow_trial(2))
    heads = [line for line in advice_lines(trials, summarize(records)) if not line.startswith(" ")]
    assert heads == [
        "wf/1: 1 receiver with no codec; 4 encodings tried on 131.1 kB",
        "wf/1: 3 receivers with lz4, zstd; 4 encodings tried on 131.1 kB",
    ]


def test_without_trials_there_are_no_lines() -> None:
    found = summarize([decided()])
    assert advice_lines(LastTrials(), found) == []
    assert advice_lines(last(shadow_trial(tried=())), found) == []
    assert advice_json(LastTrials(), found) == []


def test_texts_of_clients_do_no_harm() -> None:
    trial = shadow_trial(stream="\x1b[2J")
    assert all(line.isprintable() for line in advice_lines(last(trial), summarize([decided(stream="\x1b[2J")])))


def test_all_is_in_the_json() -> None:
    (found,) = advice_json(last(shadow_trial()), summarize([decided()]))
    assert (found["stream"], found["chain"], found["receivers"], found["sample_bytes"]) == ("wf/1", "none", 1, 131_072)
    assert found["tried"][2]["chain"] == "zstd:1"
    assert [each["tier"] for each in found["advice"]][1] == "20 Mbit/s"
    assert found["advice"][1]["words"].startswith("zstd:1 would take")
