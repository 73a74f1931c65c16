"""Shrinking: tables that are built anew once few of their entries are left.

Python keeps the room of entries that are deleted from a dict until others are added: some 100 bytes each, megabytes
behind a flood of streams.
"""

from __future__ import annotations

from typing import Any, Final

SPARSE: Final = 8
"""A table is built anew once it has less than one in so many of the entries that it had."""

SMALL: Final = 1024
"""Entries up to which the room of a table is not worth it."""


class Shrinking:
    """Watch over tables whose entries come and go together.

    Args:
        tables: the tables, of which the first has the most entries; they keep their order.
    """

    __slots__ = ("_most", "_tables")

    def __init__(self, *tables: dict[Any, Any]) -> None:
        self._tables = tables
        self._most = SMALL
        """Entries for which the tables have room."""

    def note(self) -> None:
        """Build the tables anew if few of their entries are left: to be called when one has gone.

        One in :data:`SPARSE` of the deletions pays for it. Iterators over the tables end.
        """
        entries = len(self._tables[0])
        if entries >= self._most:
            self._most = entries + 1
        elif entries * SPARSE < self._most and self._most > SMALL:
            self._most = max(entries, SMALL)
            for table in self._tables:
                kept = list(table.items())
                table.clear()
                table.update(kept)
