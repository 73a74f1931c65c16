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
from typing import Final

MAX_NEW_BLOCKS: Final = 20_000
"""Blocks of memory, and objects, that have come since the last collection and are visited, in some 3 ms."""

LONGEST_S: Final = 0.005
"""Time of a collection; after one that took longer the next :data:`RESTS` are left out.

New objects may be very many although their number has hardly grown: those of states that are replaced all the time.
"""

RESTS: Final = 60
"""Collections that are left out after one that took long."""

INTERVAL_S: Final = 10.0
"""Interval of collections while the gateway works."""


class GarbageCollection:
    """Collections by those who ask for one, which visit new objects only, and only if they are few.

    For the whole process.
    """

    def __init__(self) -> None:
        self._spared_blocks = 0
        """Blocks of memory when all objects were spared."""
        self._was_enabled = gc.isenabled()
        self._rests = 0
        """Collections that are still to be left out."""

    def start(self) -> None:
        """Have no collections from now on that nobody asks for."""
        gc.disable()

    def spare(self) -> None:
        """Spare all objects of now: most of them live as long as the process."""
        gc.freeze()
        self._spared_blocks = sys.getallocatedblocks()

    def stop(self) -> None:
        """Have collections come by themselves again.

        Spared objects stay so: the end of the process would visit them all.
        """
        if self._was_enabled:
            gc.enable()

    def collect(self) -> None:
        """Free cycles among the objects that are new, or spare these if they are very many."""
        if self._rests:
            self._rests -= 1
            return
        new_blocks = sys.getallocatedblocks() - self._spared_blocks
        # Blocks alone do not show as many objects that have come while others went.
        if max(new_blocks, gc.get_count()[0]) <= MAX_NEW_BLOCKS:
            begun_s = time.monotonic()
            gc.collect()
            if time.monotonic() - begun_s > LONGEST_S:
                self._rests = RESTS
        self.spare()

    def drop_freed_objects(self) -> None:
        """Collect, and drop the freed tuples, lists and floats that Python keeps for the next ones: thousands.

        A full collection drops them, and nothing else does. So it comes also if very many objects are new, or the last
        one took long: then all objects are spared before, and it visits none.
        """
        self.collect()
        self.spare()
        gc.collect()

    async def collect_regularly(self) -> None:
        """Collect now and then, as long as the task lives."""
        while True:
            await asyncio.sleep(INTERVAL_S)
            self.collect()
