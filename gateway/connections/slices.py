"""Slices: long work on the loop's thread, done bit by bit, so that sockets are served in between.

A turn of the loop spends at most :data:`SLICE_S` on all of it together, however many pieces of work there are, and
every piece gets its turn. So what one client causes costs the others a bounded delay, whatever it is.
"""

from __future__ import annotations

import logging
from collections import OrderedDict
from collections.abc import Callable, Iterator
from functools import partial
from typing import Final, TypeVar

from gateway.connections.ports import Clock
from gateway.connections.turn_time import TurnTime

logger = logging.getLogger(__name__)

SLICE_S: Final = 0.0005
"""Time that a turn of the loop spends on slices; the last step may exceed it. A message may wait for two turns."""

LET_GO_TOGETHER: Final = 100
"""Items that are freed in one step: some hundred microseconds."""

K = TypeVar("K")
V = TypeVar("V")

Step = Callable[[], bool]
"""One step of a piece of work, at most some hundred microseconds; returns whether there is more to do now."""


class Slices:
    """Pieces of work that have something to do, served in turn.

    Args:
        clock: the time that is spent, and the end of the turn.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        # The first of a dict is found behind all that were first before.
        self._steps: OrderedDict[Step, None] = OrderedDict()
        """Next step of each piece of work; the first one is taken next."""
        self._scheduled = False
        self._first_steps = TurnTime(clock, SLICE_S)

    @property
    def idle(self) -> bool:
        """Whether there is nothing to do."""
        return not self._steps

    def add(self, step: Step) -> None:
        """Take steps of a piece of work from the next turn of the loop on, until one returns False.

        Does nothing for a piece that is being done already. A piece that has to wait for something, for example for a
        transport that drains, returns False, and is added again when it can go on.

        Args:
            step: takes the next step. An exception is logged, and ends the work.
        """
        self._steps.setdefault(step)
        if not self._scheduled:
            self._scheduled = True
            self._clock.call_soon(self._run)

    def begin(self, step: Step) -> None:
        """Do a piece of work as :meth:`add` does, but take its first step at once if the turn has time for that.

        A turn has :data:`SLICE_S` for all such steps together. An exception of that step is for the caller.
        """
        if step not in self._steps and (self._first_steps.spent() or step()):
            self.add(step)

    def let_go(self, items: dict[K, V]) -> None:
        """Remove all items of a dict that nobody needs any more, bit by bit if there are many."""
        if len(items) > LET_GO_TOGETHER:
            self.add(partial(let_go, items))

    def drop(self, step: Step) -> None:
        """Take no further step of a piece of work, which is not the one that is being taken."""
        self._steps.pop(step, None)

    def _run(self) -> None:
        steps, clock = self._steps, self._clock
        end_s = clock.monotonic_s() + SLICE_S
        while steps:
            # Taken out first: the step may have the work added again, and then it goes on.
            step, _ = steps.popitem(last=False)
            try:
                more = step()
            except Exception:
                logger.exception("a step of long work failed; the rest of that work is given up")
                more = False
            if more:
                steps.setdefault(step)
            if clock.monotonic_s() >= end_s:
                break
        self._scheduled = bool(steps)
        if steps:
            clock.call_soon(self._run)


def step_of(work: Iterator[None], together: int = 1) -> Step:
    """Return the step function of a piece of work that yields where it may be interrupted.

    Args:
        work: the piece of work.
        together: parts between two interruptions that are done in one step.
    """
    over = object()
    return lambda: all(next(work, over) is not over for _ in range(together))


def let_go(items: dict[K, V]) -> bool:
    """Take a step of removing all items of a dict, which take long to be freed if there are very many.

    Returns:
        Whether there are more.
    """
    for _ in range(min(LET_GO_TOGETHER, len(items))):
        items.popitem()
    return bool(items)
