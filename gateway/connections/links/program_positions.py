"""Program positions: how far one program is behind in each stream, as it reports (spec section 7.10)."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from heapq import nlargest
from itertools import islice
from typing import TypeAlias

from gateway.protocol.signals import ProgramPosition
from gateway.protocol.wire import KNOWN_POSITIONS

NextOffset: TypeAlias = Callable[[int], int | None]
"""Next offset of a stream that the connection receives, by its number; ``None``: it receives none such."""


class ProgramPositions:
    """Positions of one program in the streams in which it is behind.

    At most :data:`~gateway.protocol.wire.KNOWN_POSITIONS` are kept, those that were named last.

    Attributes:
        most_behind: messages, or versions of a state, that the program is behind in the stream where it is furthest.
    """

    __slots__ = ("_positions", "most_behind")

    def __init__(self) -> None:
        self._positions: dict[int, ProgramPosition] = {}
        """Positions by the number of the stream, the one named last at the end."""
        self.most_behind = 0

    def __len__(self) -> int:
        """Return the number of streams in which the program is behind."""
        return len(self._positions)

    def __iter__(self) -> Iterator[ProgramPosition]:
        return iter(self._positions.values())

    def take(self, named: Sequence[ProgramPosition], next_offset: NextOffset) -> None:
        """Take the positions of a report into account; those that cannot be are bounded, or left out.

        Args:
            named: positions that have changed. Without any nothing is done: such a report costs its sender little.
            next_offset: of the streams of the connection.
        """
        if not named:
            return
        positions = self._positions
        for position in named:
            positions.pop(position.stream, None)
            end = next_offset(position.stream)
            behind = 0 if end is None else min(position.behind, end - position.offset)
            if behind > 0:
                positions[position.stream] = position._replace(behind=behind)
        for stream in [stream for stream in positions if next_offset(stream) is None]:
            del positions[stream]
        for stream in list(islice(positions, max(0, len(positions) - KNOWN_POSITIONS))):
            del positions[stream]
        self.most_behind = max([position.behind for position in positions.values()], default=0)

    def furthest(self, limit: int) -> list[ProgramPosition]:
        """Return up to so many positions, that of the stream in which the program is furthest behind first."""
        return nlargest(limit, self._positions.values(), key=lambda position: position.behind)
