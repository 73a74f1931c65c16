"""Heartbeat: who says nothing is asked, then closed; who answers stays, and is known by its round trip."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Sequence
from itertools import pairwise

import pytest

from gateway.connections.heartbeat.heartbeat import (
    CLOSED_COST,
    FIRST_LOOK_S,
    LOOKS_A_STEP,
    MAX_TICKS_A_SWEEP,
    PATIENCE,
    Heartbeat,
)
from gateway.connections.heartbeat.pace import HeartbeatSettings
from gateway.connections.heartbeat.stats import HeartbeatStats
from gateway.errors import Code
from gateway.protocol.messages import ClientType, Hello
from gateway.protocol.signals import Ping
from tests.connections.heartbeat.test_vanish_watch import counted
from tests.connections.memory import Peer, World

INTERVALS = [(20.0, 10.0), (20.0, 0.5), (20.0, 100.0), (1.0, 1.0), (20.0, 7.0)]
BOUND = PATIENCE + 0.5
"""Heartbeat intervals after the last byte within which a dead peer is closed (spec section 9)."""


class Hall:
    """Connections, and a heartbeat that looks at them as time passes.

    Attributes:
        looked: pings by the tick at which they were sent.
    """

    def __init__(self, interval_s: float = 20.0, hello_timeout_s: float = 10.0, connections: int = 100) -> None:
        self.world = World(max_connections=connections)
        self.heartbeat = Heartbeat(
            self.world.core.pool,
            self.world.clock,
            interval_s,
            hello_timeout_s,
            HeartbeatSettings(),
            self.world.core.disconnect,
        )
        self.round_trip_s = 0.002
        self.answering: list[Peer] = []
        self.pings: Counter[Peer] = Counter()
        self.pings_a_tick: list[int] = []

    def peer(self, client_type: ClientType = ClientType.AGENT, *, answers: bool = False) -> Peer:
        """A client that has said HELLO, and whose transport answers pings if it is to."""
        peer = self.world.stranger()
        peer.say(Hello((1,), client_type))
        self.enter(peer, answers=answers)
        return peer

    def enter(self, peer: Peer, *, answers: bool = False) -> None:
        """Have the heartbeat look at a client."""
        peer.forget()
        self.heartbeat.add(peer.session)
        if answers:
            self.answering.append(peer)

    def tick(self) -> None:
        """One sweep in a turn of its own; then the transports answer."""
        self.world.turn()
        self.world.clock.advance(self.heartbeat.tick_s - self.round_trip_s + 1e-6)
        for _ in self.heartbeat.sweep():
            pass
        asked = [peer for peer in self.answering if peer.transport.pings]
        self.pings_a_tick.append(len(asked))
        self.world.clock.advance(self.round_trip_s)
        for peer in asked:
            self.answer(peer)

    def answer(self, peer: Peer) -> None:
        """The transport of a client answers all pings."""
        for payload in peer.transport.pings:
            self.pings[peer] += 1
            peer.session.heard = True
            self.heartbeat.answered(peer.session, payload)
        peer.transport.pings.clear()

    def pass_time(self, seconds: float, until: Callable[[], bool] = lambda: False) -> float:
        """Let time pass, until something has happened; the time that has passed."""
        begin_ns = self.world.clock.now_ns
        while not until() and self.world.clock.now_ns - begin_ns < seconds * 1e9:
            self.tick()
        return (self.world.clock.now_ns - begin_ns) / 1e9


def smoothed_s(peer: Peer) -> float | None:
    """The smoothed round trip of a client."""
    round_trip = peer.session.connection.round_trip
    return None if round_trip is None else round_trip.smoothed_s


@pytest.mark.parametrize(("interval_s", "hello_timeout_s"), INTERVALS)
def test_a_silent_client_is_asked_once_and_then_closed_within_the_bound(
    interval_s: float, hello_timeout_s: float
) -> None:
    hall = Hall(interval_s, hello_timeout_s)
    peer = hall.peer()
    hall.pass_time(0.3 * interval_s)
    peer.transport.pings.clear()
    peer.session.asked_ns = 0
    peer.send(Ping(1).write())
    peer.forget()
    silent_s = hall.pass_time(4 * interval_s, lambda: peer.close_code() is not None)
    assert PATIENCE * interval_s <= silent_s <= BOUND * interval_s + 2 * hall.heartbeat.tick_s
    assert len(peer.transport.pings) == 1
    assert peer.close_code() == Code.HEARTBEAT_TIMEOUT
    assert peer.read().codes == [Code.HEARTBEAT_TIMEOUT]
    assert len(hall.world.core.pool) == 0


def test_a_look_that_fails_costs_no_client_its_next_look(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    hall = Hall()
    peers = [hall.peer() for _ in range(20)]
    failing = peers[7].transport

    def fail(payload: bytes) -> None:
        raise ValueError("a bug")

    with monkeypatch.context() as patched, caplog.at_level(logging.ERROR):
        patched.setattr(failing, "ping", fail)
        hall.pass_time(10.0)
    assert caplog.records
    assert [bool(peer.transport.pings) for peer in peers] == [peer is not peers[7] for peer in peers]
    hall.pass_time(80.0, lambda: not len(hall.world.core.pool))
    assert {peer.close_code() for peer in peers} == {Code.HEARTBEAT_TIMEOUT}


@pytest.mark.parametrize(("interval_s", "hello_timeout_s"), INTERVALS)
def test_a_client_that_pings_every_interval_stays(interval_s: float, hello_timeout_s: float) -> None:
    hall = Hall(interval_s, hello_timeout_s)
    peer = hall.peer()
    for _ in range(10):
        hall.pass_time(interval_s)
        peer.send(Ping(1).write())
    assert peer.close_code() is None


@pytest.mark.parametrize(("interval_s", "hello_timeout_s"), INTERVALS)
def test_a_client_that_never_says_hello_is_closed_in_time(interval_s: float, hello_timeout_s: float) -> None:
    hall = Hall(interval_s, hello_timeout_s)
    stranger = hall.world.stranger()
    hall.enter(stranger)
    while (passed_s := hall.pass_time(hello_timeout_s / 3)) and stranger.close_code() is None:
        stranger.send(Ping(1).write())
        stranger.session.heard = True
    assert passed_s <= hello_timeout_s / 3 + 0.2
    assert stranger.close_code() == Code.HANDSHAKE_TIMEOUT
    assert stranger.read().codes == [Code.HANDSHAKE_TIMEOUT]


def test_hello_has_all_of_its_time() -> None:
    hall = Hall(20.0, 10.0)
    stranger = hall.world.stranger()
    hall.enter(stranger)
    assert hall.pass_time(30.0, lambda: stranger.close_code() is not None) == pytest.approx(10.0, abs=0.3)


def test_a_client_that_never_pings_by_itself_stays_by_the_answers_of_its_transport() -> None:
    """As a browser does whose page is hidden, for six minutes."""
    hall = Hall()
    peer = hall.peer(ClientType.ADMIN_PANEL, answers=True)
    hall.pass_time(360.0)
    assert peer.close_code() is None
    assert 360 / 60 <= hall.pings[peer] <= 360 / 20
    assert not peer.read().codes


def test_a_client_whose_timers_fire_once_a_minute_stays() -> None:
    hall = Hall()
    peer = hall.peer(ClientType.ADMIN_PANEL, answers=True)
    for _ in range(6):
        hall.pass_time(60.0)
        peer.send(Ping(1).write())
    assert peer.close_code() is None


def test_every_connection_soon_has_a_round_trip() -> None:
    hall = Hall()
    peer = hall.peer(answers=True)
    assert smoothed_s(peer) is None
    hall.pass_time(5.1)
    assert smoothed_s(peer) == pytest.approx(0.002, rel=0.01)


def test_those_who_ask_are_told_the_round_trip_once() -> None:
    hall = Hall()
    peer, other = hall.peer(), hall.peer()
    told: list[float] = []
    hall.heartbeat.ask(peer.session, told.append)
    hall.heartbeat.ask(peer.session, told.append)
    hall.heartbeat.ask(other.session, told.append)
    (payload,) = peer.transport.pings
    hall.world.clock.advance(0.25)
    hall.heartbeat.answered(peer.session, payload)
    assert told == [pytest.approx(0.25)] * 2, "one ping for both; the other client has not answered"
    hall.heartbeat.answered(peer.session, payload)
    assert len(told) == 2


def test_those_who_wait_no_more_are_forgotten() -> None:
    hall = Hall()
    peer = hall.peer()
    told: list[float] = []
    for _ in range(3):
        hall.heartbeat.ask(peer.session, print)
        hall.heartbeat.withdraw(peer.session, print)
    assert not hall.heartbeat._askers
    hall.heartbeat.ask(peer.session, print)
    hall.heartbeat.ask(peer.session, told.append)
    hall.heartbeat.withdraw(peer.session, print)
    hall.heartbeat.answered(peer.session, peer.transport.pings[0])
    assert len(told) == 1


def test_traffic_saves_pings_but_not_all_of_them() -> None:
    hall = Hall()
    busy, idle = hall.peer(answers=True), hall.peer(answers=True)
    for _ in range(600):
        hall.pass_time(1.0)
        busy.session.heard = True
    assert 600 / 60 <= hall.pings[busy] <= 600 / 60 + 4 < hall.pings[idle]


@pytest.mark.parametrize(
    ("client_type", "first_s", "last_s"),
    [
        (ClientType.WORKFLOW, 20.0, 40.0),
        (ClientType.AGENT, 40.0, 60.0),
        (ClientType.ADMIN_PANEL, 60.0, 60.0),
        (ClientType.EXTENSION, 60.0, 60.0),
    ],
)
def test_a_calm_link_is_asked_less_and_less(client_type: ClientType, first_s: float, last_s: float) -> None:
    hall = Hall()
    peer = hall.peer(client_type, answers=True)
    at_s: list[float] = []
    for second in range(600):
        before = hall.pings[peer]
        hall.pass_time(1.0)
        peer.session.heard = True
        at_s += [float(second)] * (hall.pings[peer] - before)
    pauses = [later - earlier for earlier, later in pairwise(at_s)]
    # A ping comes with a look, so up to a look before its time.
    assert first_s - 11 <= pauses[0] <= first_s + 1
    assert all(last_s - 11 <= pause <= last_s + 1 for pause in pauses[4:])


def test_a_late_answer_and_a_missing_one_have_the_link_asked_sooner() -> None:
    hall = Hall()
    peer = hall.peer(answers=True)

    def busy(seconds: int) -> int:
        before = hall.pings[peer]
        for _ in range(seconds):
            hall.pass_time(1.0)
            peer.session.heard = True
        return hall.pings[peer] - before

    busy(300)
    calm = busy(120)
    hall.answering.remove(peer)
    busy(70)
    hall.answer(peer)  # it is late
    hall.answering.append(peer)
    assert busy(120) > calm
    busy(300)
    peer.session.connection.sample_round_trip(10**9)  # its round trip varies
    assert busy(120) > calm
    busy(300)
    assert busy(120) == calm


def test_a_ping_behind_bytes_of_the_gateway_is_a_sign_of_life_but_measures_nothing() -> None:
    hall = Hall()
    peer = hall.peer(answers=True)
    peer.transport.waiting = 1000
    hall.pass_time(200.0)
    assert peer.close_code() is None
    assert hall.pings[peer] > 1
    assert smoothed_s(peer) is None
    peer.transport.waiting = 0
    hall.pass_time(60.0)
    assert smoothed_s(peer) is not None


def test_pongs_that_answer_no_ping_measure_nothing() -> None:
    hall = Hall()
    peer = hall.peer()
    hall.heartbeat.answered(peer.session, b"")
    hall.heartbeat.answered(peer.session, bytes(8))
    hall.pass_time(6.0)
    (payload,) = peer.transport.pings
    hall.heartbeat.answered(peer.session, payload[:-1] + bytes([payload[-1] ^ 1]))
    assert smoothed_s(peer) is None
    hall.heartbeat.answered(peer.session, payload)
    first = smoothed_s(peer)
    assert first is not None
    hall.world.clock.advance(1.0)
    hall.heartbeat.answered(peer.session, payload)
    assert smoothed_s(peer) == first


@pytest.mark.parametrize("held_up_s", [60.0, 6000.0])
def test_time_in_which_the_gateway_was_held_up_does_not_count(held_up_s: float) -> None:
    hall = Hall()
    peer = hall.peer()
    hall.pass_time(20.0)
    hall.world.clock.advance(held_up_s)
    hall.tick()
    assert peer.close_code() is None
    assert hall.pass_time(60.0, lambda: peer.close_code() is not None) >= 20.0


@pytest.mark.parametrize("swept_before", [False, True])
def test_a_ping_during_which_the_gateway_was_held_up_measures_nothing(*, swept_before: bool) -> None:
    hall = Hall()
    peer = hall.peer()
    hall.pass_time(6.0)
    hall.world.clock.advance(600.0)
    if swept_before:
        for _ in hall.heartbeat.sweep():
            pass
    (payload,) = peer.transport.pings
    hall.heartbeat.answered(peer.session, payload)
    assert smoothed_s(peer) is None
    peer.transport.pings.clear()
    hall.answering.append(peer)
    hall.pass_time(60.0)
    assert smoothed_s(peer) == pytest.approx(hall.round_trip_s, rel=0.01)


@pytest.mark.parametrize(("interval_s", "hello_timeout_s"), INTERVALS)
def test_a_client_that_says_hello_late_and_nothing_more_is_asked_and_closed_in_time(
    interval_s: float, hello_timeout_s: float
) -> None:
    hall = Hall(interval_s, hello_timeout_s)
    stranger = hall.world.stranger()
    hall.enter(stranger)
    hall.pass_time(hello_timeout_s / 8)
    stranger.say(Hello((1,), ClientType.AGENT))
    stranger.session.heard = True
    asked_s = hall.pass_time(interval_s, lambda: bool(stranger.transport.pings))
    assert asked_s <= FIRST_LOOK_S + hall.heartbeat.tick_s
    closed_s = hall.pass_time(4 * interval_s, lambda: stranger.close_code() is not None)
    assert asked_s + closed_s <= BOUND * interval_s + 2 * hall.heartbeat.tick_s


def test_a_client_whose_hello_waits_for_its_turn_is_not_late() -> None:
    hall = Hall()
    stranger = hall.world.stranger()
    hall.enter(stranger)
    waits = True
    stranger.session.backlog.add(lambda: waits)
    hall.world.take_one_step_a_turn()
    for _ in range(200):
        hall.world.clock.turn()
        hall.world.clock.advance(hall.heartbeat.tick_s)
        for _ in hall.heartbeat.sweep():
            pass
    assert stranger.close_code() is None
    waits = False
    hall.world.clock.look_s = 0.0
    hall.world.turn()
    hall.pass_time(1.0)
    assert stranger.close_code() == Code.HANDSHAKE_TIMEOUT


def test_few_connections_are_closed_in_one_turn() -> None:
    hall = Hall(connections=1000)
    for _ in range(1000):
        hall.peer()
    most = 0
    while len(hall.world.core.pool):
        hall.world.clock.advance(hall.heartbeat.tick_s)
        before = len(hall.world.core.pool)
        for _ in hall.heartbeat.sweep():
            most = max(most, before - len(hall.world.core.pool))
            before = len(hall.world.core.pool)
        most = max(most, before - len(hall.world.core.pool))
    assert 1 < most <= LOOKS_A_STEP // CLOSED_COST


def test_a_sweep_that_comes_late_looks_at_few_connections() -> None:
    hall = Hall(connections=1000)
    peers = [hall.peer(answers=True) for _ in range(1000)]
    hall.pass_time(60.0)
    most = max(hall.pings_a_tick)
    hall.world.clock.advance(3600.0)
    hall.tick()
    assert hall.pings_a_tick[-1] <= MAX_TICKS_A_SWEEP * most
    assert all(peer.close_code() is None for peer in peers)


def joined_at_once(hall: Hall, count: int) -> Sequence[Peer]:
    return [hall.peer(answers=True) for _ in range(count)]


def joined_one_by_one(hall: Hall, count: int) -> Sequence[Peer]:
    peers = []
    for _ in range(count):
        peers.append(hall.peer(answers=True))
        hall.tick()
    return peers


def joined_in_storms(hall: Hall, count: int) -> Sequence[Peer]:
    """All come at once, are lost at once, and come again, three times."""
    for _ in range(3):
        peers = joined_at_once(hall, count)
        hall.pass_time(7.0)
        hall.answering.clear()
        hall.world.lose(*peers)
    return joined_at_once(hall, count)


@pytest.mark.parametrize("join", [joined_at_once, joined_one_by_one, joined_in_storms])
def test_pings_are_spread_however_clients_join(join: Callable[[Hall, int], Sequence[Peer]]) -> None:
    """500 connections; spread evenly, five of them would be looked at in a tick, and fewer asked."""
    hall = Hall(connections=500)
    join(hall, 500)
    hall.pings_a_tick.clear()
    hall.pings.clear()
    hall.pass_time(120.0)
    # At first those count that have been lost, and have not had their turn since.
    assert max(hall.pings_a_tick[:100]) <= 2 * 500 // 50 + 2
    assert max(hall.pings_a_tick[100:]) <= 500 // 50 + 2
    assert all(count >= 2 for count in hall.pings.values())
    assert len(hall.pings) == 500


def test_many_that_fall_silent_together_are_all_closed_within_the_bound() -> None:
    hall = Hall(connections=300)
    peers = joined_at_once(hall, 300)
    hall.pass_time(33.0)
    hall.answering.clear()
    for peer in peers:
        peer.session.asked_ns = 0
        peer.session.heard = True
    closed_s: dict[Peer, float] = {}
    for tick in range(round(4 * 20.0 / hall.heartbeat.tick_s)):
        hall.tick()
        for peer in peers:
            if peer.close_code() is not None:
                closed_s.setdefault(peer, (tick + 1) * hall.heartbeat.tick_s)
    assert len(closed_s) == 300
    assert hall.heartbeat.stats().silent == 300
    assert PATIENCE * 20.0 <= min(closed_s.values()) <= max(closed_s.values()) <= BOUND * 20.0 + 1


def test_the_work_of_a_tick_is_that_of_the_connections_that_are_due() -> None:
    hall = Hall(connections=1000)
    joined_at_once(hall, 1000)
    hall.pass_time(40.0)
    looks = 0
    get = hall.world.core.pool.get

    def counted(peer: int) -> object:
        nonlocal looks
        looks += 1
        return get(peer)

    hall.world.core.pool.get = counted  # type: ignore[method-assign, assignment]
    hall.pass_time(10.0)
    assert 900 <= looks <= 2000
    looks = 0
    hall.tick()
    assert looks <= 1000 // 50 + 2


def test_connections_that_are_gone_are_forgotten_at_their_next_turn() -> None:
    hall = Hall()
    peers = joined_at_once(hall, 50)
    hall.pass_time(30.0)
    hall.world.lose(*peers)
    hall.answering.clear()
    hall.pass_time(10.1)
    assert len(hall.heartbeat) == 0


def test_a_client_that_answers_websocket_pings_and_no_ping_is_closed() -> None:
    hall = Hall()
    peer = hall.peer(answers=True)
    hall.pass_time(30.0)
    peer.session.connection.probe()
    hall.pass_time(PATIENCE * 20.0)
    assert peer.close_code() is None
    hall.pass_time(1.6 * 20.0)
    assert peer.close_code() == Code.HEARTBEAT_TIMEOUT
    error = peer.read().errors[-1]
    assert error.message == "PINGs that were read have not been answered for 2.5 heartbeat intervals"
    assert hall.heartbeat.stats() == HeartbeatStats(pings=hall.pings[peer], silent=0, deaf=1)


def test_a_client_that_does_not_read_but_pings_is_not_closed_for_pings_that_it_has_not_read() -> None:
    hall = Hall()
    peer = hall.peer()
    peer.session.connection.probe()
    for _ in range(600):
        hall.pass_time(1.0)
        peer.session.heard = True
    assert peer.close_code() is None
    assert len(peer.transport.pings) == 1


def test_a_silent_client_that_takes_a_large_message_slowly_stays() -> None:
    hall = Hall()
    peer = hall.peer(answers=True)
    hall.pass_time(30.0)
    hall.answering.clear()
    for waiting in range(300_000, 0, -1000):
        peer.transport.waiting = waiting
        hall.pass_time(1.0)
    assert peer.close_code() is None
    assert len(peer.transport.pings) == 1
    hall.pass_time(BOUND * 20.0 + 10.0)
    assert peer.close_code() == Code.HEARTBEAT_TIMEOUT


def test_a_client_that_the_gateway_does_not_read_for_its_own_reasons_is_not_judged() -> None:
    hall = Hall()
    peer, store = hall.peer(), object()
    peer.session.connection.reading.hold(store)
    hall.pass_time(200.0)
    assert peer.close_code() is None
    peer.session.connection.reading.release(store)
    assert PATIENCE * 20.0 - 10.0 <= hall.pass_time(100.0, lambda: peer.close_code() is not None) <= BOUND * 20.0


@pytest.mark.parametrize("full", [False, True])
def test_a_client_that_does_not_take_its_answers_is(full: bool) -> None:
    hall = Hall()
    peer = hall.peer()
    connection = peer.session.connection
    connection.reading.hold(connection)
    if full:
        peer.transport.fill_up()
        connection.reading.hold(object())
    hall.pass_time(BOUND * 20.0 + 1)
    assert peer.close_code() == Code.HEARTBEAT_TIMEOUT


def test_a_closed_connection_is_left_alone() -> None:
    hall = Hall()
    peer = hall.peer()
    peer.session.connection.close(Code.NORMAL, "done")
    hall.pass_time(60.0)
    assert peer.transport.closed == (Code.NORMAL, "done")
    assert not peer.transport.pings


def test_clients_that_others_wait_for_are_asked_as_often_as_the_settings_allow() -> None:
    hall = Hall()
    awaited, other = hall.peer(answers=True), hall.peer(answers=True)
    hall.heartbeat.awaited = {awaited.session.peer.id}
    hall.pass_time(300.0)
    assert hall.pings[awaited] >= 55
    assert hall.pings[other] <= 10
    hall.heartbeat.awaited = frozenset()
    before = hall.pings[awaited]
    hall.pass_time(300.0)
    assert hall.pings[awaited] - before <= 10


def test_an_awaited_client_whose_machine_is_gone_is_found_before_silence_shows_it() -> None:
    hall = Hall()
    awaited, other = hall.peer(answers=True), hall.peer(answers=True)
    hall.heartbeat.awaited = {awaited.session.peer.id}
    hall.pass_time(120.0)
    hall.answering.clear()
    for peer in (awaited, other):
        counted(peer, 1000)
    gone_s = hall.pass_time(100.0, lambda: awaited.close_code() is not None)
    assert PATIENCE * 5.0 <= gone_s <= (PATIENCE + 1) * 5.0 + 1.0
    assert hall.heartbeat.stats() == HeartbeatStats(hall.heartbeat.stats().pings, 0, 0, 1)
    assert awaited.close_code() == Code.HEARTBEAT_TIMEOUT
    assert other.close_code() is None
    hall.pass_time(100.0, lambda: other.close_code() is not None)
    assert hall.heartbeat.stats().silent == 1


def test_an_awaited_client_that_computes_has_the_time_of_all_others() -> None:
    """Its system acknowledges the pings that its program does not answer."""
    hall = Hall()
    awaited = hall.peer(answers=True)
    hall.heartbeat.awaited = {awaited.session.peer.id}
    hall.pass_time(120.0)
    hall.answering.clear()
    counted(awaited, 1000, 0)
    silent_s = hall.pass_time(100.0, lambda: awaited.close_code() is not None)
    assert silent_s >= PATIENCE * 20.0 - 5.0
    assert hall.heartbeat.stats().vanished == 0


def test_an_awaited_client_whose_machine_is_gone_after_it_has_acknowledged_the_ping_is_found() -> None:
    hall = Hall()
    awaited = hall.peer(answers=True)
    hall.heartbeat.awaited = {awaited.session.peer.id}
    hall.pass_time(120.0)
    hall.answering.clear()
    counted(awaited, 1000, 0)
    hall.pass_time(10.0)
    assert awaited.session.asked_ns
    counted(awaited, 1000, 50)  # a request was sent to it
    hall.pass_time((PATIENCE + 1) * 5.0 + 1.0, lambda: awaited.close_code() is not None)
    assert hall.heartbeat.stats().vanished == 1
