"""Schedule of views: only so many are computed at a time as keep the threads busy.

A view that waits for its turn holds what its queue holds: of a ``state`` the newest version, which all views of the
stream share. So thousands of views of one stream do not keep as many of its old versions, or as many results.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Final

AT_ONCE: Final = 4
"""Views that are computed at a time: two for each thread of a gateway with two, so that none waits for the loop."""

Begin = Callable[[], bool]
"""Function that begins to compute a view; returns False if there is nothing to compute any more."""


class ViewTurns:
    """Schedule of the computations of all views, first come, first served."""

    __slots__ = ("_running", "_waiting")

    def __init__(self) -> None:
        self._running = 0
        self._waiting: deque[Begin] = deque()

    def ask(self, begin: Begin) -> None:
        """Begin when it is the view's turn, at once if that is now; :meth:`end` follows when the view is computed."""
        self._waiting.append(begin)
        self._next()

    def end(self) -> None:
        """Let the next view have its turn."""
        self._running -= 1
        self._next()

    def _next(self) -> None:
        while self._waiting and self._running < AT_ONCE:
            self._running += 1
            if not self._waiting.popleft()():
                self._running -= 1
