"""Invariant: stored messages never look older than the machine has run since, and deadlines keep their moment."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest

from gateway.streams.sqlite.file_format import connect
from gateway.streams.sqlite.store_clock import Machine, StoreClock

SECOND = 10**9
HOUR = 3600 * SECOND
WALL = 1_770_000_000 * SECOND


class World:
    """A machine that runs, sleeps, starts again, and whose wall clock is set."""

    def __init__(self, path: Path) -> None:
        self.connection = connect(path)
        self.boot = 1
        self.running_ns = self.elapsed_ns = 5 * SECOND
        self.wall_ns = WALL

    def run(self, seconds: float) -> None:
        for name in ("running_ns", "elapsed_ns", "wall_ns"):
            setattr(self, name, getattr(self, name) + round(seconds * SECOND))

    def suspend(self, seconds: float) -> None:
        self.elapsed_ns += round(seconds * SECOND)
        self.wall_ns += round(seconds * SECOND)

    def restart(self, down_s: float) -> None:
        self.boot += 1
        self.running_ns = self.elapsed_ns = 3 * SECOND
        self.wall_ns += round(down_s * SECOND)

    def gateway(self) -> StoreClock:
        """A gateway starts: its Unix time is the wall clock of now, and does not jump."""
        ahead_ns = self.wall_ns - self.elapsed_ns
        machine = Machine(
            f"boot {self.boot}", lambda: self.running_ns, lambda: self.elapsed_ns, lambda: self.elapsed_ns + ahead_ns
        )
        return StoreClock(self.connection, machine)

    def store(self, clock: StoreClock) -> int:
        """A message is stored; its time."""
        stored_ns = clock.now_ns()
        self.connection.execute(
            "INSERT OR IGNORE INTO streams VALUES (1, 'wf/a', 'event', 'os', 1, 0, NULL)",
        )
        first = self.connection.execute("SELECT count(*) FROM messages").fetchone()[0]
        self.connection.execute(
            "INSERT INTO messages VALUES (1, ?, 1, 10, ?, NULL, 0, 1, x'00', NULL)", (first, stored_ns)
        )
        return stored_ns


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    world = World(tmp_path / "streams.db")
    yield world
    world.connection.close()


def test_a_new_file_begins_with_unix_time(world: World) -> None:
    clock = world.gateway()
    assert clock.now_ns() == WALL
    world.run(7)
    assert clock.now_ns() == WALL + 7 * SECOND
    assert not clock.stepped


@pytest.mark.parametrize("step_ns", [0, HOUR, -HOUR])
def test_the_next_gateway_on_the_machine_continues_it(world: World, step_ns: int) -> None:
    stored_ns = world.store(world.gateway())
    world.run(60)
    world.wall_ns += step_ns
    clock = world.gateway()
    assert clock.now_ns() - stored_ns == 60 * SECOND
    assert clock.stepped == bool(step_ns)


def test_time_in_which_the_machine_is_suspended_does_not_count(world: World) -> None:
    clock = world.gateway()
    stored_ns = world.store(clock)
    world.suspend(3600)
    assert clock.now_ns() == stored_ns
    again = world.gateway()
    assert again.now_ns() == stored_ns
    assert again.shift_ns(stored_ns) == 0


@pytest.mark.parametrize("down_s", [-3600, 5, 3600 * 24 * 7])
def test_time_in_which_the_machine_is_down_does_not_count(world: World, down_s: float) -> None:
    """Its wall clock may be set meanwhile, forward or back: nobody knows how long it was down."""
    clock = world.gateway()
    first_ns = world.store(clock)
    world.run(100)
    second_ns = world.store(clock)
    world.run(50)
    world.restart(down_s)
    again = world.gateway()
    assert again.now_ns() - first_ns == 100 * SECOND
    assert again.now_ns() == second_ns
    world.run(10)
    assert world.gateway().now_ns() - first_ns == 110 * SECOND


def test_the_time_of_an_orderly_close_is_known_after_a_restart(world: World) -> None:
    clock = world.gateway()
    stored_ns = world.store(clock)
    world.run(50)
    clock.stamp(world.connection)
    world.restart(3600)
    assert world.gateway().now_ns() - stored_ns == 50 * SECOND


def test_a_message_from_the_future_is_from_now(world: World) -> None:
    """An older gateway dated its messages by the wall clock, which was an hour ahead."""
    world.wall_ns += HOUR
    stored_ns = world.store(world.gateway())
    world.connection.execute("DELETE FROM clocks")
    world.wall_ns -= HOUR
    assert world.gateway().now_ns() == stored_ns


@pytest.mark.parametrize("step_ns", [HOUR, -HOUR])
def test_a_deadline_keeps_its_moment_when_the_wall_clock_is_set_between_two_gateways(
    world: World, step_ns: int
) -> None:
    first_ns = world.store(world.gateway())
    deadline_ns = world.wall_ns + 30 * SECOND
    world.wall_ns += step_ns
    world.run(10)
    second = world.gateway()
    second_ns = world.store(second)
    assert deadline_ns + second.shift_ns(first_ns) - world.wall_ns == 20 * SECOND
    assert second.shift_ns(second_ns) == 0
    world.wall_ns += step_ns
    world.run(1)
    third = world.gateway()
    assert [third.shift_ns(stored_ns) for stored_ns in (first_ns, second_ns)] == [2 * step_ns, step_ns]


def test_a_deadline_passes_while_the_machine_is_suspended_or_down(world: World) -> None:
    stored_ns = world.store(world.gateway())
    world.suspend(100)
    assert world.gateway().shift_ns(stored_ns) == 0
    world.restart(100)
    assert world.gateway().shift_ns(stored_ns) == 0


def test_starts_without_a_step_leave_one_row(world: World) -> None:
    for _ in range(5):
        world.gateway()
        world.run(1)
    assert world.connection.execute("SELECT count(*) FROM clocks").fetchone() == (1,)


def test_a_file_without_the_table_gets_it(tmp_path: Path) -> None:
    path = tmp_path / "older.db"
    connect(path).close()
    with sqlite3.connect(path) as older:
        older.execute("DROP TABLE clocks")
    older.close()
    world = World(path)
    assert world.gateway().now_ns() == WALL
    world.connection.close()
