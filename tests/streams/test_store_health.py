"""StoreHealth: a store fails for a reason."""

from __future__ import annotations

from gateway.streams.store_health import NO_STORE, StoreHealth


def test_a_store_that_has_a_problem_is_failing() -> None:
    assert StoreHealth("the disk is full", 1, 0).failing
    assert not StoreHealth(None, 1, 3).failing
    assert not NO_STORE.failing
