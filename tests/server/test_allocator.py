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
import asyncio, datetime, gc, re, threading
import gateway.server.allocator as allocator
allocator.keep_freed_memory()
try:
    freed = allocator.FreedMemory()
except OSError:
    raise SystemExit("none")
freed.give_back()
before, MIB = freed.resident_bytes, 1 << 20

def buffers(size, count):
    held = [bytes(1) * size for _ in range(count)]
    last = bytes(1) * size  # the end of the heap is not free
    del held
    return last

def with_threads(work):
    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

def tuples():
    held = [(number,) for number in range(1_000_000)]
    # Those that are freed first are kept for the next tuples: some in each megabyte.
    held[::500] = [None] * 2000
    del held

def lookups():
    held = []
    for number in range(1_000_000):
        held.append(str(number))
        if number % 10_000 == 0:
            # As each handshake: it looks up a name that is a new string.
            datetime.datetime.now(datetime.timezone.utc).timetuple()
            re.compile(f"wf{number}/.*")

def check(name, work, *arguments):
    last = work(*arguments)
    print(name, has_changed(), end=" ")
    asyncio.run(calm(freed.resident_bytes))
    print(freed.resident_bytes < before + 8 * MIB, has_changed())

def has_changed():
    return freed.has_changed(allocator.IDLE_KEPT_BYTES)

allocator.CALM_S = 0.01

async def calm(peak):
    task = asyncio.create_task(allocator.give_back_when_calm(gc.collect))
    while freed.resident_bytes > before + 8 * MIB:
        await asyncio.sleep(0.01)
    task.cancel()
    freed.give_back()

check("buffers", buffers, MIB, 200)
check("threads", with_threads, lambda: buffers(MIB // 8, 200))
check("objects", tuples)
check("lookups", lookups)
"""


def test_freed_memory_is_given_back_once_when_the_process_is_calm() -> None:
    ended = subprocess.run([sys.executable, "-c", PROGRAM], check=False, capture_output=True, text=True, timeout=60)
    told = ["buffers True True False", "threads True True False", "objects True True False", "lookups True True False"]
    assert ended.stderr.strip() == "none" or ended.stdout.splitlines() == told, ended.stderr
