"""Pool: numbers of connections, and who holds an inbox."""

from __future__ import annotations

from dataclasses import replace

import pytest

from gateway.connections.sessions import pool as pool_module
from gateway.connections.sessions.pool import Pool
from gateway.connections.sessions.session import Session
from tests.connections.memory import World


def session(pool: Pool, client_id: str) -> Session:
    """A session of a client, in the pool."""
    found = World().peer(client_id).session
    found.introduce(replace(found.peer, id=pool.next_peer()))
    pool.add(found)
    return found


def test_numbers_start_at_1_and_are_not_used_twice() -> None:
    pool = Pool()
    numbers = [session(pool, "a").peer.id for _ in range(3)]
    assert numbers == [1, 2, 3]
    found = pool.get(2)
    assert found is not None
    pool.remove(found)
    assert pool.get(2) is None
    assert pool.next_peer() == 4


def test_the_pool_may_change_while_it_is_walked_through() -> None:
    pool = Pool()
    for _ in range(3):
        session(pool, "a")
    for found in pool:
        pool.remove(found)
    assert not len(pool)


def test_who_stays_is_met_once_however_others_come_and_go_meanwhile(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pool_module, "BLOCK", 4)
    pool = Pool()
    sessions = [session(pool, f"client-{number}") for number in range(12)]
    gone = sessions[5:7] + sessions[8:12]
    met = []
    for number, found in enumerate(pool):
        met.append(found)
        if number == 2:
            for each in gone:
                pool.remove(each)
            session(pool, "late")
    stayed = [each for each in sessions if each not in gone]
    assert [each for each in met if each in stayed] == stayed
    assert not [each for each in met if each in gone]
    assert len(pool) == len(stayed) + 1
    assert len(list(pool)) == len(pool)


def test_an_inbox_is_held_by_who_opened_it_last() -> None:
    pool = Pool()
    first, second = session(pool, "a"), session(pool, "a")
    assert pool.inbox_of("a") is None
    pool.open_inbox(first)
    pool.open_inbox(second)
    assert pool.inbox_of("a") is second
    pool.close_inbox(first)
    pool.remove(first)
    assert pool.inbox_of("a") is second
    pool.close_inbox(second)
    pool.close_inbox(second)
    assert pool.inbox_of("a") is None


def test_a_client_is_found_by_the_connection_that_came_last() -> None:
    pool = Pool()
    first, second = session(pool, "a"), session(pool, "a")
    pool.introduce(first)
    pool.introduce(second)
    pool.remove(first)
    assert pool.newest_of("a") is second
    pool.remove(second)
    assert pool.newest_of("a") is None
