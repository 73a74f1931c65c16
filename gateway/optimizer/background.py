"""Background: the place of a child process behind the gateway, whatever a terminal or the system does to both."""

from __future__ import annotations

import contextlib
import os
import resource
import signal
from pathlib import Path
from typing import Final

NICENESS: Final = 10
"""Niceness above that of the gateway."""
FIRST_TO_KILL: Final = "1000"
"""Score by which the system kills this process before any other one if memory runs out."""


def stand_back(max_data_bytes: int) -> None:
    """Let signals to the whole group of processes pass, and leave cores and memory to the gateway.

    Args:
        max_data_bytes: memory of this process beyond its programs, past which it gets none.
    """
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    os.nice(NICENESS)
    with contextlib.suppress(OSError, ValueError):  # a container may forbid either
        Path("/proc/self/oom_score_adj").write_text(FIRST_TO_KILL)
        resource.setrlimit(resource.RLIMIT_DATA, (max_data_bytes, max_data_bytes))
