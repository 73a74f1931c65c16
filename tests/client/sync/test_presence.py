"""Tests presence without a loop, with a real gateway in a process of its own."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest

from gateway.client import sync
from gateway.errors import InvalidArgument, UsageError
from gateway.testing import GatewayProcess, running_gateway_process


@pytest.fixture(scope="module")
def gateway() -> Iterator[GatewayProcess]:
    """One gateway for all tests here; each has a scope of its own."""
    with running_gateway_process() as running:
        yield running


def test_two_clients_see_each_other(gateway: GatewayProcess) -> None:
    with (
        sync.connect(gateway.url, client_id="a") as one,
        sync.connect(gateway.url, client_id="b") as other,
        one.presence("wf", metadata={"role": "trainer"}) as mine,
    ):
        changes = mine.changes()
        assert next(changes).member.client_id == "a"
        with other.presence("wf", metadata={}) as theirs:
            assert (theirs.scope, theirs.count, set(theirs.members)) == ("wf", 2, {"a", "b"})
            assert next(changes).member.client_id == "b"
            theirs.update({"role": "evaluator"})
            assert next(changes).member.metadata == {"role": "evaluator"}
            theirs.set_awareness({"cursor": 1})
            assert next(changes).member.awareness == {"cursor": 1}
            with pytest.raises(InvalidArgument):
                theirs.set_awareness(7)  # type: ignore[arg-type]
        assert next(changes).kind == "left"
        with pytest.raises(UsageError):
            other.presence("wf", watch="count").changes()


def test_iterating_ends_when_another_thread_closes(gateway: GatewayProcess) -> None:
    with sync.connect(gateway.url, client_id="c") as client:
        presence = client.presence("wf-closed", metadata={})
        presence.start()
        found: list[str] = []

        def iterate() -> None:
            found.extend(change.member.client_id for change in presence.changes())

        thread = threading.Thread(target=iterate)
        changes = presence.changes()
        assert next(changes).member.client_id == "c"
        thread.start()
        presence.close()
        thread.join()
        assert list(changes) == []
        assert found in ([], ["c"])


def test_what_was_told_stays_when_the_client_is_closed(gateway: GatewayProcess) -> None:
    with sync.connect(gateway.url, client_id="d") as client:
        presence = client.presence("wf-left", metadata={})
        presence.start()
        changes = presence.changes()
    assert set(presence.members) == {"d"}
    assert [change.member.client_id for change in changes] == ["d"]
    presence.close()
