"""Background: a process behind the gateway outlives signals to its group, and takes what memory it may."""

from __future__ import annotations

import os
import subprocess
import sys

from gateway.optimizer.background import NICENESS

PROGRAM = """
import os, resource, signal
from pathlib import Path
from gateway.optimizer.background import stand_back
stand_back(2**30)
for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
    os.kill(os.getpid(), number)
score = Path("/proc/self/oom_score_adj").read_text().strip()
print(os.nice(0), score, resource.getrlimit(resource.RLIMIT_DATA))
"""


def test_signals_pass_and_cores_and_memory_are_left_to_others() -> None:
    ended = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=True)
    assert ended.stdout.split(maxsplit=2) == [str(os.nice(0) + NICENESS), "1000", f"({2**30}, {2**30})\n"]
