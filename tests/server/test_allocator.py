"""keep_freed_memory: told in a process of its own, because there is no way back."""

from __future__ import annotations

import subprocess
import sys


def test_the_allocator_can_be_told_or_is_another_one() -> None:
    program = (
        "import os, gateway.server.allocator as a; print(a.keep_freed_memory(), os.confstr('CS_GNU_LIBC_VERSION'))"
    )
    told, _, libc = subprocess.run(
        [sys.executable, "-c", program], check=True, capture_output=True, text=True
    ).stdout.partition(" ")
    assert told == str(libc.startswith("glibc"))


PROGRAM = """
import asyncio, os, time
import gateway.server.allocator as allocator
allocator.keep_freed_memory()
try:
    freed = allocator.FreedMemory()
except OSError:
    raise SystemExit("none")
held = [bytes(1) * (1 << 20) for _ in range(200)]
last = bytes(1) * (1 << 20)
peak = freed.resident_bytes
held.clear()
first, after = freed.give_back(), freed.resident_bytes
print(first, peak - after > 190 << 20, freed.give_back())
held = [bytes(1) * (1 << 20) for _ in range(200)]
freed.give_back()  # nothing is free yet, but what is freed then is
held.clear()
allocator.CALM_S = 0.01

async def run():
    task = asyncio.create_task(allocator.give_back_when_calm())
    while freed.resident_bytes > after + (20 << 20):
        await asyncio.sleep(0.01)
    task.cancel()

asyncio.run(run())
print("given back")
"""


def test_freed_memory_is_given_back_once_when_the_process_is_calm() -> None:
    ended = subprocess.run([sys.executable, "-c", PROGRAM], check=False, capture_output=True, text=True, timeout=60)
    assert ended.stderr.strip() == "none" or ended.stdout.split("\n")[:2] == ["True True False", "given back"]
