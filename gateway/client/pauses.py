"""Pauses before another attempt: of a client to connect, or of a message to be taken (``spec/client.md``)."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from typing import Final

from gateway.client.options import Backoff
from gateway.errors import Action

MOST_RETRY_AFTER_S: Final = 120.0
"""Longest time that a gateway can make a client wait."""


def pause_s(
    backoff: Backoff, action: Action, attempt: int, draw: Callable[[], float], retry_after_s: float | None = None
) -> float:
    """Return the seconds to wait before an attempt.

    Full jitter, so that clients which were cut off together come back at different times. The first attempt, number 0,
    waits between 0 and ``base_s``; the upper bound doubles with each attempt, up to ``cap_s``.

    Args:
        backoff: bounds on the wait.
        action: action that the close code asks for.
        attempt: number of attempts that have failed before.
        draw: returns random numbers from 0 up to 1.
        retry_after_s: time that the gateway has named, which takes the place of all but the least jitter: the gateway
            gives each client another; ``None``: it has named none.
    """
    if retry_after_s is not None:
        return min(retry_after_s, MOST_RETRY_AFTER_S) + draw() * backoff.base_s
    # Past 2**64 the bound has long been the cap; the exponent is bounded so that it stays a float.
    bound_s = min(backoff.cap_s, backoff.base_s * 2.0 ** min(attempt, 64))
    later_s = backoff.later_s if action is Action.RECONNECT_LATER else 0.0
    return later_s + draw() * bound_s


class Pauses:
    """Pauses of one queue after refusals; they grow until a message is taken that had been refused."""

    __slots__ = ("_refusals", "_refused_s", "_until_s")

    def __init__(self) -> None:
        self._refusals = 0
        self._refused_s = 0.0
        self._until_s: float | None = None

    @property
    def due(self) -> bool:
        """True if a pause has begun, and :meth:`wait` was not awaited since."""
        return self._until_s is not None

    def refused(self, backoff: Backoff, action: Action) -> None:
        """Begin a pause, unless one is due already.

        Args:
            backoff: bounds on the pause. Refusals that are further apart than twice its cap are not in a row.
            action: action that the code of the refusal asks for.
        """
        now_s = asyncio.get_running_loop().time()
        if now_s - self._refused_s >= 2 * backoff.cap_s:
            self._refusals = 0
        self._refused_s = now_s
        if self._until_s is None:
            self._until_s = now_s + pause_s(backoff, action, self._refusals, random.random)
            self._refusals += 1

    def taken(self) -> None:
        """Take note that a message was taken: the next pause is a short one."""
        self._refusals = 0

    async def wait(self) -> None:
        """Wait until the pause is over; returns at once if none is due."""
        if self._until_s is not None:
            await asyncio.sleep(self._until_s - asyncio.get_running_loop().time())
            self._until_s = None
