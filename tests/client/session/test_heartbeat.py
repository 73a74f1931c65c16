"""Tests pings and silence with a clock that runs only when the test says so."""

import time
from collections.abc import Callable, Sequence

import pytest

from gateway.client.session.gateway_clock import GatewayClock
from gateway.client.session.heartbeat import FIRST_PINGS, LAST_LOOK_S, MIN_INTERVAL_S, SILENT_BEATS, Heartbeat
from gateway.protocol.frames import iter_frames
from gateway.protocol.signals import Ping, Pong
from gateway.protocol.wire import Buffer


class Session:
    """What a heartbeat needs of a session."""

    def __init__(self) -> None:
        self.pings: list[int] = []
        self.given_up: list[float] = []
        self.reports: list[int] = []
        """Numbers of pings that were sent before each report."""
        self.silent = False
        self.due: tuple[float, Callable[[], None]] | None = None
        self.clock = GatewayClock()
        self.heartbeat = Heartbeat(
            self.call_later,
            self.send,
            self.send,
            lambda: not self.silent,
            self.given_up.append,
            self.report,
            lambda: None,
            self.clock,
        )

    def call_later(self, delay_s: float, callback: Callable[[], None]) -> "Session":
        self.due = delay_s, callback
        return self

    def report(self) -> None:
        self.reports.append(len(self.pings))

    def cancel(self) -> None:
        self.due = None

    def send(self, buffers: Sequence[Buffer]) -> None:
        frame = b"".join(buffers)
        self.pings.append(Ping.parse(frame, next(iter_frames(frame))).t0)

    def start(self, interval_s: float = 20.0) -> None:
        self.heartbeat.start(interval_s)

    def beat(self, times: int = 1) -> None:
        for _ in range(times):
            assert self.due is not None
            self.due[1]()

    def answer(self) -> None:
        """The last ping, in no time."""
        self.heartbeat.pong_received(Pong(self.pings[-1], 0, 0), self.pings[-1] + 10)


def test_the_first_pings_follow_each_other() -> None:
    session = Session()
    before_ns = time.time_ns()
    session.start()
    for _ in range(10):
        session.answer()
    assert len(session.pings) == FIRST_PINGS
    assert all(before_ns <= t0 <= time.time_ns() for t0 in session.pings)
    assert session.clock.rtt_ns == 10


@pytest.mark.parametrize(
    ("interval_s", "half_s"), [(20.0, 10.0), (0.0, MIN_INTERVAL_S / 2), (-5.0, MIN_INTERVAL_S / 2)]
)
def test_then_it_pings_every_interval_and_not_too_often(interval_s: float, half_s: float) -> None:
    session = Session()
    session.start(interval_s)
    assert session.due is not None
    assert session.due[0] == half_s
    session.beat(10)
    assert len(session.pings) == 1 + 5


def test_silence_of_two_intervals_and_a_half_is_the_end() -> None:
    session = Session()
    session.start(20.0)
    session.silent = True
    session.beat(SILENT_BEATS - 1)
    assert session.given_up == []
    session.beat()
    assert session.given_up == []
    assert session.due is not None
    assert session.due[0] == LAST_LOOK_S
    session.beat()
    assert session.given_up == [50.0]


def test_a_last_look_finds_what_a_loop_that_was_held_up_had_not_read() -> None:
    session = Session()
    session.start(20.0)
    session.silent = True
    session.beat(SILENT_BEATS)
    session.silent = False
    session.beat()
    session.silent = True
    session.beat(SILENT_BEATS - 1)
    assert session.given_up == []


def test_a_sign_of_life_starts_the_count_anew() -> None:
    session = Session()
    session.start()
    for _ in range(5):
        session.silent = True
        session.beat(SILENT_BEATS - 1)
        session.silent = False
        session.beat()
    assert session.given_up == []


def test_it_can_be_stopped_even_before_it_started() -> None:
    session = Session()
    session.heartbeat.stop()
    session.start()
    session.heartbeat.stop()
    assert session.due is None


def test_reports_go_out_before_the_ping_of_each_interval() -> None:
    session = Session()
    session.start()
    session.beat(4)
    assert (session.reports, len(session.pings)) == ([1, 2], 3)
