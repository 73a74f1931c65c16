"""Connection changes: whoever asks is told of each connection that has changed since, once."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from gateway.connections.lagging.connection_changes import ConnectionChanges


@given(st.lists(st.integers(0, 5)), st.integers(0, 40), st.integers(0, 6))
def test_those_that_have_changed_since_are_told_each_once(noted: list[int], count: int, most: int) -> None:
    changes: ConnectionChanges[int] = ConnectionChanges()
    for connection in noted:
        changes.add(connection)
    assert changes.count == len(noted)
    expected = set(noted[count:])
    found = changes.since(count, most)
    if len(expected) > most:
        assert found is None
    else:
        assert found is not None
        assert sorted(found) == sorted(expected)


def test_a_connection_that_is_gone_is_forgotten() -> None:
    changes: ConnectionChanges[str] = ConnectionChanges()
    for connection in ("one", "two"):
        changes.add(connection)
    changes.forget("one")
    assert changes.since(0, 9) == ["two"]
