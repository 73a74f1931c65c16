"""Rates of links on which nothing waits, by the counts of their sockets."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.connections.socket_counts import TcpInfo
from gateway.optimizer.history.quiet_links import MAX_LINKS, WINDOW_S, QuietLink, QuietLinks


def counts(acknowledged_bytes: int, busy_s: float, rtt_s: float = 0.021, smallest_rtt_s: float = 0.001) -> TcpInfo:
    return TcpInfo(rtt_s, 0.0, smallest_rtt_s, 0.0, True, 0, 0, 0, acknowledged_bytes, busy_s, 0.0, 0.0)


def told(link: QuietLink, acknowledged_bytes: int, busy_s: float, now_s: float) -> float | None:
    found = link.rate(counts(acknowledged_bytes, busy_s), now_s)
    return None if found is None else found.bytes_per_s


def rates(
    bytes_per_s: float, share: float, seconds: int, rtt_s: float = 0.021, smallest_rtt_s: float = 0.001
) -> list[float | None]:
    """Return the rates that are told once a second of a link that is busy for a share of the time."""
    link = QuietLink()
    found = [
        link.rate(counts(int(bytes_per_s * share * second), share * second, rtt_s, smallest_rtt_s), float(second))
        for second in range(1, seconds + 1)
    ]
    return [None if each is None else each.bytes_per_s for each in found]


def test_the_rate_of_a_line_that_is_busy_for_half_of_the_time() -> None:
    found = rates(2.5e6, 0.5, 30)
    assert found[0] == pytest.approx(2.5e6, rel=0.05)
    assert found[-1] == pytest.approx(2.5e6, rel=0.01)


def test_a_receiver_on_this_machine_is_told_once_enough_bytes_have_gone_to_it() -> None:
    """A socket whose system has not counted a single step of time may be as slow as that allows."""
    link = QuietLink()
    assert told(link, 900_000, 0.0, 1.0) is None
    assert told(link, 3_000_000, 0.0, 2.0) == pytest.approx(250e6)
    assert told(link, 30_000_000, 0.004, 3.0) == pytest.approx(1.9e9, rel=0.02)


def test_acknowledgements_that_take_long_where_nothing_is_queued_are_not_a_slow_line() -> None:
    assert QuietLink().rate(counts(100_000_000, 1.0, 2e-3, 1e-3), 1.0) is None
    assert QuietLink().rate(counts(900_000_000, 1.0, 1e-3, 1e-3), 1.0) is not None


def test_a_line_that_changes_shows_within_two_windows() -> None:
    link = QuietLink()
    rate: float | None = None
    acknowledged, busy_s = 0, 0.0
    for second in range(1, 4 * int(WINDOW_S)):
        share, bytes_per_s = (0.01, 125e6) if second < 2 * WINDOW_S else (0.5, 2.5e6)
        acknowledged, busy_s = acknowledged + int(share * bytes_per_s), busy_s + share
        rate = told(link, acknowledged, busy_s, float(second))
    assert rate == pytest.approx(2.5e6, rel=0.1)


def test_small_messages_over_a_long_way_say_nothing_of_the_line() -> None:
    assert set(rates(100e3, 1.0, 20, 0.055, 0.05)) == {None}
    assert rates(2.5e6, 0.5, 20, 0.075, 0.05)[-1] is not None  # much is queued


@given(st.lists(st.tuples(st.integers(0, 10**9), st.floats(0, 10), st.floats(0, 100)), max_size=20))
def test_no_counts_make_a_rate_that_is_none(steps: list[tuple[int, float, float]]) -> None:
    """Neither do counts that begin anew, nor a clock that jumps back."""
    link = QuietLink()
    for acknowledged_bytes, busy_s, now_s in steps:
        rate = told(link, acknowledged_bytes, busy_s, now_s)
        assert rate is None or rate > 0


def test_links_are_bounded_and_those_without_counts_are_unknown() -> None:
    links = QuietLinks()
    assert links.rate_of(1, None, 0.0) is None
    for number in range(MAX_LINKS + 10):
        links.rate_of(number, counts(0, 0.0), 0.0)
    assert len(links) == MAX_LINKS
    found = links.rate_of(MAX_LINKS, counts(10_000_000, 1.0), 1.0)
    assert found is not None
    assert found.bytes_per_s == pytest.approx(10_000_000, rel=0.02)


def test_a_rate_is_exact_once_the_socket_was_busy_for_long() -> None:
    link = QuietLink()
    exact = [link.rate(counts(1_000_000 * number, 0.02 * number), float(number)) for number in range(1, 8)]
    assert [each is not None and each.is_exact for each in exact] == [False] * 4 + [True] * 3
