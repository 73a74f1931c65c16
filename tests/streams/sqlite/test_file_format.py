"""Opening a store's file: new, again, foreign, damaged, of another version."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest

from gateway.errors import StoreFailed
from gateway.streams.sqlite.file_format import FORMAT_VERSION, connect, connect_reader


def test_a_new_file_gets_its_tables_and_is_opened_again(path: Path) -> None:
    connect(path).close()
    connection = connect(path)
    (mode,) = connection.execute("PRAGMA journal_mode").fetchone()
    assert mode == "wal"
    tables = {name for (name,) in connection.execute("SELECT name FROM sqlite_schema WHERE type = 'table'")}
    assert tables == {"gateway", "streams", "messages", "consumers", "large_messages", "chunks", "clocks", "ended"}
    connection.close()


def test_a_reader_cannot_write(path: Path) -> None:
    connection, reader = connect(path), connect_reader(path)
    assert reader.execute("SELECT count(*) FROM streams").fetchone() == (0,)
    with pytest.raises(sqlite3.OperationalError, match="readonly"):
        reader.execute("DELETE FROM streams")
    reader.close()
    connection.close()


def test_another_program_s_database_is_left_alone(path: Path) -> None:
    other = sqlite3.connect(path)
    other.execute("CREATE TABLE notes (text TEXT)")
    other.close()
    before = path.read_bytes()
    with pytest.raises(StoreFailed, match="of another program"):
        connect(path)
    assert path.read_bytes() == before


def test_another_version_is_left_alone(path: Path) -> None:
    connection = connect(path)
    connection.execute(f"PRAGMA user_version={FORMAT_VERSION + 1}")
    connection.close()
    with pytest.raises(StoreFailed, match=f"version {FORMAT_VERSION + 1}, this gateway reads version {FORMAT_VERSION}"):
        connect(path)


def test_what_is_no_database_is_left_alone(path: Path) -> None:
    path.write_bytes(b"not a database at all" * 1000)
    with pytest.raises(StoreFailed, match="damaged, or not a store"):
        connect(path)
    assert path.read_bytes().startswith(b"not a database")


def test_a_directory_cannot_be_opened(tmp_path: Path) -> None:
    with pytest.raises(StoreFailed, match="cannot be"):
        connect(tmp_path)
