"""Invariant: levels grow with what a message outlives, and a level that is not known promises nothing."""

from __future__ import annotations

from gateway.protocol.durability import Durability


def test_levels_are_read_as_they_were_written() -> None:
    assert [Durability.of_level(durability.level) for durability in Durability] == list(Durability)
    assert [durability.level for durability in Durability] == [0, 1, 2]


def test_an_unknown_level_promises_nothing() -> None:
    assert Durability.of_level(3) is Durability.MEMORY
