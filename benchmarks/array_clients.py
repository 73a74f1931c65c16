"""Clients of ``arrays.py``: what a publisher and a subscriber of one kind are, and the plan that both carry out."""

from __future__ import annotations

import ctypes
import time
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager, AbstractContextManager
from dataclasses import dataclass
from typing import Final, TypeAlias

from benchmarks.stamped_arrays import Array

BEGIN: Final = -1
END: Final = -2
"""Numbers of the messages before and after the measured ones; the time in the stamp of ``END`` is the count of all."""
RECEIVING: Final = 0
STARTED: Final = 1
ENDED: Final = 2
"""Phases of a subscriber: up to ``BEGIN``, from there on, and after ``END``."""


@dataclass(frozen=True, slots=True)
class ArrayPlan:
    """One measurement: arrays of ``size`` bytes for ``seconds``, with ``window`` acknowledged publishes under way."""

    port: int
    stream: str
    kind: str
    size: int
    window: int
    seconds: float
    series: int
    """Publishing threads; 1 for a client of an event loop."""

    @property
    def conflated(self) -> bool:
        """True if newer messages may replace older ones."""
        return self.kind == "state"


Publish: TypeAlias = Callable[[Array], Awaitable[object]]
Take: TypeAlias = Callable[[Array], bool]
"""Called with each array that arrived; true for the last one."""
Started: TypeAlias = Callable[[], None]


@dataclass(frozen=True, slots=True)
class AsyncClient:
    """Publisher and subscriber on an event loop. A publish returns when it was acknowledged.

    ``receive`` returns the number of conflated messages.
    """

    publishing: Callable[[ArrayPlan], AbstractAsyncContextManager[Publish]]
    receive: Callable[[ArrayPlan, Started, Take], Awaitable[int]]


@dataclass(frozen=True, slots=True)
class BlockingClient:
    """Publisher and subscriber without an event loop; a publisher is used by several threads."""

    publishing: Callable[[ArrayPlan], AbstractContextManager[Callable[[Array], object]]]
    receive: Callable[[ArrayPlan, Started, Take], int]


@dataclass(frozen=True, slots=True)
class Progress:
    """State of the subscriber, which the publisher reads."""

    received: ctypes.c_uint64
    phase: ctypes.c_int64


def cpu_ns(pid: int) -> int:
    """Return the CPU time of a process, all its threads: by its clock, since ``/proc`` counts in steps of 10 ms."""
    return time.clock_gettime_ns(~pid << 3 | 2)  # CPUCLOCK_SCHED of the process, as clock_getcpuclockid(3) makes it
