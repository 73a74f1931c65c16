"""Database: what is committed is there when the file is opened again, and nothing else."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.errors import StoreFailed
from gateway.ids import ClientId
from gateway.protocol.durability import Durability
from gateway.protocol.messages import Kind
from gateway.protocol.schema import Schema
from gateway.streams.history import HistoryLimits
from gateway.streams.large import TransferNumbers
from gateway.streams.progress import Mark
from gateway.streams.run import Origin
from gateway.streams.sqlite.changes import Advance, Append, Change, Discard, Forget
from gateway.streams.sqlite.database import TRIM_ROWS, Database
from gateway.streams.sqlite.file_format import connect
from gateway.streams.sqlite.origins import read_origins
from gateway.streams.sqlite.rows import read_entries
from gateway.streams.stream import Stream
from tests.streams.frames import large_of
from tests.streams.sqlite.still_machine import still_machine
from tests.streams.sqlite.streams import BOOT, NOW_NS, append_large, append_run, done, offsets, staged, stream_of

PLENTY = 2**40
HOUR_NS = 3600 * 10**9


@contextmanager
def opened(path: Path, boot_id: str = BOOT) -> Iterator[Database]:
    """The file, and at the end as a gateway leaves it that is killed."""
    database = Database(path, still_machine(boot_id, NOW_NS))
    yield database
    database.file.close()


def read(path: Path, stream: Stream) -> list[int]:
    connection = connect(path)
    found = offsets(read_entries(connection, stream, 0, PLENTY, PLENTY, TransferNumbers()))
    connection.close()
    return found


def counted(path: Path, table: str) -> int:
    connection = connect(path)
    (count,) = connection.execute(f"SELECT count(*) FROM {table}").fetchone()
    connection.close()
    return int(count)


def test_what_is_committed_is_there_after_the_process_is_killed(path: Path) -> None:
    event, state = stream_of(3), stream_of(8, Kind.STATE, Durability.FSYNC)
    with opened(path) as database:
        done(database, append_run(event, [None, 4]), append_run(state, [None]), *append_large(event))
        done(database, append_run(event, [None]), append_run(state, [None, None]))
    with opened(path) as database:
        assert [tuple(stream) for stream in database.streams] == [
            (3, "wf/3", Kind.EVENT, Durability.OS, 7, 0, 7, None),
            (8, "wf/8", Kind.STATE, Durability.FSYNC, 7, 2, 3, None),
        ]
    assert read(path, event) == list(range(7))
    assert read(path, state) == [2]


def test_messages_go_on_where_they_ended(path: Path) -> None:
    stream = stream_of()
    with opened(path) as database:
        done(database, append_run(stream, [None, None]))
    with opened(path) as database:
        done(database, append_run(stream, [None]))
    assert read(path, stream) == [0, 1, 2]


def test_what_a_state_is_declared_to_hold_is_kept(path: Path) -> None:
    stream = stream_of(kind=Kind.STATE)
    schema = Schema.parse({"dtype": "uint8", "shape": [None]})
    with opened(path) as database:
        done(database, append_run(stream, [None]))
        stream.declare(schema)
        done(database, append_run(stream, [None]))
    with opened(path) as database:
        assert [stored.schema for stored in database.streams] == [schema]


def test_of_a_state_only_the_newest_is_kept(path: Path) -> None:
    stream = stream_of(kind=Kind.STATE)
    with opened(path) as database:
        for _ in range(3):
            done(database, *append_large(stream))
        done(database, append_run(stream, [None]))
        while database.sweep():
            pass
    assert read(path, stream) == [3]
    assert (counted(path, "messages"), counted(path, "large_messages"), counted(path, "chunks")) == (1, 0, 0)


def test_of_a_state_it_is_known_who_published_the_versions_before(path: Path) -> None:
    """A publisher may still ask, also after the file was opened again, and whatever failed meanwhile."""
    stream = stream_of(kind=Kind.STATE)

    def publish(producer: int, sequence: int) -> Change:
        return append_run(stream, [None], Origin(stream.next_offset, 1, producer, sequence))

    with opened(path) as database:
        done(database, publish(7, 1))
        done(database, publish(7, 2), publish(8, 1))
    with opened(path) as database:
        with full_disk(database):
            run = append_run(stream, [60_000], Origin(stream.next_offset, 60_000, 8, 2))
            [failed] = database.commit([run], NOW_NS)
            assert isinstance(failed, StoreFailed)
        stream.rollback(run.entry)
        done(database, publish(8, 2))
        done(database, append_run(stream, [None]))
        done(database, publish(7, 3))
    connection = connect(path)
    assert list(read_origins(connection, stream)) == [Origin(0, 2, 7, 1), Origin(2, 2, 8, 1), Origin(5, 1, 7, 3)]
    connection.close()
    assert read(path, stream) == [5]


def test_a_large_message_is_not_there_before_its_end(path: Path) -> None:
    stream = stream_of()
    message = large_of(0, 9000, stream)
    with opened(path) as database:
        done(database, append_run(stream_of(9), [None]), *staged(message)[:2])
    assert counted(path, "chunks") == 2
    with opened(path) as database:
        assert [stored.id for stored in database.streams] == [9]
        while database.sweep():
            pass
    assert counted(path, "chunks") == 0


def test_a_large_message_that_is_discarded_goes(path: Path) -> None:
    message = large_of(0, 9000, stream_of())
    with opened(path) as database:
        done(database, *staged(message), Discard(message))
        done(database, Discard(large_of(0)))
        while database.sweep():
            pass
    assert counted(path, "chunks") == 0


# What cannot be stored.


@contextmanager
def full_disk(database: Database) -> Iterator[None]:
    """No page more fits the file."""
    connection = database._connection
    (before,) = connection.execute("PRAGMA max_page_count").fetchone()
    connection.execute("PRAGMA max_page_count=1")
    yield
    connection.execute(f"PRAGMA max_page_count={before}")


def test_a_full_disk_costs_nothing_that_was_stored(path: Path) -> None:
    stream = stream_of()
    with opened(path) as database:
        done(database, append_run(stream, [None]))
        with full_disk(database):
            large, behind = append_run(stream, [60_000]), append_run(stream, [None])
            failed, followed = database.commit([large, behind], NOW_NS)
            assert isinstance(failed, StoreFailed)
            assert "full" in str(failed)
            assert isinstance(followed, StoreFailed)
            # What was given offsets behind them fails too, whatever room there is now.
        [misplaced] = database.commit([append_run(stream, [None])], NOW_NS)
        assert isinstance(misplaced, StoreFailed)
        assert "1 is the next" in str(misplaced)
        stream.rollback(large.entry)
        done(database, append_run(stream, [None, None]))
    assert read(path, stream) == [0, 1, 2]


def test_a_new_stream_that_did_not_fit_is_made_by_the_next_append(path: Path) -> None:
    stream = stream_of()
    with opened(path) as database:
        with full_disk(database):
            append = append_run(stream, [60_000])
            assert database.commit([append], NOW_NS) != [None]
        stream.rollback(append.entry)
        done(database, append_run(stream, [None]))
    assert read(path, stream) == [0]


def test_a_large_message_that_lost_a_chunk_is_not_appended(path: Path) -> None:
    stream = stream_of()
    message = large_of(stream.reserve(1), 300_000, stream)
    chunks = staged(message)
    with opened(path) as database:
        done(database, *chunks[:10])
        with full_disk(database):
            assert None not in database.commit(chunks[10:], NOW_NS)
        [outcome] = database.commit([Append(stream, message)], NOW_NS)
        assert isinstance(outcome, StoreFailed)
        while database.sweep():
            pass
        stream.rollback(message)
        done(database, append_run(stream, [None]))
    assert read(path, stream) == [0]
    assert counted(path, "chunks") == 0


# Letting go.


def trimmed(database: Database, stream: Stream, limits: HistoryLimits, now_ns: int = NOW_NS) -> int:
    while database.trim(stream, limits, now_ns) == TRIM_ROWS:
        pass
    return database.first_of(stream)


@pytest.mark.parametrize(
    ("limits", "first"),
    [
        (HistoryLimits(), 0),
        (HistoryLimits(max_messages=40), 60),
        (HistoryLimits(max_messages=35), 60),
        (HistoryLimits(max_bytes=1), 90),
        (HistoryLimits(max_age_s=1), 90),
    ],
)
def test_what_no_limit_covers_goes_row_by_row_but_for_the_newest(path: Path, limits: HistoryLimits, first: int) -> None:
    stream = stream_of()
    stream.aliases = 1
    with opened(path) as database:
        for _ in range(10):
            done(database, append_run(stream, [None] * 10))
        assert trimmed(database, stream, limits, NOW_NS + HOUR_NS // 12) == first
        assert database.trim(stream, limits, NOW_NS + HOUR_NS // 12) == 0
    assert read(path, stream) == list(range(first, 100))


@pytest.mark.parametrize(
    ("kind", "aliases", "limits", "first"),
    [
        (Kind.EVENT, 0, HistoryLimits(max_age_s=1), 3),
        (Kind.COLLABORATION, 0, HistoryLimits(max_age_s=1), 3),
        (Kind.EVENT, 1, HistoryLimits(max_age_s=1), 2),
        (Kind.EVENT, 0, HistoryLimits(max_age_s=301), 0),
        (Kind.EVENT, 0, HistoryLimits(0, 0, 301), 2),
        (Kind.STATE, 0, HistoryLimits(max_age_s=1), 2),
    ],
)
def test_the_newest_message_goes_once_it_is_too_old_and_no_connection_has_the_stream_open(
    path: Path, kind: Kind, aliases: int, limits: HistoryLimits, first: int
) -> None:
    stream = stream_of(kind=kind, history=limits)
    stream.aliases = aliases
    with opened(path) as database:
        for _ in range(3):
            done(database, append_run(stream, [None]))
        assert trimmed(database, stream, limits, NOW_NS + HOUR_NS // 12) == first
    with opened(path) as again:
        (stored,) = again.streams
        assert (stored.first_offset, stored.next_offset) == (first, 3)
        done(again, append_run(stream, [None]))


def test_a_stream_that_has_ended_is_deleted_and_its_name_can_be_used_again(path: Path) -> None:
    ended, other, following = stream_of(1), stream_of(2), stream_of(3)
    following.name = ended.name
    with opened(path) as database:
        done(database, append_run(ended, [None]), *append_large(ended), append_run(other, [None]))
        database.advance([Advance(ended, ClientId("worker"), Mark(0))])
        done(database)
        database.advance([Advance(ended, ClientId("worker"), Mark(1))])
        done(database, Forget(ended), append_run(following, [None]))
        assert database.first_of(ended) == 0
        while database.sweep():
            pass
        done(database, Forget(stream_of(99)))
    assert (read(path, ended), read(path, other), read(path, following)) == ([], [0], [0])
    assert (counted(path, "consumers"), counted(path, "chunks"), counted(path, "large_messages")) == (0, 0, 0)
    with opened(path) as again:
        assert [stored.id for stored in again.streams] == [2, 3]


def test_a_stream_that_could_not_be_deleted_is_deleted_later(path: Path) -> None:
    ended, following = stream_of(1), stream_of(3)
    following.name = ended.name
    with opened(path) as database:
        done(database, append_run(ended, [None]))
        with full_disk(database):
            database.commit([Forget(ended), append_run(stream_of(2), [60_000])], NOW_NS)
        database.refuse([Forget(ended)], [StoreFailed("for now")])
        done(database, append_run(following, [None]))
        while database.sweep():
            pass
    assert (read(path, ended), read(path, following)) == ([], [0])


@pytest.mark.parametrize("max_age_s", [1e300, float("inf")])
def test_an_age_that_no_clock_reaches_is_no_limit(path: Path, max_age_s: float) -> None:
    stream = stream_of()
    with opened(path) as database:
        assert database.commit([append_run(stream, [None])], NOW_NS) == [None]
        assert database.trim(stream, HistoryLimits(max_age_s=max_age_s), NOW_NS + HOUR_NS) == 0


def test_rows_that_stay_are_not_read_behind_each_commit(path: Path) -> None:
    stream = stream_of()
    statements: list[str] = []
    with opened(path) as database:
        done(database, append_run(stream, [None]))
        assert database.trim(stream, HistoryLimits(), NOW_NS, in_haste=True) == 0
        database._connection.set_trace_callback(statements.append)
        for _ in range(3):
            done(database, append_run(stream, [None]))
            assert database.trim(stream, HistoryLimits(), NOW_NS, in_haste=True) == 0
    assert [statement.split()[0] for statement in statements] == ["BEGIN", "INSERT", "COMMIT"] * 3


LIMITS = [
    HistoryLimits(),
    HistoryLimits(max_messages=25),
    HistoryLimits(max_messages=1),
    HistoryLimits(max_bytes=3000),
    HistoryLimits(max_age_s=3000),
]


@settings(deadline=None, max_examples=30)
@given(
    steps=st.lists(
        st.tuples(st.sampled_from(["append", "trim", "fail", "settle"]), st.sampled_from(LIMITS)), max_size=30
    ),
    kind=st.sampled_from([Kind.EVENT, Kind.STATE]),
)
def test_what_is_known_of_rows_changes_nothing_about_the_rows_that_go(
    steps: list[tuple[str, HistoryLimits]], kind: Kind
) -> None:
    """Compared with a store that reads them at each look."""
    with TemporaryDirectory() as folder:
        known = _left(Path(folder) / "known.db", steps, kind, in_haste=True)
        assert known == _left(Path(folder) / "read.db", steps, kind, in_haste=False)


def _left(path: Path, steps: list[tuple[str, HistoryLimits]], kind: Kind, *, in_haste: bool) -> list[int]:
    """What each step lets go of, and the offsets that are left."""
    stream = stream_of(kind=kind)
    gone = []
    with opened(path) as database:
        for number, (step, limits) in enumerate(steps):
            now_ns = NOW_NS + number * HOUR_NS // 12
            if step == "append":
                assert database.commit([append_run(stream, [None, 5])], now_ns) == [None]
            elif step == "settle":
                database.advance([Advance(stream, ClientId("worker"), Mark(stream.next_offset // 2))])
                database.commit([], now_ns)
            elif step == "trim":
                gone.append(database.trim(stream, limits, now_ns, in_haste=in_haste))
            else:
                database._connection.execute("PRAGMA query_only=1")
                with suppress(sqlite3.OperationalError):
                    gone.append(database.trim(stream, limits, now_ns, in_haste=in_haste))
                database._connection.execute("PRAGMA query_only=0")
    return gone + read(path, stream)


def test_many_rows_go_in_steps(path: Path) -> None:
    stream = stream_of()
    with opened(path) as database:
        for _ in range(TRIM_ROWS + 20):
            done(database, append_run(stream, [None]))
        assert database.trim(stream, HistoryLimits(max_messages=5), NOW_NS) == TRIM_ROWS
        assert database.trim(stream, HistoryLimits(max_messages=5), NOW_NS) == 15
        assert database.trim(stream_of(99), HistoryLimits(), NOW_NS) == 0
    assert len(read(path, stream)) == 5


def test_chunks_of_what_was_let_go_of_go_too(path: Path) -> None:
    stream = stream_of()
    with opened(path) as database:
        done(database, *append_large(stream, 600_000), *append_large(stream, 600_000), append_run(stream, [None]))
        trimmed(database, stream, HistoryLimits(max_messages=1))
        steps = 0
        while database.sweep():
            steps += 1
        assert steps > 1
    assert (counted(path, "chunks"), read(path, stream)) == (0, [2])


# The machine.


def epochs(path: Path, boot_id: str) -> dict[int, int]:
    with opened(path, boot_id) as database:
        return {stream.id: stream.epoch for stream in database.streams}


def prepared(path: Path) -> None:
    with opened(path) as database:
        streams = [stream_of(1), stream_of(2, durability=Durability.FSYNC)]
        done(database, *(append_run(stream, [None]) for stream in streams))


def test_after_a_crash_of_the_machine_streams_that_trusted_it_start_anew(path: Path) -> None:
    prepared(path)
    assert epochs(path, BOOT) == {1: 7, 2: 7}
    assert epochs(path, "another") == {1: NOW_NS // 1_000_000, 2: 7}


def test_after_an_orderly_stop_they_go_on(path: Path) -> None:
    prepared(path)
    Database(path, still_machine(BOOT, NOW_NS)).close()
    assert not path.with_name("streams.db-wal").exists()
    assert epochs(path, "another") == {1: 7, 2: 7}


# Damage.


@pytest.mark.parametrize("damage", [lambda data: data[: len(data) // 2], lambda data: data[:4096] + bytes(len(data))])
def test_a_damaged_file_is_told(path: Path, damage: Callable[[bytes], bytes]) -> None:
    with opened(path) as database:
        for number in range(1, 30):
            done(database, append_run(stream_of(number), [5000]))
    Database(path, still_machine(BOOT, NOW_NS)).close()
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(StoreFailed, match="cannot be used"):
        Database(path, still_machine(BOOT, NOW_NS))
