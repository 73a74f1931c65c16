"""Tuning of glibc's allocator for large buffers that come and go.

Freed memory stays with a process that is busy, since it is used again at once. It is given back when the process has
been calm for a while.
"""

from __future__ import annotations

import asyncio
import ctypes
import os
import re
import sys
import time
from collections.abc import Callable
from typing import ClassVar, Final

_M_TRIM_THRESHOLD = -1
_M_TOP_PAD = -2
_M_MMAP_THRESHOLD = -3
_M_ARENA_MAX = -8

MMAP_THRESHOLD_BYTES = 32 * 1024 * 1024
"""Largest value that glibc accepts."""
TRIM_THRESHOLD_BYTES = 512 * 1024 * 1024
TOP_PAD_BYTES = 64 * 1024 * 1024
ARENAS: Final = 1
"""Heaps of the process: glibc gives nothing back of the end of the heaps that it would make for other threads."""


def keep_freed_memory() -> bool:
    """Make the allocator keep freed buffers in the process, for the next ones.

    By default glibc maps every buffer above 128 KB, faults it in page by page and unmaps it again. With chunks of 512
    KB this takes half of the time of a relay: 1.0 GB/s became 2.4 GB/s (glibc 2.36, EPYC 9005, November 2026, ``python
    -m benchmarks tensors``). The price: up to 512 MB of freed memory stay with the process. The SDK does not call this:
    a library leaves its host's allocator alone.

    Returns:
        True if the allocator has taken the settings; False where it is not glibc's.
    """
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (OSError, AttributeError):
        return False
    return all(
        [
            mallopt(_M_MMAP_THRESHOLD, MMAP_THRESHOLD_BYTES),
            mallopt(_M_TRIM_THRESHOLD, TRIM_THRESHOLD_BYTES),
            mallopt(_M_TOP_PAD, TOP_PAD_BYTES),
            mallopt(_M_ARENA_MAX, ARENAS),
        ]
    )


CALM_S: Final = 5.0
"""Time over which the process has to be calm."""

CALM_SHARE: Final = 0.2
"""Share of a core below which it is calm."""
CALM_KEPT_BYTES: Final = 32 * 1024 * 1024
"""Memory that has come or gone below which giving back is not worth its time."""

IDLE_SHARE: Final = 0.02
"""Share of a core below which the process has next to nothing to do."""
IDLE_KEPT_BYTES: Final = 4 * 1024 * 1024
"""Memory that has come or gone below which giving back is not worth its time in such a process."""

OBJECT_BYTES: Final = 64
"""Size of an object of Python, about."""


_FIELDS: Final = (
    *("arena", "ordblks", "smblks", "hblks", "hblkhd", "usmblks", "fsmblks"),
    *("used_bytes", "free_bytes", "keepcost"),
)


class _Usage(ctypes.Structure):
    """Result of ``mallinfo2``."""

    _fields_: ClassVar = [(name, ctypes.c_size_t) for name in _FIELDS]


class FreedMemory:
    """Memory that has been freed in this process and not been given back to the system.

    Raises:
        OSError: the allocator is not glibc's, from version 2.33 on.
    """

    def __init__(self) -> None:
        try:
            libc = ctypes.CDLL(None)
            self._usage, self._trim = libc.mallinfo2, libc.malloc_trim
        except AttributeError:
            raise OSError("the allocator cannot be asked for the memory that it holds") from None
        self._usage.restype = _Usage
        self._page_bytes = os.sysconf("SC_PAGE_SIZE")
        self._then = (0, 0, 0)
        """Memory when everything was given back: resident, used, and used by objects of Python."""

    @property
    def resident_bytes(self) -> int:
        """Memory of the process."""
        with open("/proc/self/statm", "rb") as file:
            return int(file.read().split()[1]) * self._page_bytes

    def has_changed(self, nbytes: int) -> bool:
        """Return whether so much memory has come or gone since it was given back."""
        # Not the free bytes: pages that were given back count as free until they are used again.
        return any(abs(is_now - was) >= nbytes for is_now, was in zip(self._now(), self._then, strict=True))

    def give_back(self) -> None:
        """Give freed memory back to the system; takes some 0.1 ms a MiB."""
        self._trim(ctypes.c_size_t(0))
        self._then = self._now()

    def _now(self) -> tuple[int, int, int]:
        return self.resident_bytes, self._usage().used_bytes, sys.getallocatedblocks() * OBJECT_BYTES


def forget_lookups() -> None:
    """Clear the caches of the interpreter, which keep what clients that are gone have brought up.

    The caches hold at most 512 regular expressions, and 4096 names of attributes that were looked up: each date that
    the library writes for a handshake comes with a new string of such a name. They are small, but each entry may keep a
    megabyte from being given back.
    """
    re.purge()
    clear = getattr(sys, "_clear_internal_caches", None) or getattr(sys, "_clear_type_cache", None)
    if clear is not None:
        clear()


async def give_back_when_calm(drop_freed_objects: Callable[[], object]) -> None:
    """Give freed memory back whenever the process has been calm; returns at once where that is not possible.

    Args:
        drop_freed_objects: drops the freed objects that Python keeps for the next ones, before memory is given back:
            each of them may keep a megabyte.
    """
    try:
        freed = FreedMemory()
    except OSError:
        return
    # The thread stays: what it needs is not to come to lie among the objects of a flood.
    await asyncio.to_thread(time.monotonic)
    while True:
        begun_s = time.process_time()
        await asyncio.sleep(CALM_S)
        share = (time.process_time() - begun_s) / CALM_S
        # The loop may wait for memory meanwhile, for some ten milliseconds if much is free.
        kept_bytes = IDLE_KEPT_BYTES if share < IDLE_SHARE else CALM_KEPT_BYTES
        if share < CALM_SHARE and freed.has_changed(kept_bytes):
            forget_lookups()
            drop_freed_objects()
            await asyncio.to_thread(freed.give_back)
