"""Program positions: how far one program is behind in each stream, as it reports (spec section 7.10)."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from heapq import nlargest
from typing import TypeAlias

from gateway.protocol.named_positions import remember
from gateway.protocol.signals import ProgramPosition

NextOffset: TypeAlias = Callable[[int], int | None]
"""Next offset of a stream that the connection receives, by its number; ``None``: it receives none such."""


class ProgramPositions:
    """Positions of one program in the streams in which it is behind.

    At most :data:`~gateway.protocol.wire.KNOWN_POSITIONS` are kept, those that were named last.

    Attributes:
        most_behind: messages, or versions of a state, that the program is behind in the stream where it is furthest.
    """

    __slots__ = ("_named", "_positions", "most_behind")

    def __init__(self) -> None:
        self._named: dict[int, ProgramPosition] = {}
        """Positions as the client knows them, by the number of the stream, the one named last at the end."""
        self._positions: list[ProgramPosition] = []
        """Positions that can be, in their bounds."""
        self.most_behind = 0

    def __len__(self) -> int:
        """Return the number of streams in which the program is behind."""
        return len(self._positions)

    def __iter__(self) -> Iterator[ProgramPosition]:
        return iter(self._positions)

    def take(self, named: Sequence[ProgramPosition], next_offset: NextOffset) -> None:
        """Take the positions of a report into account; those that cannot be are bounded, or left out.

        Args:
            named: positions that have changed. Without any nothing is done: such a report costs its sender little.
            next_offset: of the streams of the connection.
        """
        if not named:
            return
        remember(self._named, named)  # also those that are left out below
        self._positions = []
        for stream, position in self._named.items():
            end = next_offset(stream)
            behind = 0 if end is None else min(position.behind, end - position.offset)
            if behind > 0:
                self._positions.append(position._replace(behind=behind))
        self.most_behind = max([position.behind for position in self._positions], default=0)

    def furthest(self, limit: int) -> list[ProgramPosition]:
        """Return up to so many positions, that of the stream in which the program is furthest behind first."""
        return nlargest(limit, self._positions, key=lambda position: position.behind)
