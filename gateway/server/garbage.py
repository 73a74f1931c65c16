"""Garbage collection of a process with millions of objects, without pauses.

A full collection visits every object, and the gateway stands still meanwhile: a second with 100,000 streams. A
collection of new objects only is not short either: Python counts the objects that come less those that go, so that a
client which returns to 100,000 streams made one of 190 ms (CPython 3.11, November 2026).

Objects of the gateway go by reference counts. So only those are visited, now and then, that have come since the last
time, and only if they are few: some milliseconds for the cycles that libraries leave behind. Among very many new
objects cycles stay, and would pile up if a peer could make them again and again:
``tests/integration/test_cycles.py`` looks for them in what hostile clients leave.
"""

from __future__ import annotations

import asyncio
import gc
import sys
import time
from collections.abc import Mapping
from typing import Final

MAX_NEW_BLOCKS: Final = 20_000
"""Blocks of memory that have come since the last collection, up to which new objects are visited, in some 3 ms."""

LONGEST_S: Final = 0.005
"""Time of a collection; after one that took longer the next :data:`RESTS` visit nothing.

New objects may be very many although blocks are not: those of states that are replaced all the time.
"""

RESTS: Final = 60
"""Collections that visit nothing after one that took long."""

INTERVAL_S: Final = 10.0
"""Interval of collections while the gateway works."""

_OLDEST: Final = 2


class GarbageCollection:
    """Full collections by those who ask for one, which visit new objects only, and only if they are few.

    For the whole process.
    """

    def __init__(self) -> None:
        self._spared_blocks = 0
        """Blocks of memory when all objects were spared."""
        self._was_enabled = gc.isenabled()
        self._begun_s = 0.0
        """Time at which the present collection has begun."""
        self._rests = 0
        """Collections that are still to visit nothing."""

    def start(self) -> None:
        """Have no collections from now on that nobody asks for."""
        gc.disable()
        gc.callbacks.append(self._collecting)

    def spare(self) -> None:
        """Spare all objects of now: most of them live as long as the process."""
        gc.freeze()
        self._spared_blocks = sys.getallocatedblocks()

    def stop(self) -> None:
        """Have collections visit all objects again."""
        gc.callbacks.remove(self._collecting)
        gc.unfreeze()
        if self._was_enabled:
            gc.enable()

    def _collecting(self, phase: str, info: Mapping[str, int]) -> None:
        if info["generation"] != _OLDEST:
            return
        if phase == "start":
            if self._rests or sys.getallocatedblocks() - self._spared_blocks > MAX_NEW_BLOCKS:
                self._rests = max(0, self._rests - 1)
                self.spare()
            self._begun_s = time.monotonic()
            return
        if time.monotonic() - self._begun_s > LONGEST_S:
            self._rests = RESTS
        self.spare()


async def collect_regularly() -> None:
    """Ask for a collection now and then, as long as the task lives."""
    while True:
        await asyncio.sleep(INTERVAL_S)
        gc.collect()
