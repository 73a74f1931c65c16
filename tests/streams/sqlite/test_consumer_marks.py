"""How far receivers have got: in the file with the messages, and what of those is still wanted."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from gateway.ids import ClientId
from gateway.protocol.extensions import Identity
from gateway.protocol.messages import Kind
from gateway.streams.history import KEEP_NOTHING, Entry
from gateway.streams.large import LargeMessage, TransferNumbers
from gateway.streams.progress import Mark
from gateway.streams.run import Origin, Run
from gateway.streams.sqlite.changes import Advance
from gateway.streams.sqlite.consumer_marks import read_marks, read_units
from gateway.streams.sqlite.database import TRIM_ROWS
from gateway.streams.sqlite.file_format import connect_reader
from gateway.streams.stream import Stream
from tests.streams.sqlite.closed_database import opened
from tests.streams.sqlite.streams import NOW_NS, append_large, append_run, done, offsets, stream_of

ONE, TWO = ClientId("one"), ClientId("two")


@pytest.fixture
def stream() -> Stream:
    return stream_of(kind=Kind.COLLABORATION)


@contextmanager
def reading(path: Path) -> Iterator[sqlite3.Connection]:
    connection = connect_reader(path)
    try:
        yield connection
    finally:
        connection.close()


def units(path: Path, stream: Stream, first: int = 0) -> list[Entry]:
    with reading(path) as connection:
        return list(read_units(connection, stream, first, TransferNumbers()))


def marks(path: Path, stream: Stream) -> dict[ClientId, Mark]:
    with reading(path) as connection:
        return read_marks(connection, stream)


def test_the_last_word_on_each_client_is_kept(path: Path, stream: Stream) -> None:
    with opened(path) as database:
        done(database, append_run(stream, [None] * 9))
        database.advance([Advance(stream, ONE, Mark(2)), Advance(stream, TWO, Mark(1))])
        done(database)
        database.advance([Advance(stream, ONE, Mark(3, ((5, 6), (8, 8))))])
        done(database)
    with opened(path):
        assert marks(path, stream) == {ONE: Mark(3, ((5, 6), (8, 8))), TWO: Mark(1)}


def test_who_receives_no_more_is_forgotten(path: Path, stream: Stream) -> None:
    with opened(path) as database:
        done(database, append_run(stream, [None]))
        database.advance([Advance(stream, ONE, Mark(0)), Advance(stream, TWO, Mark(1))])
        done(database)
        database.advance([Advance(stream, ONE, None)])
        done(database)
        assert marks(path, stream) == {TWO: Mark(1)}


def test_a_consumer_is_stored_with_the_first_message_of_its_stream(path: Path, stream: Stream) -> None:
    with opened(path) as database:
        database.advance([Advance(stream, ONE, Mark(0))])
        done(database)
        assert not marks(path, stream)
        done(database, append_run(stream, [None]))
        assert marks(path, stream) == {ONE: Mark(0)}


def test_what_a_failed_transaction_should_have_kept_is_kept_by_the_next(path: Path, stream: Stream) -> None:
    with opened(path) as database:
        done(database, append_run(stream, [None]))
        database.advance([Advance(stream, ONE, Mark(1))])
        blocker = sqlite3.connect(path, isolation_level=None)
        blocker.execute("BEGIN IMMEDIATE")
        database._connection.execute("PRAGMA busy_timeout=0")
        database.commit([], NOW_NS)
        assert not marks(path, stream)
        blocker.close()
        done(database)
        assert marks(path, stream) == {ONE: Mark(1)}


def test_nothing_goes_that_somebody_has_not_settled(path: Path, stream: Stream) -> None:
    with opened(path) as database:
        for _ in range(6):
            done(database, append_run(stream, [3] * 3))
        database.advance([Advance(stream, ONE, Mark(30)), Advance(stream, TWO, Mark(20, ((27, 54),)))])
        done(database)
        assert database.trim(stream, KEEP_NOTHING, NOW_NS) == 2
        assert database.first_of(stream) == 18
        database.advance([Advance(stream, TWO, None)])
        done(database)
        assert database.trim(stream, KEEP_NOTHING, NOW_NS) == 1
    with opened(path) as database:
        assert database.trim(stream, KEEP_NOTHING, NOW_NS) == 0
        database.advance([Advance(stream, ONE, Mark(54))])
        done(database)
        assert 0 < database.trim(stream, KEEP_NOTHING, NOW_NS) < TRIM_ROWS


def test_units_have_the_identities_that_their_publishers_gave_them(path: Path, stream: Stream) -> None:
    with opened(path) as database:
        done(
            database,
            append_run(stream, [None, 2, None], Origin(0, 4, producer=7, sequence=100)),
            append_run(stream, [None]),
            append_run(stream, [None, None], Origin(5, 2, producer=8, sequence=1)),
            *append_large(stream),
            append_run(stream, [None], Origin(8, 1, producer=7, sequence=104)),
        )
        found = units(path, stream)
        assert offsets(found) == list(range(9))
        assert [entry.identity for entry in found if isinstance(entry, Run)] == [
            *(Identity(7, sequence) for sequence in (100, 101, 103)),
            None,
            *(Identity(8, sequence) for sequence in (1, 2)),
            Identity(7, 104),
        ]
        assert sum(isinstance(entry, LargeMessage) for entry in found) == 1
        assert offsets(units(path, stream, first=2)) == list(range(1, 9)), "a batch is not cut"
        assert not units(path, stream, first=9)


def test_more_than_is_read_at_a_time(path: Path, stream: Stream, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gateway.streams.sqlite.consumer_marks.UNITS_READ_BYTES", 1)
    with opened(path) as database:
        for _ in range(5):
            done(database, append_run(stream, [None, 3]))
        assert offsets(units(path, stream)) == list(range(20))


def test_what_was_lost_with_the_machine_is_settled_for_nobody(path: Path, stream: Stream) -> None:
    with opened(path) as database:
        done(database, append_run(stream, [None] * 4))
        database.advance([Advance(stream, ONE, Mark(9)), Advance(stream, TWO, Mark(1, ((2, 2), (3, 7))))])
        done(database)
        assert marks(path, stream) == {ONE: Mark(4), TWO: Mark(1, ((2, 2),))}
