"""Build of the C programs: the load generator, and the forwarding server that is the ceiling."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Final

FOLDER: Final = Path(__file__).parent
BUILD: Final = FOLDER / "build"
LOADGEN: Final = BUILD / "loadgen"
FORWARDER: Final = BUILD / "forwarder"


def build() -> None:
    """Compile both programs, at every run: it takes a second, and they are never stale."""
    BUILD.mkdir(exist_ok=True)
    _compile(LOADGEN, sorted((FOLDER / "loadgen").glob("*.c")))
    _compile(FORWARDER, [FOLDER / "peers" / "forwarder.c"])


def _compile(program: Path, sources: list[Path]) -> None:
    subprocess.run(["cc", "-O2", "-std=gnu11", "-Wall", "-Wextra", "-o", program, *sources, "-lm"], check=True)
