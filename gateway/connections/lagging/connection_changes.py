"""Connection changes: connections of which something has changed, the newest last, for delivery classes to ask."""

from __future__ import annotations

from typing import Generic, TypeVar

C = TypeVar("C")


class ConnectionChanges(Generic[C]):
    """Connections in the order of their newest changes, each once.

    Attributes:
        count: number of changes so far.
    """

    __slots__ = ("_changed", "count")

    def __init__(self) -> None:
        self.count = 0
        self._changed: dict[C, int] = {}
        """Number of the newest change of each connection; the newest one last."""

    def add(self, connection: C) -> None:
        """Note a change of a connection."""
        self.count += 1
        self._changed.pop(connection, None)
        self._changed[connection] = self.count

    def forget(self, connection: C) -> None:
        """Forget a connection that is gone."""
        self._changed.pop(connection, None)

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
