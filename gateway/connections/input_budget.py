"""Input budget: the time that one turn of the loop spends on what sockets have brought in it."""

from __future__ import annotations

from typing import Final

from gateway.connections.ports import Clock
from gateway.connections.turn_time import TurnTime

INPUT_S: Final = 0.0005
"""Time of a turn for fresh input. The rest waits in the backlogs of its connections."""


class InputBudget(TurnTime):
    """Time of the present turn for fresh input, of all connections together.

    A caller that has much to handle looks at it every few frames. So a turn may exceed it by those of each connection.

    Args:
        clock: the time that is spent, and the end of the turn.

    Attributes:
        watched: whether something in this turn may have taken long: then each WebSocket message looks at the time.
    """

    __slots__ = ("watched",)

    def __init__(self, clock: Clock) -> None:
        super().__init__(clock, INPUT_S)
        self.watched = False

    def watch(self) -> None:
        """Have each message behind the present one, which may take long, look at the time."""
        self.spent()
        self.watched = True

    def _end_turn(self) -> None:
        super()._end_turn()
        self.watched = False
