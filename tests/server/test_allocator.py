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
