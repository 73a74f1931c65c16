"""Turn time: a share of the present turn of the loop, for all work of one kind together."""

from __future__ import annotations

from gateway.connections.ports import Clock


class TurnTime:
    """Time of the present turn for work of one kind. It begins with the first look, and is new in each turn.

    Args:
        clock: the time that is spent, and the end of the turn.
        seconds: the time of a turn.
    """

    __slots__ = ("_begun", "_clock", "_end_s", "_seconds")

    def __init__(self, clock: Clock, seconds: float) -> None:
        self._clock = clock
        self._seconds = seconds
        self._begun = False
        self._end_s = 0.0

    @property
    def begun(self) -> bool:
        """Whether there was a look in this turn."""
        return self._begun

    def spent(self) -> bool:
        """Return whether the time of this turn is over; it begins with the first call."""
        now_s = self._clock.monotonic_s()
        if self._begun:
            return now_s >= self._end_s
        self._begun = True
        self._end_s = now_s + self._seconds
        self._clock.call_soon(self._end_turn)
        return False

    def _end_turn(self) -> None:
        self._begun = False
