"""Garbage collection: objects that have survived are not visited again, but once in a long time."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Iterator

import pytest

from gateway.server import garbage
from gateway.server.garbage import GarbageCollection


class Ring:
    """An object that refers to itself, so that reference counts do not free it."""

    def __init__(self) -> None:
        self.itself = self


@pytest.fixture
def collection(monkeypatch: pytest.MonkeyPatch) -> Iterator[GarbageCollection]:
    monkeypatch.setattr(garbage, "THOROUGH_EVERY", 3)
    collection = GarbageCollection()
    collection.start()
    yield collection
    collection.stop()
    gc.collect()


def is_there(ring: weakref.ref[Ring | None]) -> bool:
    return ring() is not None


@pytest.mark.usefixtures("collection")
def test_new_objects_are_collected() -> None:
    new: Ring | None = Ring()
    ring = weakref.ref(new)
    new = None
    gc.collect()
    assert not is_there(ring)


@pytest.mark.usefixtures("collection")
def test_objects_that_survive_are_spared_until_all_are_visited_again() -> None:
    old: Ring | None = Ring()
    ring = weakref.ref(old)
    gc.collect()
    assert gc.get_freeze_count()
    old = None
    gc.collect()
    assert is_there(ring)
    gc.collect()
    assert not gc.get_freeze_count()
    gc.collect()
    assert not is_there(ring)
    assert gc.get_freeze_count()


@pytest.mark.usefixtures("collection")
def test_young_collections_spare_nothing() -> None:
    frozen = gc.get_freeze_count()
    gc.collect(0)
    gc.collect(1)
    assert gc.get_freeze_count() == frozen


def test_what_is_stopped_leaves_everything_as_it_was() -> None:
    before, thresholds = list(gc.callbacks), gc.get_threshold()
    collection = GarbageCollection()
    collection.start()
    collection.stop()
    assert gc.callbacks == before
    assert gc.get_threshold() == thresholds
    assert not gc.get_freeze_count()
