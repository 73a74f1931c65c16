"""A link is smoothed, forgets what has ended, and takes no harm from nonsense."""

from __future__ import annotations

import math
from typing import Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.connections.links.bottleneck import UNREAD_S, Bottleneck
from gateway.connections.links.link import (
    DECODE_S,
    GOODPUT_S,
    HELD_S,
    MAX_DECODE_S_PER_BYTE,
    MAX_DELAY_S,
    MAX_UNREAD_BYTES,
    NO_COUNTS,
    SETTLED_S,
    SHARES_S,
    Link,
    LinkCounts,
)
from gateway.protocol.signals import ProgramPosition, ReceiverReport
from tests.connections.links.test_bottleneck import info

MEGABIT: Final = 125_000
LAGGING: Final = LinkCounts(lagging=True, waiting_bytes=0)


def test_the_first_goodput_stands_and_later_ones_are_smoothed() -> None:
    link = Link(0.0)
    seen = [link.goodput_bytes_per_s]
    for rate, now_s in ((2.0 * MEGABIT, 0.0), (4.0 * MEGABIT, GOODPUT_S)):
        link.sample(LAGGING._replace(drained_bytes_per_s=rate), now_s)
        seen.append(link.goodput_bytes_per_s)
    assert seen == [None, 2 * MEGABIT, pytest.approx((4 - 2 / math.e) * MEGABIT)]


def test_a_rate_that_was_not_measured_anew_is_no_sample() -> None:
    link = Link(0.0)
    for now_s in range(5):
        link.sample(LAGGING._replace(bulk_bytes_per_s=8.0 * MEGABIT, drained_bytes_per_s=now_s + 1.0), float(now_s))
    assert link.goodput_bytes_per_s is not None
    assert 1 < link.goodput_bytes_per_s < 8 * MEGABIT
    unchanged = LAGGING._replace(bulk_bytes_per_s=8.0 * MEGABIT, drained_bytes_per_s=5.0)
    goodput = link.goodput_bytes_per_s
    link.sample(unchanged, 100.0)
    assert link.goodput_bytes_per_s == goodput


def test_bytes_that_the_peer_has_acknowledged_while_the_socket_was_busy_are_the_goodput() -> None:
    link = Link(0.0)
    drained = LAGGING._replace(drained_bytes_per_s=1e9)
    link.sample(drained._replace(tcp=info(0.0)), 0.0)
    link.sample(drained._replace(tcp=info(1.0, acknowledged_bytes=2 * MEGABIT), drained_bytes_per_s=2e9), 1.0)
    assert link.goodput_bytes_per_s == 2 * MEGABIT
    idle = drained._replace(tcp=info(1.4, acknowledged_bytes=9 * MEGABIT))
    link.sample(idle, 2.0)
    assert link.goodput_bytes_per_s == 2 * MEGABIT


def test_answers_of_the_program_say_more_than_those_of_its_system() -> None:
    link = Link(0.0)
    link.sample(LAGGING._replace(tcp=info(0.0)), 0.0)
    link.sample(LAGGING._replace(tcp=info(1.0, acknowledged_bytes=9 * MEGABIT), bulk_bytes_per_s=7.0), 1.0)
    assert link.goodput_bytes_per_s == 7


def test_bytes_in_the_socket_wait_as_well() -> None:
    link = Link(0.0)
    for second in range(20):
        tcp = info(float(second), acknowledged_bytes=second * MEGABIT, unsent_bytes=MEGABIT // 2)
        link.sample(LAGGING._replace(tcp=tcp, waiting_bytes=MEGABIT // 2, progress=(second,)), float(second))
    assert link.queue_delay_s == pytest.approx(1.0, rel=0.01)


def test_what_waits_takes_as_long_as_the_goodput_says() -> None:
    link = Link(0.0)
    for half_s in range(20):
        counts = LAGGING._replace(waiting_bytes=MEGABIT, drained_bytes_per_s=2.0 * MEGABIT, progress=(half_s,))
        link.sample(counts, half_s / 2)
    assert link.queue_delay_s == pytest.approx(0.5, rel=0.01)


def test_of_a_reader_that_takes_nothing_the_delay_grows_with_time() -> None:
    link = Link(0.0)
    for second in range(30):
        link.sample(LAGGING._replace(waiting_bytes=1), float(second))
    assert 27 < link.queue_delay_s < 29


def test_the_delay_goes_away_when_it_has_caught_up() -> None:
    link = Link(0.0)
    for second in range(10):
        link.sample(LAGGING._replace(waiting_bytes=1), float(second))
    for second in range(10, 20):
        link.sample(NO_COUNTS, float(second))
    assert link.queue_delay_s < 0.001


def test_shares_of_gaps_and_of_conflated_versions() -> None:
    link = Link(0.0)
    for second in range(60):
        link.sample(LAGGING._replace(sent=5 * second, conflated=4 * second, dropped=second), float(second))
    assert link.conflated_share == pytest.approx(0.4)
    assert link.gap_share == pytest.approx(0.1)


def test_messages_that_are_counted_late_make_the_same_shares() -> None:
    link = Link(0.0)
    for second in range(100):
        link.sample(LAGGING._replace(sent=second // 5 * 5, conflated=second), float(second))
    assert 0.3 < link.conflated_share < 0.7


def test_messages_before_the_first_sample_do_not_count() -> None:
    link = Link(0.0)
    link.sample(LAGGING._replace(sent=10, conflated=1000, dropped=1000), 0.0)
    assert (link.conflated_share, link.gap_share) == (0, 0)


def test_shares_stand_while_nothing_comes_and_go_away_when_it_keeps_up() -> None:
    link = Link(0.0)
    link.sample(LAGGING, 0.0)
    counts = LAGGING._replace(sent=5, dropped=5)
    seen = []
    for number, lagging in enumerate((True, True, False, False), start=1):
        link.sample(counts._replace(lagging=lagging), number * SHARES_S)
        seen.append(link.gap_share)
    kept = 1 / math.e
    assert seen[:2] == [pytest.approx(0.5), pytest.approx(0.5)]
    assert seen[2:] == [pytest.approx(kept**2 / (kept + kept**2)), pytest.approx(kept**3 / (kept + kept**3))]


def test_the_bottleneck_is_that_of_the_last_span() -> None:
    link = Link(0.0)
    seen = []
    for now_s, tcp in enumerate((info(0.0), info(1.0), info(2.0, 1.0))):
        link.sample(LAGGING._replace(tcp=tcp), float(now_s))
        seen.append(link.bottleneck)
    assert seen == [Bottleneck.UNKNOWN, Bottleneck.LINK, Bottleneck.READER]


def test_a_connection_that_lags_in_turns_keeps_its_bottleneck_meanwhile() -> None:
    link = Link(0.0)
    seen = []
    for second in range(6):
        link.sample(LAGGING._replace(lagging=second in {0, 1, 3}, tcp=info(float(second))), float(second))
        seen.append(link.bottleneck)
    assert HELD_S == 2
    assert seen == [Bottleneck.UNKNOWN, *[Bottleneck.LINK] * 4, Bottleneck.NONE]


def test_a_program_that_is_behind_is_the_bottleneck_whatever_its_socket_says() -> None:
    link = Link(0.0)
    seen = []
    for now_s, unread_ns in enumerate((round(UNREAD_S * 1e9), 0)):
        link.report(ReceiverReport(0, 0, 5_000, unread_ns), float(now_s), lambda stream: None)
        seen.append(link.bottleneck)
    assert seen == [Bottleneck.READER, Bottleneck.NONE]


def test_positions_stay_until_everything_is_read() -> None:
    link = Link(0.0)
    position, seen = ProgramPosition(2, 3, 15), []
    for unread_bytes, named in ((0, (position,)), (9, ()), (9, (position,)), (5, ()), (0, ())):
        link.report(ReceiverReport(0, 0, unread_bytes, 0, named), 1.0, {2: 100}.get)
        seen.append(None if link.positions is None else list(link.positions))
    assert seen == [None, None, [position], [position], None]


def test_it_is_settled_some_time_after_it_has_caught_up() -> None:
    link = Link(0.0)
    link.sample(LAGGING, 10.0)
    link.sample(NO_COUNTS, 11.0)
    assert not link.settled(10.0 + SETTLED_S - 0.1)
    assert link.settled(10.0 + SETTLED_S)


def test_decode_time_is_smoothed_over_reports() -> None:
    link = Link(0.0)
    seen = []
    for now_s, decode_ns in ((0.0, 0), (20.0, 10_000_000), (40.0, 20_000_000)):
        link.report(ReceiverReport(1_000_000 if decode_ns else 0, decode_ns, 0, 0), now_s, lambda stream: None)
        seen.append(link.decode_s_per_byte)
    kept = math.exp(-20.0 / DECODE_S)
    assert seen == [None, pytest.approx(1e-8), pytest.approx(kept * 1e-8 + (1 - kept) * 2e-8)]


u64 = st.integers(0, 2**64 - 1)


OFFSETS = {1: 2**64 - 1, 2: 100}
positions = st.lists(st.builds(ProgramPosition, st.integers(0, 3), st.integers(0, 2**32 - 1), u64)).map(tuple)


@given(st.lists(st.builds(ReceiverReport, u64, u64, u64, u64, positions), min_size=1))
def test_nonsense_in_reports_is_bounded(reports: list[ReceiverReport]) -> None:
    link = Link(0.0)
    for now_s, report in enumerate(reports):
        link.report(report, float(now_s), OFFSETS.get)
    assert 0 <= link.unread_s <= MAX_DELAY_S
    assert 0 <= link.unread_bytes <= MAX_UNREAD_BYTES
    assert all(position.stream in OFFSETS for position in link.positions or ())
    assert link.decode_s_per_byte is None or 0 <= link.decode_s_per_byte <= MAX_DECODE_S_PER_BYTE


counts = st.builds(
    LinkCounts,
    st.booleans(),
    st.integers(0, 2**40),
    st.booleans(),
    st.tuples(st.integers(0, 3)),
    st.integers(0, 2**40),
    st.integers(0, 2**40),
    st.integers(0, 2**40),
    st.floats(0, 1e12),
    st.floats(0, 1e12),
)


@given(st.lists(st.tuples(counts, st.floats(0, 1e6)), max_size=20))
def test_values_stay_within_their_bounds_whatever_the_counters_do(samples: list[tuple[LinkCounts, float]]) -> None:
    link = Link(0.0)
    sums, now_s = NO_COUNTS, 0.0
    for sample, span_s in samples:
        now_s += span_s
        sums = sample._replace(
            sent=sums.sent + sample.sent,
            conflated=sums.conflated + sample.conflated,
            dropped=sums.dropped + sample.dropped,
        )
        link.sample(sums, now_s)
        assert 0 <= link.queue_delay_s <= MAX_DELAY_S
        assert 0 <= link.gap_share <= 1
        assert 0 <= link.conflated_share <= 1
        assert link.goodput_bytes_per_s is None or 0 < link.goodput_bytes_per_s <= 1e12
