"""Contents: what a file has when it is opened."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from gateway.streams.sqlite.contents import read_contents, take_over
from gateway.streams.sqlite.file_format import connect
from tests.streams.sqlite.streams import BOOT, NOW_NS


@pytest.fixture
def connection(tmp_path: Path) -> Iterator[sqlite3.Connection]:
    with closing(connect(tmp_path / "streams.db")) as connection:
        yield connection


def add_stream(connection: sqlite3.Connection, number: int, durability: str) -> None:
    values = (number, f"wf/{number}", "event", durability, 7, 3, None)
    connection.execute("INSERT INTO streams VALUES (?, ?, ?, ?, ?, ?, ?)", values)


def test_a_new_file_is_empty(connection: sqlite3.Connection) -> None:
    contents = read_contents(connection)
    assert (contents.streams, contents.extents, contents.unreachable) == ([], {}, [])
    assert contents.next_large == 1


def test_chunks_that_belong_to_no_message_are_found(connection: sqlite3.Connection) -> None:
    # That of a proof, of a message that was never completed, and of one that is stored.
    connection.executemany("INSERT INTO chunks VALUES (?, 0, NULL, x'00')", [(-1,), (4,), (5,)])
    connection.execute("INSERT INTO messages VALUES (1, 3, 1, 1, 0, NULL, 0, 1, NULL, 5)")
    add_stream(connection, 1, "os")
    contents = read_contents(connection)
    assert sorted(contents.unreachable) == [-1, 4]
    assert contents.next_large == 6
    assert contents.extents[1].next_offset == contents.streams[0].next_offset == 4


@pytest.mark.parametrize(("closed", "boot_id", "lost"), [(0, BOOT, False), (0, "f1", True), (1, "f1", False)])
def test_streams_that_the_machine_may_have_lost_get_another_epoch(
    connection: sqlite3.Connection, closed: int, boot_id: str, lost: bool
) -> None:
    take_over(connection, BOOT, NOW_NS)
    connection.execute("UPDATE gateway SET closed = ?", (closed,))
    add_stream(connection, 1, "os")
    add_stream(connection, 2, "fsync")
    take_over(connection, boot_id, NOW_NS)
    epochs = [stream.epoch for stream in read_contents(connection).streams]
    assert epochs == [NOW_NS // 1_000_000 if lost else 7, 7]


def test_an_epoch_is_another_one_even_if_the_clock_was_set_back(connection: sqlite3.Connection) -> None:
    take_over(connection, BOOT, NOW_NS)
    add_stream(connection, 1, "os")
    take_over(connection, "f1", 7_000_000)
    assert [stream.epoch for stream in read_contents(connection).streams] == [8]
