"""The bulk window opens for fast links, narrows for slow ones, and never closes for good."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.connections.lagging.bulk import Bulk
from gateway.connections.outbound.bulk_window import (
    FIRST_WINDOW_BYTES,
    GOODPUT_SAMPLES,
    MAX_PING_EVERY_BYTES,
    MAX_WINDOW_BYTES,
    MIN_PACED_WINDOW_BYTES,
    MIN_WINDOW_BYTES,
    PING_EVERY_BYTES,
    PINGS_A_WINDOW,
    TARGET_DELAY_NS,
    BulkWindow,
)
from gateway.protocol.round_trip import RoundTrip
from gateway.protocol.signals import Pong

MS = 1_000_000


def transmit(window: BulkWindow, bytes_per_ms: int, rtt_ms: int, total_bytes: int) -> int:
    """Send bulk over a line of ``bytes_per_ms`` that answers ``rtt_ms`` later; its longest queue in ns."""
    now = sent = served = longest = 0
    pings: list[tuple[int, int, int]] = []
    while served < total_bytes:
        while window.open and sent < total_bytes:
            sent += 65536
            if window.sent(65536, now + len(pings)):
                pings.append((now + len(pings), sent, 0))
        now += MS
        served = min(sent, served + bytes_per_ms)
        longest = max(longest, (sent - served) * MS // bytes_per_ms)
        pings = [(t0, at, answer or (now + rtt_ms * MS if at <= served else 0)) for t0, at, answer in pings]
        for t0, _, _ in [ping for ping in pings if ping[2] and ping[2] <= now]:
            window.answered(Pong(t0, now, now), now)
        pings = [ping for ping in pings if not (ping[2] and ping[2] <= now)]
    return longest


def test_a_fresh_link_takes_the_first_window() -> None:
    window = BulkWindow()
    assert window.open
    pings = sum(window.sent(65536, n) for n in range(FIRST_WINDOW_BYTES // 65536))
    assert pings == PINGS_A_WINDOW
    assert not window.open


def test_a_fast_link_gets_a_wide_window() -> None:
    window = BulkWindow()
    transmit(window, bytes_per_ms=2_000_000, rtt_ms=0, total_bytes=500_000_000)
    assert window.window_bytes > 2 * FIRST_WINDOW_BYTES
    assert 1e9 < window.goodput_bytes_per_s < 4e9


def test_a_slow_link_is_left_with_a_short_queue() -> None:
    window = BulkWindow()
    transmit(window, bytes_per_ms=300_000, rtt_ms=1, total_bytes=100_000_000)
    queue_ns = transmit(window, bytes_per_ms=300_000, rtt_ms=1, total_bytes=100_000_000)
    assert queue_ns <= 2 * TARGET_DELAY_NS + 5 * MS


def test_a_long_fat_link_is_used() -> None:
    window = BulkWindow()
    transmit(window, bytes_per_ms=100_000, rtt_ms=100, total_bytes=400_000_000)
    assert window.window_bytes >= 0.5 * 100 * 100_000
    assert window.rtt_ns >= 100 * MS


def pings_of(window: BulkWindow, nbytes: int) -> int:
    """The number of PINGs with which a link follows so many bytes."""
    return sum(window.sent(65536, n) for n in range(nbytes // 65536))


@pytest.mark.parametrize(
    ("bytes_per_ms", "every_bytes"),
    [(10_000, PING_EVERY_BYTES), (200_000, PING_EVERY_BYTES), (2_000_000, MAX_PING_EVERY_BYTES)],
)
def test_fast_links_are_measured_less_often(bytes_per_ms: int, every_bytes: int) -> None:
    window = BulkWindow()
    transmit(window, bytes_per_ms, rtt_ms=0 if bytes_per_ms > 1_000_000 else 100, total_bytes=1000 * bytes_per_ms)
    window.window_bytes = MAX_WINDOW_BYTES
    assert pings_of(window, 64 * MAX_PING_EVERY_BYTES) == pytest.approx(64 * MAX_PING_EVERY_BYTES / every_bytes, abs=1)


def test_an_answer_to_no_ping_of_ours_changes_nothing() -> None:
    window = BulkWindow()
    while window.open:
        window.sent(MAX_PING_EVERY_BYTES, 5)
    window.answered(Pong(99, 100, 100), 100)
    assert not window.open
    assert window.rtt_ns == 0


@given(st.lists(st.tuples(st.integers(0, 4 * MAX_PING_EVERY_BYTES), st.integers(0, 10**12), st.booleans())))
def test_the_window_stays_within_its_bounds(steps: list[tuple[int, int, bool]]) -> None:
    window = BulkWindow()
    asked: list[int] = []
    now = 0
    for size, passed, answer in steps:
        now += passed + 1
        if window.open and window.sent(size, now):
            asked.append(now)
        if answer and asked:
            window.answered(Pong(asked.pop(0), now, now), now)
        assert MIN_WINDOW_BYTES <= window.window_bytes <= MAX_WINDOW_BYTES


def fill(window: BulkWindow, now: int) -> list[int]:
    """Send all that the window takes; the PINGs."""
    asked = []
    while window.open:
        now += 1
        if window.sent(65536, now):
            asked.append(now)
    return asked


def test_clocks_need_not_agree_and_may_be_set() -> None:
    window = BulkWindow()
    now = 0
    for skew in (10**18, -(10**18)):
        for _ in range(400):
            now += 200 * MS
            for n, t0 in enumerate(fill(window, now)):
                arrived = now + (n + 1) * MS // 2
                window.answered(Pong(t0, arrived + skew, arrived + skew), arrived)
    assert window.window_bytes > FIRST_WINDOW_BYTES


def test_an_answer_that_waits_for_us_does_not_narrow_the_window() -> None:
    window = BulkWindow()
    for round_ in range(50):
        now = round_ * 1000 * MS
        for n, t0 in enumerate(fill(window, now)):
            arrived = now + (n + 1) * MS // 2
            window.answered(Pong(t0, arrived, arrived), now + 500 * MS)
    assert window.window_bytes > FIRST_WINDOW_BYTES


def test_a_window_that_shrinks_below_what_no_ping_follows_does_not_close_for_good() -> None:
    """The reader was fast and becomes slow; behind the last PING lies less than would have been followed by another."""
    window = BulkWindow()
    now_ns = MS

    def answer_after(delay_ns: int, asked_ns: int) -> None:
        nonlocal now_ns
        now_ns += delay_ns
        window.answered(Pong(asked_ns, now_ns, now_ns), now_ns)

    asked_ns = now_ns
    assert window.sent(MAX_PING_EVERY_BYTES, asked_ns)
    for delay_ns in [MS // 10] * 100 + [100 * MS] * (GOODPUT_SAMPLES // 2):
        now_ns += 1
        # Another PING is under way before this one is answered, so that the goodput can be told.
        next_ns = now_ns
        assert window.sent(MAX_PING_EVERY_BYTES, next_ns)
        answer_after(delay_ns, asked_ns)
        asked_ns = next_ns
    assert window.window_bytes > PINGS_A_WINDOW * MAX_PING_EVERY_BYTES
    assert not window.sent(MAX_PING_EVERY_BYTES - 8, now_ns)
    answer_after(100 * MS, asked_ns)  # and the median of the goodputs is a slow one
    assert window.window_bytes < MAX_PING_EVERY_BYTES - 8
    assert window.open


@given(
    st.lists(
        st.tuples(st.sampled_from([8_000, 128_000, 500_000, 1_000_000]), st.sampled_from([0, 0, 1, 1, 20, 1000])),
        max_size=200,
    )
)
def test_either_it_is_open_or_an_answer_is_awaited(steps: list[tuple[int, int]]) -> None:
    window = BulkWindow()
    now_ns = MS
    pings: list[int] = []
    for size, delay_ms in steps:
        now_ns += 1
        if window.open and window.sent(size, now_ns):
            pings.append(now_ns)
        if pings and delay_ms:
            now_ns += delay_ms * MS
            window.answered(Pong(pings[0], now_ns, now_ns), now_ns)
            pings.pop(0)
        assert window.open or pings


def paced_window() -> BulkWindow:
    """Return the window of a receiver that is paced."""
    window = BulkWindow(window_bytes=MIN_PACED_WINDOW_BYTES)
    window.bulk = Bulk()
    window.bulk.paced = True
    return window


def test_a_paced_receiver_has_few_versions_under_way() -> None:
    window = paced_window()
    assert transmit(window, bytes_per_ms=250, rtt_ms=1, total_bytes=4_000_000) <= 3 * 65536 * MS // 250
    assert window.window_bytes < 65536


def test_the_time_of_a_state_on_the_line_is_no_way_to_fill() -> None:
    """One state of 60 ms is under way at a time, on a line whose way is short; on one whose way is long, more."""
    for way_s, most in ((0.001, 1), (0.2, 5)):
        window, now, carried_ns, answers, under_way = paced_window(), MS, 0, list[tuple[int, int]](), list[int]()
        for _ in range(200):
            while window.open:
                now += 1
                carried_ns = max(carried_ns, now) + 60 * MS
                if window.sent(30_000, now):
                    answers.append((carried_ns + int(way_s * 1e9), now))
                under_way.append(len(answers))
            now, asked_ns = answers.pop(0)
            window.answered(Pong(asked_ns, now, now), now, RoundTrip(way_s, 0.0, way_s))
        assert max(under_way[100:]) <= most


def test_a_line_that_has_become_fast_is_found_out_though_one_state_is_under_way_at_a_time() -> None:
    window, way = paced_window(), RoundTrip(0.1, 0.0, 0.1)
    line = _Line(window, way)
    for _ in range(20):
        line.carry(states=2, bytes_per_s=500_000)
    slow = window.window_bytes
    assert slow < 65536
    for _ in range(40):
        line.carry(states=1 if window.window_bytes < 65536 else 2, bytes_per_s=125_000_000)
    assert window.window_bytes > 2 * 65536


class _Line:
    """A line with a way of 100 ms that carries states of 64 KiB for a window."""

    def __init__(self, window: BulkWindow, way: RoundTrip) -> None:
        self._window = window
        self._way = way
        self._now = MS

    def carry(self, states: int, bytes_per_s: float) -> None:
        """Send states one behind the other, and answer them."""
        asked = []
        for _ in range(states):
            self._now += 1
            if self._window.sent(65536, self._now):
                asked.append(self._now)
        way_ns = int(self._way.smallest_s * 1e9)
        arrived = self._now + way_ns // 2
        for asked_ns in asked:
            arrived += int(65536 / bytes_per_s * 1e9)
            self._now = arrived + way_ns // 2
            self._window.answered(Pong(asked_ns, arrived, arrived), self._now, self._way)


def test_a_paced_window_does_not_grow_by_states_that_come_seldom() -> None:
    window = paced_window()
    for number in range(1000):
        now = number * 1000 * MS
        assert window.open
        if window.sent(20_000, now):
            window.answered(Pong(now, now, now), now)
    assert window.window_bytes <= MIN_PACED_WINDOW_BYTES + 2 * 20_000


def test_a_write_that_is_alone_on_its_way_shows_what_the_line_carries_at_least() -> None:
    window = BulkWindow(window_bytes=MIN_PACED_WINDOW_BYTES, bulk=Bulk())
    window.bulk.paced = True
    window.sent(1_000, 0)
    assert window.sent(20_000, 5 * MS)
    window.answered(Pong(5 * MS, 7 * MS, 7 * MS), 7 * MS)
    assert window.alone_bytes_per_s == 20_000 / 0.002, "the write before has had its time"
    assert window.sent(20_000, 50 * MS)
    window.answered(Pong(50 * MS, 90 * MS, 90 * MS), 90 * MS)
    assert window.alone_bytes_per_s >= 0.9 * 20_000 / 0.002, "a slower one alone tells little against it"
    for number in range(50):
        now = (1 + number) * 1_000 * MS
        assert window.sent(20_000, now)
        window.answered(Pong(now, now + 40 * MS, now + 40 * MS), now + 40 * MS)
    assert window.alone_bytes_per_s == pytest.approx(20_000 / 0.04, rel=0.02), "the line has become slow"


def test_a_write_among_others_shows_nothing_of_the_kind() -> None:
    window = BulkWindow()
    window.sent(PING_EVERY_BYTES, 0)
    window.sent(PING_EVERY_BYTES, 1 * MS)
    window.answered(Pong(0, 20 * MS, 20 * MS), 20 * MS)
    alone_bytes_per_s = window.alone_bytes_per_s
    window.answered(Pong(1 * MS, 21 * MS, 21 * MS), 21 * MS)
    assert window.alone_bytes_per_s == alone_bytes_per_s
