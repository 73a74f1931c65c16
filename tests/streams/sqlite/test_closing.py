"""Closing: the file is whole without its log, or the message says what is missing and which files belong together."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from gateway.errors import StoreFailed
from gateway.protocol.durability import Durability
from gateway.streams.sqlite.closing import close_file
from gateway.streams.sqlite.database_file import DatabaseFile
from gateway.streams.sqlite.file_format import connect_reader


@pytest.fixture
def file(path: Path) -> Iterator[DatabaseFile]:
    file = DatabaseFile(path)
    with file.transaction(Durability.OS):
        file.connection.execute("INSERT INTO chunks VALUES (1, 0, NULL, x'00')")
    file.watch()
    file.wait_for_others(wait=False)
    yield file
    file.close()


def closed(file: DatabaseFile, damage: StoreFailed | None = None) -> str:
    """What is told about the end of a file in which one more row was to be written."""
    with pytest.raises(StoreFailed) as told:
        close_file(
            file, lambda: file.connection.execute("INSERT INTO chunks VALUES (2, 0, NULL, x'00')"), "row 2", damage
        )
    return str(told.value)


def rows(path: Path) -> int:
    with closing(sqlite3.connect(path)) as connection:
        [count] = connection.execute("SELECT count(*) FROM chunks").fetchone()
    return int(count)


def test_everything_is_in_the_file(file: DatabaseFile, path: Path) -> None:
    close_file(file, lambda: file.connection.execute("INSERT INTO chunks VALUES (2, 0, NULL, x'00')"), "row 2", None)
    assert [found.name for found in path.parent.iterdir()] == ["streams.db"]
    assert rows(path) == 2


def test_a_reader_keeps_file_and_log_together(file: DatabaseFile, path: Path) -> None:
    with closing(connect_reader(path)) as reader:
        reader.execute("BEGIN")
        reader.execute("SELECT count(*) FROM chunks").fetchone()
        assert closed(file) == (
            f"store {path} was not closed in good order: another program reads it and keeps its log from being copied "
            f"into it; {path} and {path}-wal belong together: copy or move both"
        )


def test_a_disk_without_room(file: DatabaseFile, path: Path) -> None:
    file.connection.execute("PRAGMA max_page_count=1")
    problem = "row 2 cannot be written: database or disk is full: make room on its disk"

    def write_much() -> None:
        file.connection.execute("INSERT INTO chunks VALUES (2, 0, NULL, zeroblob(100000))")

    with pytest.raises(StoreFailed) as told:
        close_file(file, write_much, "row 2", None)
    assert str(told.value) == (
        f"store {path} was not closed in good order: {problem}; {path} is complete without its log"
    )
    assert rows(path) == 1


@pytest.mark.parametrize("replaced", [False, True])
def test_a_file_that_was_moved_is_complete_where_it_is(file: DatabaseFile, path: Path, replaced: bool) -> None:
    away = path.with_name("away.db")
    path.rename(away)
    if replaced:
        path.touch()
    told = closed(file)
    assert "row 2 cannot be written" in told
    assert told.endswith(f"; what was {path}, if it still exists, is complete without {path}-wal")
    assert file.log_path.stat().st_size == 0
    assert rows(away) == 1


def test_a_damaged_file_is_not_written(file: DatabaseFile, path: Path) -> None:
    with closing(connect_reader(path)) as reader:
        reader.execute("SELECT count(*) FROM chunks").fetchone()
        assert closed(file, StoreFailed("it is damaged")) == (
            f"it is damaged; {path} and {path}-wal belong together: copy or move both"
        )
    assert rows(path) == 1
