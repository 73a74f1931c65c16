"""Input budget: the time that one turn of the loop spends on what sockets have brought in it."""

from __future__ import annotations

from typing import Final

from gateway.connections.ports import Clock

INPUT_S: Final = 0.0005
"""Time of a turn for fresh input. The rest waits in the backlogs of its connections."""


class InputBudget:
    """Time of the present turn for fresh input, of all connections together.

    A caller that has much to handle looks at it every few frames. So a turn may exceed it by those of each connection.

    Args:
        clock: the time that is spent, and the end of the turn.

    Attributes:
        watched: whether something in this turn may have taken long: then each WebSocket message looks at the time.
    """

    __slots__ = ("_begun", "_clock", "_end_s", "watched")

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._begun = False
        self._end_s = 0.0
        self.watched = False

    def watch(self) -> None:
        """Have each message behind the present one, which may take long, look at the time."""
        self.spent()
        self.watched = True

    def spent(self) -> bool:
        """Return whether the time of this turn is over; it begins with the first call."""
        now_s = self._clock.monotonic_s()
        if self._begun:
            return now_s >= self._end_s
        self._begun = True
        self._end_s = now_s + INPUT_S
        self._clock.call_soon(self._end_turn)
        return False

    def _end_turn(self) -> None:
        self._begun = self.watched = False
