"""Timer wheel: entries that come due at some tick, for any number of them without a timer or an object for each.

Pure: the caller lets the ticks pass. An entry takes 8 bytes beside itself. It stays until its tick: the caller knows
whether an entry that is due still matters.
"""

from __future__ import annotations

from typing import Final, Generic, TypeVar

T = TypeVar("T")

GOLDEN: Final = (5**0.5 - 1) / 2
"""Step from one place in a span to the next: however many follow each other, they are spread evenly."""


class TimerWheel(Generic[T]):
    """Entries by the tick at which they come due.

    Args:
        ticks: number of ticks that can be told apart: an entry comes due before so many have passed.
    """

    def __init__(self, ticks: int) -> None:
        self._slots: list[list[T]] = [[] for _ in range(ticks)]
        self._now = 0
        self._count = 0
        self._place = 0.0
        """Place of the last entry in its span, from 0 to 1."""

    def __len__(self) -> int:
        return self._count

    def add(self, entry: T, earliest: int, latest: int) -> None:
        """Have an entry come due between two ticks: entries that are added together are spread over them.

        In whatever order entries are added, no tick has more of them than all entries divided by the ticks of the span,
        and one.

        Args:
            entry: what :meth:`turn` returns.
            earliest: number of ticks from now, at least 1.
            latest: the same, not below ``earliest``, and below the number of ticks of the wheel.
        """
        slots, size, now = self._slots, len(self._slots), self._now
        ticks = latest - earliest + 1
        self._place = (self._place + GOLDEN) % 1.0
        slot = slots[(now + earliest + int(self._place * ticks)) % size]
        if len(slot) > self._count // ticks:
            slot = min([slots[(now + tick) % size] for tick in range(earliest, latest + 1)], key=len)
        slot.append(entry)
        self._count += 1

    def turn(self) -> list[T]:
        """Let a tick pass; return the entries that are due, which the wheel forgets."""
        self._now = (self._now + 1) % len(self._slots)
        slot = self._slots[self._now]
        due = slot.copy()
        # The list stays: a new one in its place would come to lie among what a flood brings, and keep a megabyte each.
        slot.clear()
        self._count -= len(due)
        return due
