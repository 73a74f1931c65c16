"""Garbage collection: nobody is held up by one; what is new and not much is visited when somebody asks for it."""

from __future__ import annotations

import asyncio
import gc
import weakref
from collections.abc import Iterator

import pytest

from gateway.server import garbage
from gateway.server.garbage import GarbageCollection, collect_regularly
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
    gc.collect()


def lost_ring() -> weakref.ref[Ring]:
    return weakref.ref(Ring())


@pytest.mark.usefixtures("collection")
def test_nothing_is_collected_that_nobody_asks_for() -> None:
    ring = lost_ring()
    assert len([Ring() for _ in range(2000)]) == 2000
    assert ring() is not None
    gc.collect()
    assert ring() is None


@pytest.mark.usefixtures("collection")
def test_objects_that_survive_are_not_visited_again() -> None:
    before = gc.get_freeze_count()
    old: Ring | None = Ring()
    ring = weakref.ref(old)
    gc.collect()
    assert gc.get_freeze_count() > before
    old = None
    gc.collect()
    assert ring() is not None


@pytest.mark.usefixtures("collection")
def test_if_very_many_are_new_none_is_visited(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(garbage, "MAX_NEW_BLOCKS", 1000)
    ring, many = lost_ring(), [Ring() for _ in range(2000)]
    gc.collect()
    assert ring() is not None
    ring = lost_ring()
    gc.collect()
    assert ring() is None
    assert len(many) == 2000


@pytest.mark.usefixtures("collection")
def test_after_one_that_took_long_the_next_ones_visit_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(garbage, "RESTS", 2)
    monkeypatch.setattr(garbage, "LONGEST_S", -1.0)
    gc.collect()
    monkeypatch.setattr(garbage, "LONGEST_S", 60.0)
    for _ in range(2):
        ring = lost_ring()
        gc.collect()
        assert ring() is not None
    ring = lost_ring()
    gc.collect()
    assert ring() is None


@pytest.mark.usefixtures("collection")
def test_young_collections_spare_nothing() -> None:
    frozen = gc.get_freeze_count()
    gc.collect(0)
    gc.collect(1)
    assert gc.get_freeze_count() == frozen


@pytest.mark.usefixtures("collection")
async def test_a_gateway_that_is_never_calm_collects_now_and_then(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(garbage, "INTERVAL_S", 0.001)
    collecting = asyncio.create_task(collect_regularly())
    ring = lost_ring()
    await until(lambda: ring() is None)
    collecting.cancel()


def test_what_is_stopped_leaves_everything_as_it_was() -> None:
    before, enabled = list(gc.callbacks), gc.isenabled()
    collection = GarbageCollection()
    collection.start()
    assert not gc.isenabled()
    collection.stop()
    assert gc.callbacks == before
    assert gc.isenabled() == enabled
    assert not gc.get_freeze_count()
