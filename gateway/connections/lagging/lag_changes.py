"""Lag changes: the connections that have fallen behind or caught up, the newest last.

A connection has thousands of delivery classes, and may fall behind and catch up many times a second. So it tells none
of them: it is noted here once, and a class that is about to write asks for those that were noted since it asked last.
"""

from __future__ import annotations

from typing import Generic, TypeVar

C = TypeVar("C")


class LagChanges(Generic[C]):
    """Connections in the order of their newest changes, each once.

    Attributes:
        count: number of changes so far.
        lagging: the connections that have fallen behind, and have not caught up.
    """

    __slots__ = ("_changed", "count", "lagging")

    def __init__(self) -> None:
        self.count = 0
        self.lagging: set[C] = set()
        self._changed: dict[C, int] = {}
        """Number of the newest change of each connection; the newest one last."""

    def note(self, connection: C, *, lagging: bool) -> None:
        """Note that a connection has fallen behind, has caught up, or has lost its transport.

        Args:
            connection: the connection.
            lagging: whether it lags now.
        """
        self.count += 1
        if lagging:
            self.lagging.add(connection)
        else:
            self.lagging.discard(connection)
        self._changed.pop(connection, None)
        self._changed[connection] = self.count

    def forget(self, connection: C) -> None:
        """Forget a connection that is gone."""
        self._changed.pop(connection, None)
        self.lagging.discard(connection)

    def since(self, count: int, most: int) -> list[C] | None:
        """Return the connections that have changed since there were ``count`` changes.

        Returns:
            ``None`` if there are more than ``most``.
        """
        found: list[C] = []
        for connection, number in reversed(self._changed.items()):
            if number <= count:
                break
            if len(found) == most:
                return None
            found.append(connection)
        return found
