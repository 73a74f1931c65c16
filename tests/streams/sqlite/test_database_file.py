"""DatabaseFile: transactions that happen as a whole, in a file that is still in its place."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

import pytest

from gateway.errors import StoreFailed
from gateway.protocol.durability import Durability
from gateway.streams.sqlite.database_file import DatabaseFile
from gateway.streams.sqlite.failure import FileDamaged
from gateway.streams.sqlite.file_format import connect_reader


@pytest.fixture
def file(path: Path) -> Iterator[DatabaseFile]:
    file = DatabaseFile(path)
    write(file, 1)
    file.watch()
    yield file
    file.close()


def write(file: DatabaseFile, number: int) -> None:
    with file.transaction(Durability.OS):
        file.connection.execute("INSERT INTO chunks VALUES (?, 0, NULL, x'00')", (number,))


def numbers(file: DatabaseFile) -> list[int]:
    return [large for (large,) in file.connection.execute("SELECT large FROM chunks ORDER BY large")]


def test_a_transaction_that_fails_has_not_happened(file: DatabaseFile) -> None:
    with suppress(ZeroDivisionError), file.transaction(Durability.FSYNC):
        file.connection.execute("INSERT INTO chunks VALUES (2, 0, NULL, x'00')")
        raise ZeroDivisionError
    write(file, 3)
    assert numbers(file) == [1, 3]


def test_a_transaction_that_was_left_open_is_no_obstacle(file: DatabaseFile) -> None:
    file.connection.execute("BEGIN IMMEDIATE")
    file.connection.execute("INSERT INTO chunks VALUES (2, 0, NULL, x'00')")
    write(file, 3)
    assert numbers(file) == [1, 3]


@pytest.mark.parametrize("suffix", ["", "-wal", "-shm"])
@pytest.mark.parametrize("what", ["removed", "replaced", "moved"])
def test_a_file_that_is_not_in_its_place_is_found(file: DatabaseFile, path: Path, suffix: str, what: str) -> None:
    gone = path.with_name(path.name + suffix)
    away = path.with_name("away")
    if what == "removed":
        gone.unlink()
    else:
        gone.rename(away)
    if what == "replaced":
        gone.write_bytes(away.read_bytes())
    expected = "was replaced" if what == "replaced" else "was removed or moved"
    with pytest.raises(StoreFailed, match=f"{gone} {expected} while the gateway runs: put it back"):
        file.check_in_place()
    if not suffix:
        # Before anything is committed, too.
        with pytest.raises(StoreFailed, match=expected):
            write(file, 2)
        assert numbers(file) == [1]
    if what != "removed":
        away.rename(gone)
        file.check_in_place()
        write(file, 2)
        assert numbers(file) == [1, 2]


def test_a_link_must_go_on_leading_to_the_file(file: DatabaseFile, path: Path) -> None:
    link = path.with_name("current.db")
    link.symlink_to(path.name)
    file.watch_name(link)
    file.check_in_place()
    link.unlink()
    path.with_name("other.db").touch()
    link.symlink_to("other.db")
    with pytest.raises(StoreFailed, match=r"current\.db was replaced"):
        file.check_in_place()


def test_a_folder_that_was_moved_may_come_back(file: DatabaseFile, path: Path) -> None:
    folder, away = path.parent, path.parent.with_name("away")
    folder.rename(away)
    with pytest.raises(StoreFailed, match="was removed or moved"):
        file.check_in_place()
    away.rename(folder)
    file.check_in_place()


@pytest.mark.parametrize("size", [0, 100, 4096, 5000])
def test_a_file_that_was_truncated_is_found_before_a_commit(file: DatabaseFile, path: Path, size: int) -> None:
    assert file.checkpoint()
    write(file, 2)
    os.truncate(path, size)
    for _ in range(2):
        with pytest.raises(FileDamaged, match=f"truncated to {size} bytes while the gateway runs: stop the gateway"):
            write(file, 3)
        with pytest.raises(FileDamaged):
            file.check_in_place()
    assert file.in_place
    # SQLite would delete the log of an empty file that is opened.
    assert file.log_path.stat().st_size > 0


@pytest.mark.parametrize("size", [0, 100, 4096])
def test_a_log_that_was_truncated_is_found_before_a_commit(file: DatabaseFile, size: int) -> None:
    file.check_in_place()
    os.truncate(file.log_path, size)
    for _ in range(2):
        with pytest.raises(FileDamaged, match=f"-wal was truncated to {size} bytes while the gateway runs"):
            write(file, 2)
        with pytest.raises(FileDamaged):
            file.check_in_place()


def test_a_commit_asks_for_the_times_of_the_tables_only(
    file: DatabaseFile, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Times of the log that were asked for are written again by the fsync of the next commit."""
    write(file, 2)
    asked: list[object] = []
    stat, fstat = os.stat, os.fstat

    def ask(whom: Any) -> os.stat_result:
        asked.append(whom)
        return fstat(whom) if isinstance(whom, int) else stat(whom)

    with monkeypatch.context() as patch:
        patch.setattr(os, "stat", ask)
        patch.setattr(os, "fstat", ask)
        write(file, 3)
        file.checkpoint_overdue()
    assert asked == [str(path)]


def test_other_programs_may_empty_the_log_and_make_the_file_smaller(file: DatabaseFile, path: Path) -> None:
    with file.transaction(Durability.OS):
        file.connection.execute("INSERT INTO chunks VALUES (2, 0, NULL, zeroblob(1000000))")
    with file.transaction(Durability.OS):
        file.connection.execute("DELETE FROM chunks WHERE large = 2")
    file.check_in_place()
    assert file.checkpoint()
    write(file, 3)
    file.check_in_place()
    before = path.stat().st_size, file.log_path.stat().st_size
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("VACUUM")
        other.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
    assert (path.stat().st_size, file.log_path.stat().st_size) < before
    assert file.log_path.stat().st_size == 0
    write(file, 4)
    file.check_in_place()
    assert numbers(file) == [1, 3, 4]


def test_a_log_that_others_empty_while_it_is_read_is_no_damage(file: DatabaseFile, path: Path) -> None:
    file.wait_for_others(wait=False)
    file.check_in_place()
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
        with closing(connect_reader(path)) as reader:
            reader.execute("BEGIN")
            reader.execute("SELECT count(*) FROM chunks").fetchone()
            write(file, 2)
    assert numbers(file) == [1, 2]


def test_a_proof_leaves_nothing_behind(file: DatabaseFile) -> None:
    file.settle_log(all_of_it=True)
    file.prove(100_000)
    assert numbers(file) == [1]
    assert os.stat(file.path).st_size > 0


def test_a_disk_without_room_for_so_much_is_no_proof(file: DatabaseFile) -> None:
    (pages,) = file.connection.execute("PRAGMA page_count").fetchone()
    file.connection.execute(f"PRAGMA max_page_count={pages + 2}")
    file.prove(4096)
    with pytest.raises(sqlite3.OperationalError, match="full"):
        file.prove(100_000)
    assert numbers(file) == [1]


def test_a_reader_keeps_the_log_from_being_copied(file: DatabaseFile, path: Path) -> None:
    file.wait_for_others(wait=False)
    with closing(connect_reader(path)) as reader:
        reader.execute("BEGIN")
        reader.execute("SELECT count(*) FROM chunks").fetchone()
        write(file, 2)
        assert not file.checkpoint()
        with pytest.raises(StoreFailed, match="another program reads it"):
            file.settle_log(all_of_it=True)
        file.settle_log(all_of_it=False)
    assert file.checkpoint()
    assert file.log_path.stat().st_size == 0


def test_a_log_that_has_grown_too_far_is_copied(file: DatabaseFile, monkeypatch: pytest.MonkeyPatch) -> None:
    """SQLite's own checkpoints do not report that they fail."""
    monkeypatch.setattr("gateway.streams.sqlite.database_file.OVERDUE_BYTES", 0)
    before = file.path.stat().st_mtime_ns
    file.checkpoint_overdue()
    assert file.path.stat().st_mtime_ns > before
    file.log_path.unlink()
    file.checkpoint_overdue()
