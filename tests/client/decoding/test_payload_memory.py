"""Memory is used again while messages follow each other closely, and given back when they do not."""

from __future__ import annotations

import asyncio
import weakref
from collections.abc import Iterator

import numpy as np
import pytest

from gateway.client.decoding import payload_memory
from gateway.client.decoding.payload_memory import MAX_KEPT_BYTES, PayloadMemory


def address(view: memoryview) -> int:
    return int(np.frombuffer(view, np.uint8).ctypes.data)


def holder_of(view: memoryview) -> weakref.ref[object]:
    """A reference that dies with the memory of a view."""
    return weakref.ref(view.obj)


def kept_by(memory: PayloadMemory) -> weakref.ref[object]:
    """Memory of a message that has come, and that the program has let go of."""
    piece = memory.take(1000)
    memory.keep(piece)
    return holder_of(piece)


@pytest.fixture
def memory() -> Iterator[PayloadMemory]:
    loop = asyncio.new_event_loop()
    yield PayloadMemory(loop, ())
    loop.close()


def test_memory_that_the_program_has_let_go_of_is_used_again(memory: PayloadMemory) -> None:
    first = memory.take(1000)
    there = address(first)
    memory.keep(first)
    assert address(memory.take(1000)) != there  # the program still has the first one
    del first
    assert address(memory.take(1000)) == there


def test_a_program_that_holds_each_message_until_the_next_needs_two_pieces(memory: PayloadMemory) -> None:
    places = set()
    held = memoryview(b"")
    for _ in range(10):
        arriving = memory.take(1000)
        places.add(address(arriving))
        memory.keep(arriving)
        held = arriving
        del arriving
    assert len(held) == 1000
    assert len(places) == 2


def test_only_two_pieces_are_kept(memory: PayloadMemory) -> None:
    pieces = [memory.take(1000) for _ in range(4)]
    holders = [holder_of(piece) for piece in pieces]
    while pieces:
        memory.keep(pieces.pop(0))
    assert [holder() is None for holder in holders] == [True, True, False, False]


def test_a_huge_payload_is_not_kept(memory: PayloadMemory) -> None:
    huge = memory.take(MAX_KEPT_BYTES + 1)
    memory.keep(huge)
    holder = holder_of(huge)
    del huge
    assert holder() is None


async def test_nothing_is_kept_for_long(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(payload_memory, "KEPT_S", 0.01)
    memory = PayloadMemory(asyncio.get_running_loop(), ())
    kept = kept_by(memory)
    assert kept() is not None
    gone = asyncio.Event()
    weakref.finalize(kept(), gone.set)
    await gone.wait()


async def test_nothing_is_kept_for_longer_while_another_message_is_on_its_way(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(payload_memory, "KEPT_S", 0.01)
    memory = PayloadMemory(asyncio.get_running_loop(), ["on its way"])
    kept = kept_by(memory)
    gone = asyncio.Event()
    weakref.finalize(kept(), gone.set)
    on_its_way = memory.take(100)
    await gone.wait()
    assert len(on_its_way) == 100


async def test_memory_that_the_program_has_is_known_as_long_as_messages_are_on_their_way(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(payload_memory, "KEPT_S", 0.01)
    memory = PayloadMemory(asyncio.get_running_loop(), ["on its way"])
    held = memory.take(1000)
    there, holder = address(held), holder_of(held)
    memory.keep(held)
    gone = asyncio.Event()
    weakref.finalize(kept_by(memory)(), gone.set)
    await gone.wait()
    del held
    assert holder() is not None
    assert address(memory.take(1000)) == there


def test_memory_of_another_size_is_given_back_before_there_is_more(memory: PayloadMemory) -> None:
    kept = kept_by(memory)
    memory.take(5000)
    assert kept() is None


def test_clearing_gives_back_what_is_not_in_use(memory: PayloadMemory) -> None:
    kept = kept_by(memory)
    memory.clear()
    assert kept() is None
