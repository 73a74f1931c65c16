"""The score of a publish is that of a link (spec section 15) on which it has waited for as long as it took too long."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.client.transmission_result import GOODPUT_FROM_BYTES, PublishScores
from gateway.protocol.link_quality import HALF_SCORE_S, LinkQuality


def test_a_publish_as_fast_as_the_round_trip_has_the_score_of_the_link() -> None:
    assert PublishScores().score(100, latency_s=0.02, rtt_s=0.02) == LinkQuality(rtt_s=0.02).score


def test_time_beyond_the_round_trip_counts_as_queue_delay() -> None:
    found = PublishScores().score(100, latency_s=0.02 + HALF_SCORE_S, rtt_s=0.02)
    assert found == pytest.approx(LinkQuality(rtt_s=0.02, queue_delay_s=HALF_SCORE_S).score)


def test_later_publishes_are_measured_against_the_highest_goodput() -> None:
    scores = PublishScores()
    scores.score(1_000_000, latency_s=0.1, rtt_s=0.01)
    assert scores.goodput_bytes_per_s == pytest.approx(10_000_000)
    found = scores.score(1_000_000, latency_s=0.5, rtt_s=0.01)
    assert found == pytest.approx(LinkQuality(rtt_s=0.01, goodput_bytes_per_s=1e7, queue_delay_s=0.39).score)
    assert scores.goodput_bytes_per_s == pytest.approx(10_000_000)


def test_a_better_round_trip_or_goodput_changes_what_is_best() -> None:
    scores = PublishScores()
    for nbytes, latency_s, rtt_s in ((100_000, 0.1, 0.05), (400_000, 0.1, 0.05), (400_000, 0.1, 0.02)):
        scores.score(nbytes, latency_s, rtt_s)
    best = LinkQuality(rtt_s=0.02, goodput_bytes_per_s=4e6)
    assert scores.score(1, latency_s=0.0, rtt_s=0.02) == best.score


def test_small_publishes_do_not_count_as_goodput() -> None:
    scores = PublishScores()
    scores.score(GOODPUT_FROM_BYTES - 1, latency_s=1e-9, rtt_s=0.0)
    assert scores.goodput_bytes_per_s == 0
    scores.score(GOODPUT_FROM_BYTES, latency_s=1.0, rtt_s=0.0)
    assert scores.goodput_bytes_per_s == GOODPUT_FROM_BYTES


def test_a_clock_that_did_not_move_gives_no_division_by_zero() -> None:
    assert PublishScores().score(1_000_000, latency_s=0.0, rtt_s=0.0) == 1.0


@given(
    st.lists(st.tuples(st.integers(0, 2**40), st.floats(0, 1e6), st.floats(0, 1e3)), min_size=1), st.floats(0.001, 1e3)
)
def test_the_score_is_bounded_and_falls_with_the_latency(
    publishes: list[tuple[int, float, float]], longer_s: float
) -> None:
    scores = PublishScores()
    for publish in publishes:
        assert 0 <= scores.score(*publish) <= 1
    nbytes, latency_s, rtt_s = 1000, publishes[-1][1], publishes[-1][2]
    assert scores.score(nbytes, latency_s + longer_s, rtt_s) <= scores.score(nbytes, latency_s, rtt_s)
