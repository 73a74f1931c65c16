"""Opened: what ``async with`` and ``with`` open is closed at the end, whatever ends the block."""

from __future__ import annotations

import pytest

from gateway.client import Inbox, Presence, Subscription, sync
from gateway.client.opened import AsyncOpened, Opened


class AsyncDoor(AsyncOpened):
    def __init__(self, fault: Exception | None = None) -> None:
        self.calls: list[str] = []
        self._fault = fault

    async def start(self) -> None:
        self.calls.append("start")

    async def close(self) -> None:
        self.calls.append("close")
        if self._fault is not None:
            raise self._fault


class Door(Opened):
    def __init__(self, fault: Exception | None = None) -> None:
        self.calls: list[str] = []
        self._fault = fault

    def start(self) -> None:
        self.calls.append("start")

    def close(self) -> None:
        self.calls.append("close")
        if self._fault is not None:
            raise self._fault


@pytest.mark.parametrize("kind", [Inbox, Presence, Subscription])
def test_it_is_the_same_for_all_that_a_block_opens(kind: type) -> None:
    blocking = getattr(sync, kind.__name__)
    assert kind.__dict__.keys().isdisjoint({"__aenter__", "__aexit__"})
    assert blocking.__dict__.keys().isdisjoint({"__enter__", "__exit__"})
    assert issubclass(kind, AsyncOpened)
    assert issubclass(blocking, Opened)


async def test_a_block_opens_and_closes() -> None:
    async with AsyncDoor() as door:
        assert door.calls == ["start"]
    with Door() as blocking:
        assert blocking.calls == ["start"]
    assert door.calls == blocking.calls == ["start", "close"]


async def test_a_failure_to_close_is_raised() -> None:
    with pytest.raises(OSError, match="stuck"):
        async with AsyncDoor(OSError("stuck")):
            pass
    with pytest.raises(OSError, match="stuck"), Door(OSError("stuck")):
        pass


async def test_a_failure_to_close_does_not_hide_the_error_that_ends_the_block() -> None:
    with pytest.raises(KeyError):
        async with AsyncDoor(OSError("stuck")):
            raise KeyError
    with pytest.raises(KeyError), Door(OSError("stuck")):
        raise KeyError
