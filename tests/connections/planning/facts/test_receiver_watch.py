"""Receiver watch: who is measured, and what is known of a receiver that has just come."""

from __future__ import annotations

import numpy as np

from gateway.connections.outbound.bulk_window import BULK_WRITE_BYTES, BulkWindow
from gateway.connections.planning.context import ReceiverFacts, SlowStart
from gateway.connections.planning.facts.burst_time import BURST_BYTES
from gateway.connections.planning.facts.receiver_watch import (
    GLIMPSE_S,
    LAST_GLIMPSE_S,
    MAX_GLIMPSED,
    SCANNED,
    STEP,
    WATCHED_S,
    ReceiverWatch,
)
from gateway.connections.planning.pacing import begin_pacing
from gateway.connections.planning.rules.paces import SLOW_BURST_S, STILL_SLOW_S, first_paces
from gateway.connections.socket_counts import SocketCounts, TcpInfo
from gateway.protocol.messages import Kind
from gateway.protocol.signals import Pong
from gateway.protocol.views import View
from tests.connections.memory import Peer, World

VERSION_BYTES = 20_000


class Line:
    """Line to a receiver, as the operating system counts it.

    Args:
        receiver: the receiver.
        bytes_per_s: rate.
        way_s: smallest round trip.
        queues: whether packets wait on the line; else the sender waits for acknowledgements.

    Attributes:
        bytes_per_s: the same, which may change.
    """

    def __init__(self, receiver: Peer, bytes_per_s: float, way_s: float = 0.0, *, queues: bool = True) -> None:
        self._receiver = receiver
        self.bytes_per_s = bytes_per_s
        self._way_s = way_s
        self._queues = queues
        self._taken = 0
        self._busy_s = 0.0
        self.carry(0)

    def carry(self, nbytes: int, waiting_bytes: int = 0) -> None:
        """Carry so many bytes; others wait."""
        self._taken += nbytes
        self._busy_s += nbytes / self.bytes_per_s
        tcp = TcpInfo(
            rtt_s=self._way_s + self._queues * (nbytes / 2 + waiting_bytes) / self.bytes_per_s,
            rtt_deviation_s=0.0,
            smallest_rtt_s=self._way_s,
            delivery_bytes_per_s=self.bytes_per_s,
            application_limited=True,
            retransmits=0,
            unsent_bytes=0,
            unacknowledged_bytes=waiting_bytes,
            acknowledged_bytes=self._taken,
            busy_s=self._busy_s,
            reader_limited_s=0.0,
            buffer_limited_s=0.0,
        )
        self._receiver.transport.counts = SocketCounts(0.0, tcp)


class Scene:
    """A state, and the watch over its receivers."""

    def __init__(self) -> None:
        self.world = World()
        self.publisher = self.world.publisher("wf/x", kind=Kind.STATE)
        actuator = self.world.core.planning.actuator
        self.watch = ReceiverWatch(actuator.pool, actuator.lag_changes, actuator.lowering, self.world.clock)

    def receiver(self, client_id: str = "viewer") -> Peer:
        """Return a new receiver of the state."""
        return self.world.subscriber("wf/x", client_id)

    def publish(self) -> None:
        """Publish one version."""
        self.publisher.publish(0, bytes(VERSION_BYTES))
        self.world.settle()

    def glimpse(self, seconds: float = GLIMPSE_S) -> list[SlowStart]:
        """Return the slow starts, after some time."""
        self.world.clock.advance(seconds)
        return self.watch.slow_starts(self.world.clock.monotonic_s())

    def look(self, seconds: float = 1.0) -> list[ReceiverFacts]:
        """Return what a look finds, after some time."""
        self.world.clock.advance(seconds)
        facts: list[ReceiverFacts] = []
        reading = self.watch.read(self.world.clock.monotonic_s())
        while True:
            try:
                next(reading)
            except StopIteration as end:
                facts += end.value
                return facts


def test_for_a_newcomer_on_a_slow_line_the_wait_is_known_after_its_first_versions() -> None:
    scene = Scene()
    line = Line(scene.receiver(), 250_000)
    assert scene.glimpse() == []
    line.carry(50_000, waiting_bytes=100_000)
    (start,) = scene.glimpse()
    assert (start.client_id, start.workflow, start.waiting_bytes) == ("viewer", "wf", 100_000)
    assert round(start.goodput_bytes_per_s) == 250_000
    assert round(start.wait_s, 3) == 0.4


def test_of_a_fast_line_nothing_is_known_since_it_is_never_busy_for_long() -> None:
    scene = Scene()
    line = Line(scene.receiver(), 1e9)
    scene.glimpse()
    line.carry(1_000_000, waiting_bytes=100_000)
    assert scene.glimpse() == []


def test_what_tcp_takes_at_first_on_a_long_way_is_no_rate_of_the_line() -> None:
    scene = Scene()
    line = Line(scene.receiver(), 50_000, way_s=0.3, queues=False)
    scene.glimpse()
    line.carry(40_000, waiting_bytes=100_000)
    (start,) = scene.glimpse()
    assert start.queued_s == 0.0
    assert first_paces([start]) == []


def test_a_few_packets_tell_nothing_of_a_line() -> None:
    scene = Scene()
    line = Line(scene.receiver(), 1_000)
    scene.glimpse()
    line.carry(1_000, waiting_bytes=100_000)
    assert scene.glimpse() == []


def test_seldom_versions_that_tcp_begins_anew_with_are_no_slow_line() -> None:
    scene = Scene()
    line = Line(scene.receiver(), 30_000, way_s=0.2, queues=False)
    for _ in range(6):
        scene.publish()
        line.carry(VERSION_BYTES)
        assert scene.look() == []
    assert not len(scene.watch)


def test_the_way_itself_is_no_wait() -> None:
    scene = Scene()
    line = Line(scene.receiver(), 500_000, way_s=0.2)
    scene.glimpse()
    line.carry(100_000, waiting_bytes=100_000)
    (start,) = scene.glimpse()
    assert start.wait_s == 0.0


def test_clients_that_take_no_states_and_those_that_are_paced_are_left_alone() -> None:
    scene = Scene()
    scene.world.publisher("wf/events", kind=Kind.EVENT)
    others, viewer = scene.world.subscriber("wf/events", "other"), scene.receiver()
    lines = [Line(others, 250_000), Line(viewer, 250_000)]
    scene.glimpse()
    for line in lines:
        line.carry(50_000, waiting_bytes=100_000)
    assert [start.client_id for start in scene.glimpse()] == ["viewer"]
    connection = viewer.session.connection
    connection.fall_behind()
    assert begin_pacing(connection)
    assert scene.glimpse() == []


def test_who_comes_is_looked_at_for_a_while_and_again_on_falling_behind() -> None:
    scene = Scene()
    viewer = scene.receiver()
    line = Line(viewer, 250_000)
    scene.glimpse()
    scene.glimpse(LAST_GLIMPSE_S + 1)
    line.carry(50_000, waiting_bytes=100_000)
    assert scene.glimpse() == []
    viewer.session.connection.fall_behind()
    scene.glimpse()
    line.carry(50_000, waiting_bytes=100_000)
    assert [start.client_id for start in scene.glimpse()] == ["viewer"]


def test_of_very_many_newcomers_some_are_looked_at() -> None:
    scene = Scene()
    lines = [Line(scene.receiver(f"viewer-{number}"), 250_000) for number in range(2 * MAX_GLIMPSED)]
    scene.glimpse()
    for line in lines:
        line.carry(50_000, waiting_bytes=100_000)
    assert len(scene.glimpse()) == MAX_GLIMPSED


def test_a_line_that_would_take_long_for_a_burst_is_watched_though_nothing_lags() -> None:
    scene = Scene()
    slow, fast = scene.receiver("slow"), scene.receiver("fast")
    lines = [Line(slow, 250_000), Line(fast, 1e9)]
    for _ in range(6):
        scene.publish()
        for line in lines:
            line.carry(VERSION_BYTES)
        facts = scene.look()
        scene.world.settle()
    (fact,) = facts
    assert fact.client_id == "slow"
    assert round(fact.burst_s, 2) == round(0.08 * BURST_BYTES / VERSION_BYTES, 2)


def test_a_line_stays_slow_though_it_rests_between_versions() -> None:
    """Measured on a line of 2 Mbit/s behind a token bucket of 16 KiB: a version of 20 kB a second, and PINGs."""
    scene = Scene()
    line = Line(scene.receiver(), 1_000_000)
    bursts_s: list[float] = []
    for number in range(40):
        if number % 5:
            line.carry(30)
        else:
            scene.publish()
            line.carry(VERSION_BYTES)
        bursts_s += [fact.burst_s for fact in scene.look(WATCHED_S / 50)]
        scene.world.settle()
    assert min(bursts_s[10:]) >= SLOW_BURST_S


def test_a_receiver_whose_system_delays_acknowledgements_has_a_fast_line_once_its_versions_are_answered() -> None:
    scene = Scene()
    receiver = scene.receiver()
    line = Line(receiver, 400_000)
    for _ in range(6):
        scene.publish()
        line.carry(VERSION_BYTES)
        facts = scene.look()
        scene.world.settle()
    assert [fact.burst_s >= SLOW_BURST_S for fact in facts] == [True]
    window = BulkWindow()
    window.sent(BULK_WRITE_BYTES, 0)
    window.answered(Pong(0, 1_000_000, 1_000_000), 1_000_000)
    receiver.session.connection.bulk_window = window
    (fact,) = scene.look()
    assert fact.burst_s < STILL_SLOW_S


def test_a_way_that_is_long_is_no_slow_line() -> None:
    scene = Scene()
    line = Line(scene.receiver(), 250_000, way_s=0.08)
    for _ in range(6):
        scene.publish()
        line.carry(VERSION_BYTES)
        assert scene.look() == []
    assert not len(scene.watch)


def test_one_whose_line_has_become_fast_is_not_watched_any_more() -> None:
    scene = Scene()
    line = Line(scene.receiver(), 250_000)
    for _ in range(4):
        scene.publish()
        line.carry(VERSION_BYTES)
        scene.look()
    assert len(scene.watch) == 1
    line.bytes_per_s = 1e9
    for _ in range(int(WATCHED_S)):
        line.carry(10_000_000)
        scene.look()
    assert not len(scene.watch)


def test_all_connections_have_their_turn() -> None:
    scene = Scene()
    lines = [Line(scene.receiver(f"viewer-{number}"), 250_000) for number in range(SCANNED + 10)]
    scene.publish()
    for line in lines:
        line.carry(2 * VERSION_BYTES)
    for _ in range(4):
        scene.look()
    assert len(scene.watch) == SCANNED + 10


def test_a_slow_line_is_found_also_behind_a_view_of_a_state_that_has_had_many_versions() -> None:
    """The view has the offsets of the state, but has sent few of these versions."""
    scene = Scene()
    for _ in range(50):
        scene.publish()
    viewer = scene.world.peer("viewer")
    viewer.subscribe("wf/x", view=View())
    scene.world.settle()
    line = Line(viewer, 250_000)
    for _ in range(4):
        scene.publish()
        viewer.read()
        line.carry(VERSION_BYTES)
        scene.look()
    assert len(scene.watch) == 1


def test_nothing_is_known_of_newcomers_once_all_is_measured_anew() -> None:
    scene = Scene()
    line = Line(scene.receiver(), 250_000)
    scene.glimpse()
    line.carry(50_000, waiting_bytes=100_000)
    assert scene.glimpse()
    scene.watch.forget()
    assert scene.glimpse() == []


def test_the_time_of_a_burst_is_that_of_versions_that_are_sent_if_a_view_leaves_out_most() -> None:
    scene = Scene()
    scene.publish()
    viewer = scene.world.peer("viewer")
    viewer.subscribe("wf/x", view=View(max_rate_hz=1.0))
    scene.world.settle()
    line = Line(viewer, 250_000)
    facts: list[ReceiverFacts] = []
    for _ in range(6):
        for _ in range(10):
            scene.publish()
            scene.world.clock.advance(0.1)
        viewer.read()
        line.carry(VERSION_BYTES)
        facts = scene.look() or facts
        viewer.read()
    assert facts[0].demand_bytes_per_s < 2 * VERSION_BYTES
    assert 0.07 < facts[0].burst_s * VERSION_BYTES / BURST_BYTES < 0.09


def test_the_views_of_each_receiver_are_looked_at_in_a_step_of_their_own() -> None:
    scene = Scene()
    viewers = [scene.world.peer(f"viewer-{number}") for number in range(STEP - 1)]
    for viewer in viewers:
        viewer.subscribe("wf/x", 1, lower=View(np.s_[::4]))
    for _ in range(3):
        scene.publish()
        for viewer in viewers:
            viewer.session.connection.fall_behind()
        scene.look()
    assert len(list(scene.watch.read(scene.world.clock.monotonic_s()))) == len(viewers)
    for viewer in viewers:
        viewer.unsubscribe(1)
        viewer.subscribe("wf/x", 2)
    assert list(scene.watch.read(scene.world.clock.monotonic_s())) == []
    assert not scene.watch._views
