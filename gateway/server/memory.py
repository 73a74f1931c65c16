"""Memory of the process and of its machine, as Linux tells it."""

from __future__ import annotations

import math
import os
from pathlib import Path
from typing import Final

_ROOT: Final = Path("/")


class ProcessMemory:
    """:class:`~gateway.connections.ports.Memory` of this process.

    Args:
        root: directory that holds ``proc`` and ``sys``.
    """

    def __init__(self, root: Path = _ROOT) -> None:
        self._statm = root / "proc/self/statm"
        self._root = root
        self._page_bytes = os.sysconf("SC_PAGE_SIZE")

    def resident_bytes(self) -> int:
        """Return the resident memory; 0 on a system without ``/proc``."""
        try:
            return int(self._statm.read_text().split()[1]) * self._page_bytes
        except OSError:
            return 0

    def available_bytes(self) -> float:
        """Return the smallest of the memory of the machine and the limits of the control groups of the process."""
        return min([self._machine_bytes(), *self._group_limits()])

    def _machine_bytes(self) -> float:
        try:
            return os.sysconf("SC_PHYS_PAGES") * self._page_bytes
        except (OSError, ValueError):
            return math.inf

    def _group_limits(self) -> list[int]:
        """Return the limits of the process's control group, and of those that this one is in, of both versions."""
        try:
            lines = (self._root / "proc/self/cgroup").read_text().splitlines()
        except OSError:
            return []
        limits: list[int] = []
        mounts = self._root / "sys/fs/cgroup"
        for line in lines:
            _, controllers, path = line.split(":", 2)
            if not controllers:
                mount, name = mounts, "memory.max"
            elif "memory" in controllers.split(","):
                mount, name = mounts / "memory", "memory.limit_in_bytes"
            else:
                continue
            group = mount / path.lstrip("/")
            # In a container the path may be that of the machine, and the group is the mount itself.
            limits += [limit for place in (group, *group.parents) if (limit := _limit_in(place / name)) is not None]
        return limits


def _limit_in(file: Path) -> int | None:
    """Return the limit that a file states; ``None``: there is no such file, or no limit."""
    try:
        text = file.read_text().strip()
    except OSError:
        return None
    return int(text) if text.isdecimal() else None
