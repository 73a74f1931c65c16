"""Deadlines of many items, looked at by one sweep, so that no item needs a timer of its own."""

from __future__ import annotations

from typing import Generic, TypeVar

T = TypeVar("T")

GRAIN_NS = 50_000_000
"""Width of the buckets that deadlines are kept in. No deadline is reported before it has passed."""


class Deadlines(Generic[T]):
    """Items with their deadlines; each item at most once."""

    def __init__(self) -> None:
        self._grains: dict[int, dict[T, int]] = {}

    def __len__(self) -> int:
        return sum([len(items) for items in self._grains.values()])

    def add(self, item: T, deadline_ns: int) -> None:
        """Add an item with its deadline, Unix time in ns."""
        self._grains.setdefault(deadline_ns // GRAIN_NS, {})[item] = deadline_ns

    def discard(self, item: T, deadline_ns: int) -> None:
        """Remove an item, if it stands here with this deadline."""
        items = self._grains.get(deadline_ns // GRAIN_NS)
        if items is not None:
            items.pop(item, None)
            if not items:
                del self._grains[deadline_ns // GRAIN_NS]

    def take_due(self, now_ns: int) -> list[T]:
        """Remove and return the items that are past their deadlines, the earliest first."""
        last = now_ns // GRAIN_NS
        due: list[tuple[int, T]] = []
        for grain in [grain for grain in self._grains if grain <= last]:
            due += [(deadline_ns, item) for item, deadline_ns in self._grains[grain].items() if deadline_ns <= now_ns]
        for deadline_ns, item in due:
            self.discard(item, deadline_ns)
        due.sort(key=lambda pair: pair[0])
        return [item for _, item in due]
