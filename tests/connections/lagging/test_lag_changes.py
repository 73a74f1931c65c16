"""LagChanges: changes of lag, and of link tiers, with the connections that lag now."""

from __future__ import annotations

from gateway.connections.lagging.lag_changes import LagChanges


def test_a_connection_that_is_gone_is_forgotten() -> None:
    changes: LagChanges[str] = LagChanges()
    for connection in ("one", "two"):
        changes.note(connection, lagging=True)
        changes.tiers.add(connection)
    assert changes.lagging == {"one", "two"}
    changes.forget("one")
    changes.forget("never seen")
    assert changes.since(0, 9) == changes.tiers.since(0, 9) == ["two"]
    assert changes.count == 2
    assert changes.lagging == {"two"}
    changes.note("two", lagging=False)
    assert changes.lagging == set()
