"""Draining: everybody is told and closed, once, spread over the time that there is."""

from __future__ import annotations

import logging
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.connections.draining import RETURNS_PER_S, TOLD_TOGETHER, Round, closing, due, spread_s, telling
from gateway.connections.sessions.session import Session
from gateway.protocol.messages import GoAway
from gateway.protocol.state import State
from tests.connections.memory import Peer, World


@given(st.integers(0, 10_000), st.floats(0.001, 100.0), st.lists(st.floats(0.0, 200.0), max_size=20))
def test_ever_more_are_due_and_at_last_all(count: int, seconds: float, times: list[float]) -> None:
    found = [due(count, elapsed_s, seconds) for elapsed_s in [*sorted(times), 200.0]]
    assert all(before <= after for before, after in pairwise(found))
    assert found[-1] == count
    assert due(count, 0.5 * seconds, seconds) <= 0.5 * count + 1


@pytest.mark.parametrize(
    ("count", "longest_s", "seconds"), [(0, 3.0, 0.0), (500, 3.0, 0.5), (50_000, 3.0, 3.0), (9, -1.0, 0.0)]
)
def test_many_clients_take_the_time_that_there_is_and_few_do_not(count: int, longest_s: float, seconds: float) -> None:
    assert spread_s(count, longest_s) == seconds


def away(peer: Peer) -> list[GoAway]:
    return [entry for entry in peer.read().log if isinstance(entry, GoAway)]


def test_clients_are_told_one_after_the_other_with_what_is_left_of_the_time() -> None:
    world = World()
    peers = [world.peer() for _ in range(10)]
    stranger = world.stranger()
    draws = iter([0.01 * number for number in range(11)] + [0.5] * 10)
    told = telling(world.core.pool, "update", 8.0, 2.0, world.clock, lambda: next(draws))
    counts = []
    while told.go_on():
        counts.append(sum(bool(away(peer)) for peer in peers))
        world.clock.advance(0.25)
    assert counts == sorted(counts)
    assert counts[0] < 3
    assert len(set(counts)) > 4
    entries = [away(peer) for peer in peers]
    assert all(len(entry) == 1 for entry in entries)
    assert entries[0][0] == GoAway(1001, "update", 8.0, round(0.5 * 11 / RETURNS_PER_S, 3))
    assert entries[-1][0].deadline_s < 7.0
    assert stranger.close_code() == 1001
    assert all(peer.session.state is State.DRAINING for peer in peers)


def test_no_turn_is_for_very_many() -> None:
    world = World(max_connections=200)
    for _ in range(2 * TOLD_TOGETHER + 20):
        world.peer()
    acted: list[object] = []
    everybody = Round(world.core.pool, 1.0, acted.append, world.clock)
    world.clock.advance(0.99)
    assert everybody.go_on()
    assert len(acted) == TOLD_TOGETHER
    assert everybody.overdue > TOLD_TOGETHER - 5
    world.clock.advance(0.1)
    assert everybody.go_on()
    assert everybody.overdue == everybody.left == 20
    assert not everybody.go_on()
    assert everybody.overdue == everybody.left == 0
    assert len(set(map(id, acted))) == 2 * TOLD_TOGETHER + 20


def test_a_client_that_cannot_be_told_keeps_none_of_the_others_from_it(caplog: pytest.LogCaptureFixture) -> None:
    world = World()
    first, *others = [world.peer() for _ in range(3)]
    acted: list[object] = []

    def act(session: Session) -> None:
        if session is first.session:
            raise ValueError("a bug")
        acted.append(session)

    with caplog.at_level(logging.ERROR):
        assert not Round(world.core.pool, 0.0, act, world.clock).go_on()
    assert acted == [peer.session for peer in others]
    assert len(caplog.records) == 1


def test_who_has_gone_meanwhile_is_not_told() -> None:
    world = World()
    peers = [world.peer(), world.peer()]
    draws = iter([0.1, 0.2, 0.3, 0.4])
    told = telling(world.core.pool, "update", 8.0, 2.0, world.clock, lambda: next(draws))
    assert told.go_on()
    peers[1].session.connection.close(1000, "")
    world.clock.advance(3.0)
    assert not told.go_on()
    assert not away(peers[1])


def test_nothing_is_read_from_a_client_that_waits_to_be_closed() -> None:
    world = World()
    peers = [world.peer() for _ in range(3)]
    closed = closing(world.core.pool, 1001, "update", 2.0, world.clock)
    assert closed.go_on()
    assert [peer.session.connection.closed for peer in peers] == [True, False, False]
    assert [peer.session.connection.reading.held for peer in peers] == [False, True, True]
    world.clock.advance(3.0)
    assert not closed.go_on()
    assert [peer.close_code() for peer in peers] == [1001] * 3
    assert not any(peer.session.connection.reading.held for peer in peers)
