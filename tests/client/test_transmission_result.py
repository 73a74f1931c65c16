"""Tests the quality score of spec section 15 against numbers worked out by hand."""

import pytest

from gateway.client.transmission_result import GOODPUT_FROM_BYTES, LinkQuality


def test_a_publish_as_fast_as_the_round_trip_is_perfect() -> None:
    assert LinkQuality().score(100, latency_s=0.001, rtt_s=0.001) == 1.0


def test_small_publishes_are_scored_by_the_round_trip_alone_before_there_is_a_goodput() -> None:
    assert LinkQuality().score(100, latency_s=0.004, rtt_s=0.001) == pytest.approx(0.25)


def test_the_first_large_publish_is_the_best_so_far() -> None:
    assert LinkQuality().score(1_000_000, latency_s=0.5, rtt_s=0.001) == 1.0


def test_later_publishes_are_measured_against_the_highest_goodput() -> None:
    quality = LinkQuality()
    quality.score(1_000_000, latency_s=0.1, rtt_s=0.0)
    assert quality.goodput_bytes_per_s == pytest.approx(10_000_000)
    assert quality.score(1_000_000, latency_s=0.4, rtt_s=0.0) == pytest.approx(0.25)
    assert quality.score(1_000_000, latency_s=0.4, rtt_s=0.1) == pytest.approx(0.5)
    assert quality.goodput_bytes_per_s == pytest.approx(10_000_000)


def test_small_publishes_do_not_count_as_goodput() -> None:
    quality = LinkQuality()
    quality.score(GOODPUT_FROM_BYTES - 1, latency_s=1e-9, rtt_s=0.0)
    assert quality.goodput_bytes_per_s == 0
    quality.score(GOODPUT_FROM_BYTES, latency_s=1.0, rtt_s=0.0)
    assert quality.goodput_bytes_per_s == GOODPUT_FROM_BYTES


def test_a_clock_that_did_not_move_gives_no_division_by_zero() -> None:
    assert LinkQuality().score(1_000_000, latency_s=0.0, rtt_s=0.0) == 1.0
