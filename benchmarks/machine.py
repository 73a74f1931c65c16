"""Machine of a measurement: cores, versions, limits."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import re
import resource
import subprocess
from pathlib import Path
from typing import Final

from benchmarks.servers import SERVER_CORE, nats_program

_CORES: Final = sorted(os.sched_getaffinity(0))

_PACKAGES: Final = ("websockets", "uvloop", "numpy", "nats-py", "pyzmq")

LOAD_CORE: Final = _CORES[min(1, len(_CORES) - 1)]
SPARE_CORE: Final = _CORES[2] if len(_CORES) > 2 else SERVER_CORE
"""Core of a third process. With two cores it is the server's, which has more time left than the publisher's."""


def allow_connections(count: int) -> int:
    """Raise this process's limit of open files, which children inherit.

    Returns:
        ``count``, or the number of connections that the limit allows if that is less.
    """
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return count if hard == resource.RLIM_INFINITY else min(count, hard - 200)


def _cpu_model() -> str:
    match = re.search(r"^model name\s*: (.*)$", Path("/proc/cpuinfo").read_text(), re.MULTILINE)
    return match.group(1) if match else platform.machine()


def describe() -> str:
    """Return a description of the machine, as one paragraph of markdown."""
    nats = subprocess.run([nats_program(), "--version"], capture_output=True, text=True, check=True).stdout.split()[-1]
    compiler = subprocess.run(["cc", "--version"], capture_output=True, text=True, check=True).stdout.splitlines()[0]
    packages = ", ".join(f"{name} {importlib.metadata.version(name)}" for name in _PACKAGES)
    return (
        f"{_cpu_model()}, {os.cpu_count()} cores, Linux {platform.release()}; Python {platform.python_version()}, "
        f"{packages}, nats-server {nats}, {compiler}. Server on core {SERVER_CORE}, load on core {LOAD_CORE}, loopback."
    )
