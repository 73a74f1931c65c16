"""Memory of the process: resident, and the smallest of the limits that the system has for it."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from gateway.server.memory import ProcessMemory

MACHINE_BYTES = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")


def write(root: Path, files: dict[str, str]) -> ProcessMemory:
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    return ProcessMemory(root)


def test_this_process_has_memory() -> None:
    held = bytearray(16_000_000)
    memory = ProcessMemory()
    assert memory.resident_bytes() > len(held)
    assert memory.resident_bytes() < memory.available_bytes() <= MACHINE_BYTES


@pytest.mark.parametrize(
    ("files", "limit_bytes"),
    [
        ({}, MACHINE_BYTES),
        ({"proc/self/cgroup": "0::/a/b\n", "sys/fs/cgroup/a/b/memory.max": "max\n"}, MACHINE_BYTES),
        ({"proc/self/cgroup": "0::/a/b\n", "sys/fs/cgroup/a/b/memory.max": "1000\n"}, 1000),
        (
            {
                "proc/self/cgroup": "0::/a/b\n",
                "sys/fs/cgroup/a/b/memory.max": "1000\n",
                "sys/fs/cgroup/a/memory.max": "900\n",
            },
            900,
        ),
        ({"proc/self/cgroup": "0::/of/the/machine\n", "sys/fs/cgroup/memory.max": "800\n"}, 800),
        (
            {
                "proc/self/cgroup": "5:cpu:/c\n4:memory:/c\n0::/\n",
                "sys/fs/cgroup/memory/c/memory.limit_in_bytes": "700\n",
                "sys/fs/cgroup/cpu/c/memory.limit_in_bytes": "1\n",
            },
            700,
        ),
        ({"proc/self/cgroup": "4:memory:/\n", "sys/fs/cgroup/memory/memory.limit_in_bytes": f"{2**63}"}, MACHINE_BYTES),
    ],
)
def test_the_smallest_limit_counts(tmp_path: Path, files: dict[str, str], limit_bytes: int) -> None:
    memory = write(tmp_path, files)
    assert memory.available_bytes() == limit_bytes
    assert memory.resident_bytes() == 0


def test_resident_memory_is_counted_in_pages(tmp_path: Path) -> None:
    memory = write(tmp_path, {"proc/self/statm": "900 7 3 0 0 0 0\n"})
    assert memory.resident_bytes() == 7 * os.sysconf("SC_PAGE_SIZE")
