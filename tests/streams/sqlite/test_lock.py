"""FileLock: one gateway a file, whatever became of the one before."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from gateway.errors import StoreFailed
from gateway.streams.sqlite.lock import FileLock

HOLD = """
import sys, time
from pathlib import Path
from gateway.streams.sqlite.lock import FileLock
FileLock(Path(sys.argv[1]))
print("held", flush=True)
time.sleep(600)
"""


def test_the_second_one_is_told_who_has_it(tmp_path: Path) -> None:
    path = tmp_path / "streams.db"
    lock = FileLock(path)
    with pytest.raises(StoreFailed, match=rf"in use by another gateway \(process {os.getpid()}\)"):
        FileLock(path)
    lock.release()
    FileLock(path).release()


def test_a_process_that_is_killed_leaves_it_free(tmp_path: Path) -> None:
    path = tmp_path / "streams.db"
    with subprocess.Popen([sys.executable, "-c", HOLD, path], stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        with pytest.raises(StoreFailed, match=f"process {holder.pid}"):
            FileLock(path)
        holder.send_signal(signal.SIGKILL)
    FileLock(path).release()


def test_a_place_that_does_not_exist(tmp_path: Path) -> None:
    with pytest.raises(StoreFailed, match=f"the directory {tmp_path / 'missing'} does not exist: create it"):
        FileLock(tmp_path / "missing" / "streams.db")
