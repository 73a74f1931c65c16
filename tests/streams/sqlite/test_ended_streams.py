"""Ended streams: gone with their row, whatever of them is still in the file; their numbers are not used again."""

from __future__ import annotations

import sqlite3
from pathlib import Path

from gateway.errors import StoreFailed
from gateway.protocol.durability import Durability
from gateway.protocol.wire import MAX_BATCH_RECORDS
from gateway.streams.sqlite.changes import Forget
from gateway.streams.sqlite.ended_streams import SWEEP_BYTES, SWEEP_ROWS, LastEnded
from tests.streams.sqlite.closed_database import opened
from tests.streams.sqlite.streams import NOW_NS, append_run, done, stream_of


def rows(path: Path) -> int:
    connection = sqlite3.connect(path)
    try:
        (count,) = connection.execute("SELECT count(*) FROM messages").fetchone()
    finally:
        connection.close()
    assert isinstance(count, int)
    return count


def test_a_long_stream_is_gone_at_once_and_its_rows_bit_by_bit(path: Path) -> None:
    ended, other = stream_of(1), stream_of(2)
    with opened(path) as database:
        for _ in range(2 * SWEEP_ROWS):
            done(database, append_run(ended, [None]))
        done(database, append_run(other, [None]))
        done(database, Forget(ended))
        assert rows(path) == 2 * SWEEP_ROWS + 1
        assert database.sweep()
        assert rows(path) == SWEEP_ROWS + 1
    with opened(path) as again:  # the rest follows
        assert [stored.id for stored in again.streams] == [2]
        while again.sweep():
            pass
    assert rows(path) == 1


def test_rows_that_are_large_are_deleted_few_at_a_time(path: Path) -> None:
    ended = stream_of(1)
    with opened(path) as database:
        for _ in range(4):
            done(database, append_run(ended, [MAX_BATCH_RECORDS] * (SWEEP_BYTES // 2 // MAX_BATCH_RECORDS)))
        done(database, Forget(ended))
        assert database.sweep()
        assert rows(path) == 2


def test_messages_of_the_same_transaction_do_not_bring_it_back(path: Path) -> None:
    ended, following = stream_of(1), stream_of(2)
    following.name = ended.name
    with opened(path) as database:
        waiting = append_run(ended, [None])
        outcomes = database.commit([waiting, Forget(ended), append_run(following, [None])], NOW_NS)
        assert isinstance(outcomes[0], StoreFailed)
        assert outcomes[1:] == [None, None]
    with opened(path) as again:
        assert [(stored.id, stored.name) for stored in again.streams] == [(2, ended.name)]


def test_the_highest_numbers_are_kept(path: Path) -> None:
    first, second = stream_of(7), stream_of(5)
    first.epoch, second.epoch = type(first.epoch)(100), type(first.epoch)(200)
    with opened(path) as database:
        assert database.last_ended == LastEnded(0, 0)
        for stream in (first, second):
            done(database, append_run(stream, [None]))
            done(database, Forget(stream))
    with opened(path) as again:
        assert again.last_ended == LastEnded(7, 200)


def test_a_deletion_is_as_durable_as_its_stream(path: Path) -> None:
    stream = stream_of(1)
    stream.durability = Durability.FSYNC
    levels: list[Durability] = []
    with opened(path) as database:
        done(database, append_run(stream, [None]))
        transaction = database.file.transaction

        def watched(durability: Durability) -> object:
            levels.append(durability)
            return transaction(durability)

        database.file.transaction = watched  # type: ignore[method-assign, assignment]
        done(database, Forget(stream))
    assert levels[0] is Durability.FSYNC
