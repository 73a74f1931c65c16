"""Invariant: the faster a peer reads, the more may wait for it, and what waits for a slow one can be passed."""

import asyncio
import socket
import sys
from collections.abc import Iterator
from contextlib import closing

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.client import connect
from gateway.connections.socket_counts import NO_SOCKET_COUNTS
from gateway.server.write_limits import (
    FIRST,
    MAX_HIGH_BYTES,
    MIN_HIGH_BYTES,
    SLOW_UNSENT_BYTES,
    DrainMeter,
    bound_unsent,
    limits_of,
    socket_counts_of,
)
from gateway.testing import running_gateway
from tests.integration.peer import raw_peer

OPTION = getattr(socket, "TCP_NOTSENT_LOWAT", None)
VERSION_BYTES = 64 * 1024
VERSIONS = 300
KERNEL_BYTES = 1024 * 1024
"""Most bytes that the buffers of both ends of a connection over loopback hold for a reader that stands still."""

seconds = st.floats(0, 1e6)
sizes = st.integers(0, 1 << 30)


@given(sizes, seconds)
def test_limits_are_within_their_bounds(drained_bytes: int, elapsed_s: float) -> None:
    limits = limits_of(drained_bytes, elapsed_s)
    assert MIN_HIGH_BYTES <= limits.high_bytes <= MAX_HIGH_BYTES
    assert 0 < limits.low_bytes < limits.high_bytes
    assert limits.unsent_bytes in (0, SLOW_UNSENT_BYTES)


@given(sizes, seconds, seconds)
def test_a_faster_peer_has_no_lower_limits(drained_bytes: int, one_s: float, other_s: float) -> None:
    faster, slower = (limits_of(drained_bytes, elapsed_s) for elapsed_s in sorted((one_s, other_s)))
    assert faster.high_bytes >= slower.high_bytes
    assert faster.unsent_bytes <= slower.unsent_bytes


def test_a_peer_at_two_megabits_has_a_fraction_of_a_second_and_one_at_a_gigabit_all() -> None:
    slow, fast = limits_of(250_000, 1.0), limits_of(125_000_000, 1.0)
    assert slow.high_bytes + slow.unsent_bytes < 100_000
    assert fast == (MAX_HIGH_BYTES, MAX_HIGH_BYTES // 4, 0)


class StubTransport(asyncio.Transport):
    """A transport of which so much waits.

    Attributes:
        waiting: bytes that wait.
        marks: high and low water, as they were set last.
    """

    def __init__(self) -> None:
        super().__init__()
        self.waiting = 0
        self.marks: tuple[int | None, int | None] = (None, None)

    def get_write_buffer_size(self) -> int:
        return self.waiting

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        self.marks = (high, low)

    def is_closing(self) -> bool:
        return False


def test_a_pause_measures_the_rate_and_sets_the_limits_by_it() -> None:
    transport, times = StubTransport(), [0.0]
    meter = DrainMeter(transport, lambda: times[-1])
    rates = [meter.bytes_per_s]
    for drained_bytes, seconds in ((200_000, 0.8), (200_000, 0.001), (0, 5.0)):
        transport.waiting = 250_000
        meter.pause()
        transport.waiting -= drained_bytes
        times.append(times[-1] + seconds)
        limits = meter.resume()
        meter.set(limits)
        assert transport.marks == (limits.high_bytes, limits.low_bytes)
        rates.append(meter.bytes_per_s)
    assert rates == [0.0, pytest.approx(250_000), pytest.approx(2e8), 0.0]
    assert socket_counts_of(transport, meter) == (0.0, None)
    assert socket_counts_of(transport, None) == NO_SOCKET_COUNTS


class CountedTransport(StubTransport):
    """A transport whose system counts what the peer has acknowledged."""

    def __init__(self) -> None:
        super().__init__()
        self.acknowledged = 0

    def get_extra_info(self, name: str, default: object = None) -> object:
        return self if name == "socket" else default

    def fileno(self) -> int:
        return 3

    def setsockopt(self, level: int, option: int, value: int, /) -> None:
        """Take an option."""

    def getsockopt(self, level: int, option: int, size: int, /) -> bytes:
        data = bytearray(size)
        data[120:128] = self.acknowledged.to_bytes(8, sys.byteorder)
        return bytes(data)


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux counts what a peer has acknowledged")
def test_bytes_that_the_system_has_taken_into_its_own_buffer_do_not_make_a_peer_fast() -> None:
    transport, times = CountedTransport(), [0.0]
    meter = DrainMeter(transport, lambda: times[-1])
    for acknowledged_bytes, seconds in ((0, 0.0001), (48_000, 0.2)):
        transport.waiting = 64_000
        meter.pause()
        transport.waiting, transport.acknowledged = 16_000, transport.acknowledged + acknowledged_bytes
        times.append(times[-1] + seconds)
        assert meter.resume() == FIRST
    assert meter.bytes_per_s == pytest.approx(240_000)
    meter.pause()
    transport.acknowledged += 48_000
    assert meter.resume().high_bytes == MAX_HIGH_BYTES


@pytest.fixture
def listening() -> Iterator[socket.socket]:
    with closing(socket.create_server(("127.0.0.1", 0))) as server:
        yield server


@pytest.mark.skipif(OPTION is None, reason="the system has no TCP_NOTSENT_LOWAT")
def test_accepted_sockets_have_the_bound_of_the_one_that_listens(listening: socket.socket) -> None:
    assert OPTION is not None
    bound_unsent(listening, FIRST.unsent_bytes)
    with closing(socket.create_connection(listening.getsockname())):
        accepted, _ = listening.accept()
        with closing(accepted):
            assert accepted.getsockopt(socket.IPPROTO_TCP, OPTION) == FIRST.unsent_bytes
            bound_unsent(accepted, 0)
            assert accepted.getsockopt(socket.IPPROTO_TCP, OPTION) == 0


def test_a_socket_that_is_closed_stays_as_it_is(listening: socket.socket) -> None:
    listening.close()
    bound_unsent(listening, FIRST.unsent_bytes)


@pytest.mark.skipif(OPTION is None, reason="the system has no TCP_NOTSENT_LOWAT")
async def test_a_reader_that_stood_still_gets_few_versions_of_a_state_before_the_newest() -> None:
    last = VERSIONS - 1
    async with (
        running_gateway() as gateway,
        raw_peer(gateway.url, "reader") as peer,
        connect(gateway.url) as publisher,
    ):
        await peer.subscribe("wf/state")
        peer.stop_reading()
        for number in range(VERSIONS):
            await publisher.publish("wf/state", np.full(VERSION_BYTES, number % 251, np.uint8), kind="state")
        peer.read_on()
        await peer.until(lambda reader: any(arrival.offset == last for arrival in reader.arrivals))
    held_bytes = FIRST.high_bytes + FIRST.unsent_bytes + 3 * VERSION_BYTES + KERNEL_BYTES
    assert len(peer.reader.arrivals) * VERSION_BYTES < held_bytes
