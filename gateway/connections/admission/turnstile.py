"""Turnstile: lets so many clients pass in a second, and tells each of the others when to return."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

LEAST_RETURN_S: Final = 0.1
"""Shortest time after which a client is to return."""

MOST_RETURN_S: Final = 60.0
"""Longest time after which a client is to return."""

PROMISED_SHARE: Final = 0.8
"""Part of the rate that is promised to clients which return; the rest is for those that come meanwhile."""

_ROUNDING: Final = 1e-6
"""Part of a token that sums of floats may lack."""


class Turnstile:
    """Token bucket, and behind it a line of clients that are to return, one behind the other.

    The bucket is one number, the time at which it is full again; the line is another, the time at which the last client
    of it is to return.

    Args:
        per_s: clients that may pass in a second; above 0.
        burst: clients that may pass at once, when none has for a while.
        draw: returns random numbers from 0 up to 1.
    """

    __slots__ = ("_burst", "_draw", "_full_s", "_interval_s", "_line_end_s")

    def __init__(self, per_s: float, burst: int, draw: Callable[[], float]) -> None:
        self._interval_s = 1.0 / per_s
        self._burst = burst
        self._draw = draw
        self._full_s = self._line_end_s = float("-inf")

    def take(self, now_s: float, reserved: int = 0) -> bool:
        """Return whether a client passes now, and take its token if so.

        Args:
            now_s: time; never earlier than at the last call.
            reserved: tokens that are not for this client.
        """
        full_s = max(self._full_s, now_s) + self._interval_s
        if full_s - now_s > (self._burst - reserved + _ROUNDING) * self._interval_s:
            return False
        self._full_s = full_s
        return True

    def return_after_s(self, now_s: float) -> float:
        """Return the seconds after which a client that may not pass now is to return, and keep its place in the line.

        Clients that were refused return one by one, somewhat slower than clients may pass, so that they pass then. A
        line of more than :data:`MOST_RETURN_S` is not made longer: the rest is spread over the second half of that
        time.
        """
        place_s = self._interval_s / PROMISED_SHARE
        begin_s = max(self._line_end_s, now_s + LEAST_RETURN_S)
        end_s = begin_s + place_s
        if end_s - now_s > MOST_RETURN_S:
            return MOST_RETURN_S * (1.0 + self._draw()) / 2.0
        self._line_end_s = end_s
        return begin_s - now_s + self._draw() * place_s
