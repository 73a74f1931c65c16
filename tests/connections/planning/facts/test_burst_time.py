"""The time of a burst is that of the slowest line that all measurements allow."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.connections.outbound.bulk_window import BulkWindow
from gateway.connections.planning.facts.burst_time import (
    BURST_BYTES,
    BURST_VERSIONS,
    LEAST_TAKEN_BYTES,
    CarriedBytes,
    burst_s,
    queued_s,
)
from gateway.connections.planning.rules.paces import SLOW_BURST_S
from gateway.connections.socket_counts import TcpInfo

VERSION_BYTES = 20_000
SLOW = CarriedBytes(10 * VERSION_BYTES, 0.2, 0.0065)
"""As measured on a line of 2 Mbit/s whose first 16 KiB pass at once: a version takes 20 ms of it."""

SECONDS = st.floats(0, 60)


def tcp_info(rtt_s: float, smallest_rtt_s: float) -> TcpInfo:
    return TcpInfo(rtt_s, 0.0, smallest_rtt_s, 0.0, True, 0, 0, 0, 0, 0.0, 0.0, 0.0)


def window_of(alone_bytes_per_s: float) -> BulkWindow:
    window = BulkWindow()
    window.alone_bytes_per_s = alone_bytes_per_s
    return window


def test_a_line_that_takes_each_version_for_a_while_is_late_in_a_burst() -> None:
    time_s = burst_s(VERSION_BYTES, SLOW, 0.0, None)
    assert time_s == pytest.approx(0.02 * BURST_BYTES / VERSION_BYTES)
    assert time_s >= SLOW_BURST_S


@pytest.mark.parametrize(
    ("taken", "way_s", "window"),
    [
        (SLOW._replace(longest_queued_s=0.0002), 0.0, None),
        (SLOW._replace(busy_s=0.004), 0.0, None),
        (SLOW._replace(busy_s=2.0, longest_queued_s=0.002), 0.2, None),
        (SLOW, 0.02, None),
        (SLOW, 0.0, window_of(20e6)),
    ],
    ids=[
        "no packet waits on it",
        "it is seldom busy",
        "TCP begins anew with each version on a long way",
        "it is busy no longer than its way",
        "a version and the answer to a PING behind it took a millisecond",
    ],
)
def test_a_line_is_not_late_in_a_burst_if(taken: CarriedBytes, way_s: float, window: BulkWindow | None) -> None:
    assert burst_s(VERSION_BYTES, taken, way_s, window) < SLOW_BURST_S


def test_a_burst_of_large_versions_is_one_of_them() -> None:
    line = CarriedBytes(10 * BURST_BYTES, 10.0, 10.0)
    assert burst_s(4 * BURST_BYTES, line, 0.0, None) == pytest.approx(4.0)


def test_a_few_packets_tell_nothing() -> None:
    assert burst_s(VERSION_BYTES, SLOW._replace(nbytes=LEAST_TAKEN_BYTES - 1), 0.0, None) == 0.0


@given(st.floats(1, 1e9), SECONDS, SECONDS, st.floats(LEAST_TAKEN_BYTES, 1e12), SECONDS, st.floats(0, 1e10))
def test_a_burst_is_one_version_at_least_and_some_at_most(
    version_bytes: float, busy_s: float, way_s: float, nbytes: float, longest_s: float, alone_bytes_per_s: float
) -> None:
    taken, window = CarriedBytes(nbytes, busy_s, longest_s), window_of(alone_bytes_per_s)
    version_s = max(0.0, version_bytes * busy_s / nbytes - way_s)
    time_s = burst_s(version_bytes, taken, way_s, window)
    assert 0 <= time_s <= BURST_VERSIONS * version_s
    assert time_s <= burst_s(version_bytes, taken, way_s, None) <= burst_s(version_bytes, taken, 0.0, None)
    if version_bytes >= BURST_BYTES:
        assert time_s <= version_s


def test_what_a_long_way_varies_by_is_no_queue() -> None:
    assert queued_s(tcp_info(0.11, 0.1)) == 0.0
    assert queued_s(tcp_info(0.0065, 1e-5)) == pytest.approx(0.0065, rel=0.01)
    assert queued_s(tcp_info(0.0, 0.1)) == 0.0
