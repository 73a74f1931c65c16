"""Rows: messages go in and come out as they were."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.protocol.dtypes import BYTE
from gateway.protocol.encoding import Chain, encode
from gateway.protocol.extensions import Extensions, Identity
from gateway.streams.history import Entry
from gateway.streams.large import LargeMessage, StoredChunk, TransferNumbers
from gateway.streams.run import Origin, Run
from gateway.streams.run_page import PAGE_BYTES
from gateway.streams.sqlite.file_format import TABLES, connect
from gateway.streams.sqlite.origins import read_origins
from gateway.streams.sqlite.rows import (
    INSERT_CHUNK,
    INSERT_LARGE,
    INSERT_MESSAGE,
    MessageRow,
    chunk_values,
    large_values,
    read_entries,
    read_newest,
    rows_of,
)
from tests.streams.frames import large_of, offsets_in, run_of
from tests.streams.sqlite.streams import NOW_NS, offsets, stream_of

STREAM, OTHER = stream_of(1), stream_of(2)
PLENTY = 2**40
ORIGIN = Origin(0, 3, 2**53 - 1, 2**64 - 1)


@pytest.fixture
def connection(tmp_path: Path) -> Iterator[sqlite3.Connection]:
    connection = connect(tmp_path / "streams.db")
    yield connection
    connection.close()


def insert(connection: sqlite3.Connection, rows: list[MessageRow]) -> None:
    connection.executemany(INSERT_MESSAGE, [row.values(NOW_NS) for row in rows])


def insert_large(connection: sqlite3.Connection, large_id: int, message: LargeMessage) -> None:
    assert message.offset is not None
    chunks = [chunk_values(large_id, index, chunk) for index, chunk in enumerate(message.chunks)]
    connection.executemany(INSERT_CHUNK, chunks)
    connection.execute(INSERT_LARGE, large_values(large_id, message))
    row = MessageRow(STREAM, message.offset, 1, message.received_bytes, [], message)
    connection.execute(INSERT_MESSAGE, row.values(NOW_NS, large_id))


def read(connection: sqlite3.Connection, first: int, last: int, max_bytes: int = PLENTY) -> list[Entry]:
    return read_entries(connection, STREAM, first, last, max_bytes, TransferNumbers())


@given(st.lists(st.lists(st.none() | st.integers(1, 20), min_size=1, max_size=5), max_size=8), st.data())
def test_runs_are_read_from_any_offset_to_any(runs: list[list[int | None]], data: st.DataObject) -> None:
    connection = sqlite3.connect(":memory:", isolation_level=None)
    connection.executescript(TABLES)
    at, frames = 0, []
    entries = []
    for counts in runs:
        for count in counts:
            frames.append(range(at, at + (count or 1)))
            at = frames[-1].stop
        entries.append((STREAM, run_of(frames[-len(counts)].start, counts, STREAM), None))
    insert(connection, list(rows_of(entries)))
    first = data.draw(st.integers(0, at))
    last = data.draw(st.integers(first, at))
    expected = [n for frame in frames if frame.stop > first and frame.start <= last for n in frame]
    assert offsets(read(connection, first, last)) == expected
    connection.close()


def test_small_runs_share_a_row_and_streams_do_not() -> None:
    entries = [(stream, run_of(first, [None], stream), None) for first in range(100) for stream in (STREAM, OTHER)]
    rows = list(rows_of(entries))
    assert [(row.stream, row.first, row.count) for row in rows] == [(STREAM, 0, 100), (OTHER, 0, 100)]


def test_a_row_is_no_larger_than_a_page_and_a_run() -> None:
    rows = list(rows_of([(STREAM, run_of(first, [None] * 10, STREAM), None) for first in range(0, 20_000, 10)]))
    assert len(rows) > 3
    assert [row.first for row in rows[1:]] == [row.next_offset for row in rows[:-1]]
    assert all(row.size < PAGE_BYTES + 1000 for row in rows)


def test_a_large_run_keeps_its_place(connection: sqlite3.Connection) -> None:
    whole = b"".join(run_of(1, [9000], STREAM).buffers)
    large = Run(STREAM, 1, 9000, (whole[:64], whole[64:]), len(whole), 0, 9000)
    entries = [(STREAM, run_of(0, [None], STREAM), None), (STREAM, large, None)]
    insert(connection, list(rows_of([*entries, (STREAM, run_of(9001, [None], STREAM), None)])))
    assert offsets(read(connection, 0, 9001)) == list(range(9002))


def test_it_is_read_in_steps(connection: sqlite3.Connection) -> None:
    for first in range(0, 50, 10):
        insert(connection, list(rows_of([(STREAM, run_of(first, [None] * 10, STREAM), None)])))
    size = run_of(0, [None] * 10).size
    assert offsets(read(connection, 0, 49, 2 * size)) == list(range(20))
    assert offsets(read(connection, 5, 49, 1)) == list(range(5, 10))
    assert read(connection, 50, 60) == []


def test_a_large_message_comes_back_with_its_encodings(connection: sqlite3.Connection) -> None:
    message = large_of(3, 10_000, STREAM)
    encoded = encode(Chain(codec="lz4"), bytes(4096), BYTE)
    assert encoded is not None
    message.chunks[1] = StoredChunk(*encoded)
    message.end_timestamp_ns, message.checksum = 99, 2**32 - 1
    message.extensions, message.deadline_ns = Extensions(identity=Identity(3, 4)), 5
    insert_large(connection, 17, message)
    [found] = read(connection, 0, 9)
    assert isinstance(found, LargeMessage)
    assert [(chunk.encoding, bytes(chunk.data)) for chunk in found.chunks] == [
        (chunk.encoding, bytes(chunk.data)) for chunk in message.chunks
    ]
    fields = ["opcode", "publisher", "timestamp_ns", "end_timestamp_ns", "flags", "meta", "offset", "source"]
    fields += ["checksum", "extensions", "deadline_ns"]
    assert [getattr(found, name) for name in fields] == [getattr(message, name) for name in fields]
    assert (found.plan.chunk_bytes, found.plan.payload_bytes, found.complete) == (4096, 10_000, True)


def test_the_newest_is_the_last_row(connection: sqlite3.Connection) -> None:
    assert read_newest(connection, STREAM, TransferNumbers()) is None
    insert(connection, list(rows_of([(STREAM, run_of(0, [None, None], STREAM), None)])))
    newest = read_newest(connection, STREAM, TransferNumbers())
    assert isinstance(newest, Run)
    assert offsets_in(newest.newest()) == [1]
    insert_large(connection, 1, large_of(2, 5000, STREAM))
    assert isinstance(read_newest(connection, STREAM, TransferNumbers()), LargeMessage)


def test_who_published_is_kept(connection: sqlite3.Connection) -> None:
    later = Origin(4, 1, 5, 6)
    runs: list[tuple[int, list[int | None], Origin | None]] = [
        (0, [None] * 3, ORIGIN),
        (3, [None], None),
        (4, [None], later),
    ]
    insert(connection, list(rows_of([(STREAM, run_of(n, said, STREAM), origin) for n, said, origin in runs])))
    assert list(read_origins(connection, STREAM)) == [ORIGIN, later]
    assert list(read_origins(connection, OTHER)) == []
    newest = Origin(5, 1, 5, 7)
    insert(connection, list(rows_of([(STREAM, run_of(5, [None], STREAM), newest)])))
    assert list(read_origins(connection, STREAM, since=4)) == [ORIGIN, later, newest], "the row with 4 begins at 0"
    assert list(read_origins(connection, STREAM, since=5)) == [newest]
