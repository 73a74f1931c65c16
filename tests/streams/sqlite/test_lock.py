"""FileLock: one gateway a file, whatever became of the one before."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
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


@pytest.fixture
def held(tmp_path: Path) -> Iterator[Path]:
    """A file that this process has locked."""
    path = tmp_path / "streams.db"
    lock = FileLock(path)
    yield path
    lock.release()


def test_a_symbolic_link_is_another_name_of_the_same_file(held: Path, tmp_path: Path) -> None:
    for link, target in (("file.db", held.name), ("chain.db", "file.db"), ("folder", ".")):
        (tmp_path / link).symlink_to(target)
    for name in ("file.db", "chain.db", f"folder/{held.name}", "folder/chain.db"):
        with pytest.raises(StoreFailed, match=rf"in use by another gateway \(process {os.getpid()}\)"):
            FileLock(tmp_path / name)
    lock = FileLock(tmp_path / "folder" / "other.db")
    assert lock.path == tmp_path / "other.db"
    lock.release()


def test_a_hard_link_and_a_file_that_was_moved_are_still_the_same_file(held: Path, tmp_path: Path) -> None:
    other = tmp_path / "other.db"
    other.hardlink_to(held)
    with pytest.raises(StoreFailed, match=rf"in use by another gateway \(process {os.getpid()}\)"):
        FileLock(other)
    other.unlink()
    held.rename(tmp_path / "moved.db")
    with pytest.raises(StoreFailed, match=rf"in use by another gateway \(process {os.getpid()}\)"):
        FileLock(tmp_path / "moved.db")


@pytest.mark.skipif(sys.platform != "linux", reason="locks of the file itself are taken on Linux")
@pytest.mark.parametrize("how", ["linked", "moved"])
def test_another_process_is_named_whatever_name_leads_to_its_file(tmp_path: Path, how: str) -> None:
    path, other = tmp_path / "streams.db", tmp_path / "other.db"
    with subprocess.Popen([sys.executable, "-c", HOLD, path], stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        if how == "linked":
            other.hardlink_to(path)
        else:
            path.rename(other)
        with pytest.raises(StoreFailed, match=f"process {holder.pid}"):
            FileLock(other)
        holder.kill()


def test_a_file_with_two_names_is_refused(tmp_path: Path) -> None:
    path, other = tmp_path / "streams.db", tmp_path / "other.db"
    path.touch()
    other.hardlink_to(path)
    for name in (path, other):
        with pytest.raises(StoreFailed, match=r"has 2 names \(hard links\).* remove the others"):
            FileLock(name)
    other.unlink()
    FileLock(path).release()


def test_what_cannot_be_opened_is_told_in_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "loop").symlink_to("loop")
    (tmp_path / "file").touch()
    with pytest.raises(StoreFailed, match="folder is a directory: name a file"):
        FileLock(tmp_path / "folder")
    assert not (tmp_path / "folder-lock").exists()
    with pytest.raises(StoreFailed, match=r"loop cannot be used: .*symbolic links"):
        FileLock(tmp_path / "loop")
    with pytest.raises(StoreFailed, match=r"cannot be used: .*Not a directory"):
        FileLock(tmp_path / "file" / "streams.db")
