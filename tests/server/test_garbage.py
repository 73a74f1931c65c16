"""Garbage collection: nobody is held up by one; what is new and not much is visited when somebody asks for it."""

from __future__ import annotations

import asyncio
import gc
import sys
import weakref
from collections.abc import Iterator

import pytest

from gateway.server import garbage
from gateway.server.garbage import GarbageCollection
from tests.integration.peer import until


class Ring:
    """An object that refers to itself, so that reference counts do not free it."""

    def __init__(self) -> None:
        self.itself = self


@pytest.fixture
def collection(monkeypatch: pytest.MonkeyPatch) -> Iterator[GarbageCollection]:
    monkeypatch.setattr(garbage, "LONGEST_S", 60.0)
    collection = GarbageCollection()
    collection.start()
    collection.spare()
    yield collection
    collection.stop()
    gc.unfreeze()
    gc.collect()


def lost_ring() -> weakref.ref[Ring]:
    return weakref.ref(Ring())


def test_nothing_is_collected_that_nobody_asks_for(collection: GarbageCollection) -> None:
    ring = lost_ring()
    assert len([Ring() for _ in range(2000)]) == 2000
    assert ring() is not None
    collection.collect()
    assert ring() is None


def test_objects_that_survive_are_not_visited_again(collection: GarbageCollection) -> None:
    before = gc.get_freeze_count()
    old: Ring | None = Ring()
    ring = weakref.ref(old)
    collection.collect()
    assert gc.get_freeze_count() > before
    old = None
    collection.collect()
    assert ring() is not None


def test_if_very_many_are_new_none_is_visited(collection: GarbageCollection, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(garbage, "MAX_NEW_BLOCKS", 1000)
    ring, many = lost_ring(), [Ring() for _ in range(2000)]
    collection.collect()
    assert ring() is not None
    ring = lost_ring()
    collection.collect()
    assert ring() is None
    assert len(many) == 2000


def test_very_many_are_seen_also_if_as_many_have_gone(
    collection: GarbageCollection, monkeypatch: pytest.MonkeyPatch
) -> None:
    old = [bytes(100) for _ in range(3000)]
    collection.spare()
    monkeypatch.setattr(garbage, "MAX_NEW_BLOCKS", 1000)
    ring, many = lost_ring(), [Ring() for _ in range(1500)]
    del old
    collection.collect()
    assert ring() is not None
    assert len(many) == 1500


def test_after_one_that_took_long_the_next_ones_are_left_out(
    collection: GarbageCollection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(garbage, "RESTS", 2)
    monkeypatch.setattr(garbage, "LONGEST_S", -1.0)
    collection.collect()
    monkeypatch.setattr(garbage, "LONGEST_S", 60.0)
    ring, frozen = lost_ring(), gc.get_freeze_count()
    for _ in range(2):
        collection.collect()
        assert ring() is not None
    assert gc.get_freeze_count() == frozen
    collection.collect()
    assert ring() is None


def kept_tuples() -> int:
    """Return how many freed tuples Python has kept for 2,000 new ones, which it keeps then."""
    before = sys.getallocatedblocks()
    new = [(each,) for each in [None] * 2000]
    return len(new) - (sys.getallocatedblocks() - before)


@pytest.mark.parametrize("rests", [0, 2])
def test_freed_objects_are_dropped_also_if_no_object_is_visited(
    collection: GarbageCollection, monkeypatch: pytest.MonkeyPatch, rests: int
) -> None:
    monkeypatch.setattr(garbage, "RESTS", rests)
    monkeypatch.setattr(garbage, "LONGEST_S", -1.0)
    collection.collect()
    monkeypatch.setattr(garbage, "MAX_NEW_BLOCKS", -1)
    kept_tuples()
    assert kept_tuples() > 1900
    ring = lost_ring()
    collection.drop_freed_objects()
    assert ring() is not None
    assert kept_tuples() < 100


async def test_a_gateway_that_is_never_calm_collects_now_and_then(
    collection: GarbageCollection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(garbage, "INTERVAL_S", 0.001)
    collecting = asyncio.create_task(collection.collect_regularly())
    ring = lost_ring()
    await until(lambda: ring() is None)
    collecting.cancel()


def test_what_is_stopped_collects_as_before() -> None:
    enabled = gc.isenabled()
    collection = GarbageCollection()
    collection.start()
    assert not gc.isenabled()
    collection.stop()
    assert gc.isenabled() == enabled
