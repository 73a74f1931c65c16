"""Items by size: the largest of many is found, and an item changes its size, in a time that does not depend on their
number.

Sizes are told apart by powers of two, so the largest is so but for a factor of two.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import Final, Generic, Protocol, TypeVar

ASIDE: Final = -1
OUT: Final = -2
"""Classes of an item that was set aside, or left out."""


class Sized(Protocol):
    """Item that has a size."""

    size_class: int
    """Number of bits of the size under which it was placed; 0: it is not there. Changed by :class:`BySize` only."""


S = TypeVar("S", bound=Sized)


class BySize(Generic[S]):
    """Items of sizes above 0."""

    __slots__ = ("_classes",)

    def __init__(self) -> None:
        self._classes: dict[int, OrderedDict[S, None]] = {}

    def place(self, item: S, size: int) -> None:
        """Place an item by its size, which may have changed; an item of size 0 is removed."""
        size_class = size.bit_length()
        if size_class != item.size_class:
            self._move(item, size_class)

    def remove(self, item: S) -> None:
        """Remove an item, if it is there."""
        self._move(item, 0)

    def set_aside(self, item: S) -> None:
        """Leave an item out until it is placed again, or :meth:`take_aside` returns it."""
        self._move(item, ASIDE)

    def leave_out(self, item: S) -> None:
        """Leave an item out until it is placed again."""
        self._move(item, OUT)

    def largest(self) -> S | None:
        """Return one of the largest items; those of about the same size take turns."""
        size_class = max(self._classes, default=0)
        if size_class <= 0:
            return None
        items = self._classes[size_class]
        item = next(iter(items))
        items.move_to_end(item)
        return item

    def take_aside(self) -> S | None:
        """Remove and return an item that was set aside; ``None`` if there is none."""
        items = self._classes.get(ASIDE)
        if items is None:
            return None
        item = next(iter(items))
        self._move(item, 0)
        return item

    def _move(self, item: S, size_class: int) -> None:
        before = item.size_class
        if before:
            items = self._classes[before]
            del items[item]
            if not items:
                del self._classes[before]
        item.size_class = size_class
        if size_class:
            self._classes.setdefault(size_class, OrderedDict())[item] = None
