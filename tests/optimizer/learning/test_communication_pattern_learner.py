"""The communication pattern learner: the newest figures of each delivery class, of records that had messages."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.connections.arrivals import ArrivalKind
from gateway.optimizer.decisions.switchback import BLOCK_MESSAGES
from gateway.optimizer.history.record import AS_PUBLISHED, TrafficRecord
from gateway.optimizer.learning.communication_pattern_learner import (
    CommunicationPattern,
    CommunicationPatternLearner,
    pattern_of,
)
from tests.optimizer.history.records import ANY_RECORD, record


def patterns_of(*records: TrafficRecord) -> tuple[CommunicationPattern, ...]:
    learner = CommunicationPatternLearner()
    for each in records:
        learner.add(each)
    return learner.patterns()


def test_classes_are_told_apart_by_stream_codecs_tier_and_sdk() -> None:
    kinds = record(1), record(2), record(1, codecs=("lz4",)), record(1, tier="2 Mbit/s"), record(1, sdk="frys-js")
    assert len(patterns_of(*kinds, *kinds)) == len(kinds)


def test_the_figures_are_those_of_the_last_record_that_has_them() -> None:
    (found,) = patterns_of(
        record(1, tier="20 Mbit/s", goodput_bytes_per_s=2e6, decode_s_per_byte=1e-9, arrival_interval_s=1.0),
        record(1, tier="20 Mbit/s", payload_bytes=4096, messages=5, arrival_interval_s=2.0),
    )
    assert (found.goodput_bytes_per_s, found.tier.name) == (2e6, "20 Mbit/s")
    assert (found.payload_bytes, found.messages, found.decode_s_per_byte) == (4096, 8, 1e-9)
    assert found.interval_s == 1.25
    assert found.bytes_per_s == 4096 * 2 / 1.25


def test_a_link_of_which_nothing_is_known_has_the_rate_of_its_tier() -> None:
    assert patterns_of(record(1, tier="1 Gbit/s"))[0].goodput_bytes_per_s == 125e6
    assert patterns_of(record(1))[0].tier.name == "loopback"


def test_receivers_of_a_shared_class_have_the_rate_of_its_tier_not_that_of_the_others() -> None:
    (found,) = patterns_of(record(1, tier="20 Mbit/s", goodput_bytes_per_s=13e9))
    assert (found.tier.name, found.goodput_bytes_per_s) == ("20 Mbit/s", 2.5e6)
    (quiet,) = patterns_of(record(1, tier="loopback", goodput_bytes_per_s=2e6))  # nothing has waited yet
    assert (quiet.tier.name, quiet.goodput_bytes_per_s) == ("20 Mbit/s", 2e6)


def test_a_chain_that_decodes_nothing_is_not_charged_with_the_decoding_of_other_messages() -> None:
    outcome = {"published_bytes": 100, "sent_bytes": 100, "encode_s": 0.0, "decode_s_per_byte": 2e-9}
    (plain,) = patterns_of(record(1, chain="none", **outcome))
    (packed,) = patterns_of(record(1, chain="lz4", **outcome))
    assert plain.measured is not None
    assert packed.measured is not None
    assert (plain.measured.decode_s_per_byte, packed.measured.decode_s_per_byte) == (0.0, 2e-9)


@pytest.mark.parametrize("messages", [1, 11, 5000])
def test_a_block_by_the_baseline_at_the_end_is_not_the_chain_in_use(messages: int) -> None:
    decided = record(1, chain="lz4", messages=messages, published_bytes=100, sent_bytes=50, encode_s=0.0)
    checked = record(1, chain="none", messages=messages, published_bytes=100, sent_bytes=100, encode_s=0.0)
    block = max(1, BLOCK_MESSAGES // messages)
    (found,) = patterns_of(*[decided] * 300, *[checked] * block)
    assert found.measured is not None
    assert (found.chain, found.measured.chain, found.measured.ratio) == ("lz4", "lz4", 0.5)
    (changed,) = patterns_of(*[decided] * 300, *[checked] * 300)
    assert (changed.chain, changed.messages) == ("none", 600 * messages)


def test_records_that_are_no_outcomes_are_left_out() -> None:
    assert patterns_of(record(1, messages=0), record(1, chain=AS_PUBLISHED), record(1, published_encoding="lz4")) == ()


def test_arrivals_of_a_stream_with_few_messages_are_those_of_its_records() -> None:
    ticks = [replace(record(1, messages=1), time_ns=number * 60 * 10**9) for number in range(20)]
    (found,) = patterns_of(*ticks)
    assert found.arrivals is not None
    assert found.arrivals.kind is ArrivalKind.PERIODIC
    assert found.arrivals.interval_s == pytest.approx(60)
    (busy,) = patterns_of(*ticks, record(1, messages=30))
    assert busy.arrivals is None


def test_an_untried_stream_is_a_trial_without_outcomes() -> None:
    found = pattern_of(record(1))
    assert (found.untried.tried, found.untried.shape, found.untried.stream) == ((), (64, 4), "wf/1")


@given(st.lists(ANY_RECORD, max_size=5))
def test_patterns_of_any_records_are_sound(records: list[TrafficRecord]) -> None:
    for found in patterns_of(*records):
        assert found.goodput_bytes_per_s > 0
        assert found.interval_s is None or 0 < found.interval_s < math.inf
        assert found.messages > 0
