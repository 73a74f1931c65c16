"""Large messages begin in the order in which they ask, within a number and a sum of bytes."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from gateway.client.sending.transfer_room import TransferRoom


class Transfers:
    """Several that want room, each a task that stays until it is told to go."""

    def __init__(self) -> None:
        self.room = TransferRoom(10)
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self.inside: list[str] = []

    async def ask(self, name: str, size: int) -> None:
        async def stay() -> None:
            async with self.room.taken(size):
                self.inside.append(name)
                try:
                    await asyncio.Event().wait()
                finally:
                    self.inside.remove(name)

        self._tasks[name] = asyncio.get_running_loop().create_task(stay())
        await asyncio.sleep(0)

    async def go(self, name: str) -> None:
        """One leaves, or gives up waiting."""
        task = self._tasks.pop(name)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await asyncio.sleep(0)

    async def go_all(self) -> None:
        for name in list(self._tasks):
            await self.go(name)


@pytest.fixture
async def transfers() -> AsyncIterator[Transfers]:
    """Transfers that all have left when the test ends."""
    transfers = Transfers()
    yield transfers
    await transfers.go_all()


async def test_only_so_many_are_inside(transfers: Transfers) -> None:
    transfers.room = TransferRoom(2)
    for name in "abc":
        await transfers.ask(name, 10)
    assert transfers.inside == ["a", "b"]
    await transfers.go("a")
    assert transfers.inside == ["b", "c"]


async def test_their_bytes_are_bounded_and_one_alone_may_be_larger(transfers: Transfers) -> None:
    transfers.room.max_bytes = 100
    await transfers.ask("huge", 500)
    await transfers.ask("a", 60)
    await transfers.ask("b", 60)
    assert transfers.inside == ["huge"]
    await transfers.go("huge")
    assert transfers.inside == ["a"]
    await transfers.go("a")
    assert transfers.inside == ["b"]


async def test_a_small_one_does_not_pass_a_large_one(transfers: Transfers) -> None:
    transfers.room.max_bytes = 100
    await transfers.ask("a", 80)
    await transfers.ask("large", 90)
    await transfers.ask("small", 10)
    assert transfers.inside == ["a"]
    await transfers.go("a")
    assert transfers.inside == ["large", "small"]


async def test_one_that_gives_up_waiting_lets_those_behind_it_pass(transfers: Transfers) -> None:
    transfers.room.max_bytes = 100
    await transfers.ask("a", 80)
    await transfers.ask("large", 90)
    await transfers.ask("small", 10)
    await transfers.go("large")
    assert transfers.inside == ["a", "small"]


async def test_one_that_gives_up_at_the_moment_of_its_turn_takes_nothing(transfers: Transfers) -> None:
    transfers.room = TransferRoom(1)
    for name in "abc":
        await transfers.ask(name, 1)
    first, second = transfers._tasks.pop("a"), transfers._tasks.pop("b")
    first.cancel()
    await asyncio.wait([first])  # which gives b its turn, before b has run
    second.cancel()
    await asyncio.wait([second])
    await asyncio.sleep(0)
    assert transfers.inside == ["c"]
