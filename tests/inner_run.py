"""A run of pytest inside a test of one of this project's plugins of pytest."""

import os
import subprocess
import sys
from pathlib import Path

from tests.layout import ROOT


def run_pytest(folder: Path, tests: str, *arguments: str) -> str:
    """Run these tests, written into a folder, and return what pytest and its workers print."""
    (folder / "test_inner.py").write_text(tests, "utf-8")
    command = ["-m", "pytest", "-p", "no:cacheprovider", "-o", "asyncio_mode=auto", "--rootdir=.", *arguments]
    environment = os.environ | {"PYTHONPATH": str(ROOT), "PYTHONWARNINGS": "ignore"}
    result = subprocess.run(
        [sys.executable, *command, str(folder)],
        cwd=folder,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    return result.stdout
