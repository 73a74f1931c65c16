"""Writer: groups what waits, tells in order, lets go of the past meanwhile, and ends with everything written."""

from __future__ import annotations

import sqlite3
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from pathlib import Path
from queue import SimpleQueue

import pytest

from gateway.errors import StoreFailed
from gateway.ids import ClientId
from gateway.streams.history import HistoryLimits
from gateway.streams.progress import Mark
from gateway.streams.sqlite.changes import Advance, Change
from gateway.streams.sqlite.condition import Condition
from gateway.streams.sqlite.database import Database
from gateway.streams.sqlite.file_format import connect_reader
from gateway.streams.sqlite.writer import GROUP_BYTES, REPORTED_TOGETHER, Writer
from gateway.streams.stream import Stream
from tests.streams.frames import large_of
from tests.streams.sqlite.still_machine import still_machine
from tests.streams.sqlite.streams import BOOT, NOW_NS, append_run, staged, stream_of
from tests.streams.sqlite.test_failure import sqlite_error

TIMEOUT_S = 60


class SlowDatabase(Database):
    """Commits when it is let."""

    def __init__(self, path: Path) -> None:
        super().__init__(path, still_machine(BOOT, NOW_NS))
        self.groups: list[int] = []
        self.may_commit = threading.Semaphore(0)
        self.committing = threading.Semaphore(0)

    def commit(self, changes: Sequence[Change], now_ns: int) -> list[Exception | None]:
        self.groups.append(len(changes))
        self.committing.release()
        assert self.may_commit.acquire(timeout=TIMEOUT_S)
        return super().commit(changes, now_ns)


class Bench:
    """A writer whose loop is a queue, run by hand."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.database = SlowDatabase(path)
        self.calls: SimpleQueue[Callable[[], object]] = SimpleQueue()
        self.trimmed: list[tuple[Stream, int]] = []
        self.outcomes: list[tuple[int, Exception | None]] = []
        self.condition = Condition(path)
        self.writer = Writer(
            self.database,
            lambda: NOW_NS,
            self.calls.put,
            lambda stream, first: self.trimmed.append((stream, first)),
            self.condition,
        )
        self.writer.start([])

    def put(self, number: int, change: Change) -> None:
        self.writer.put(change, lambda outcome: self.outcomes.append((number, outcome)))

    def turn(self) -> None:
        """What the writer's thread wants done on the loop's, once."""
        self.calls.get(timeout=TIMEOUT_S)()


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    bench = Bench(tmp_path / "streams.db")
    yield bench
    for _ in range(100):
        bench.database.may_commit.release()
    if bench.condition.damage is None:
        bench.writer.close()
    else:
        with pytest.raises(StoreFailed, match="restore a copy"):
            bench.writer.close()


def test_what_waits_is_committed_at_once_and_told_in_order(bench: Bench) -> None:
    stream = stream_of()
    bench.put(0, append_run(stream, [None]))
    assert bench.database.committing.acquire(timeout=TIMEOUT_S)
    for number in range(1, 6):
        bench.put(number, append_run(stream, [None]))
    assert bench.writer.waiting_bytes > 0
    for _ in range(2):
        bench.database.may_commit.release()
        bench.turn()
    assert bench.database.groups == [1, 5]
    assert bench.outcomes == [(number, None) for number in range(6)]
    assert bench.writer.waiting_bytes == 0


def test_a_group_is_bounded_in_bytes(bench: Bench) -> None:
    bench.put(0, append_run(stream_of(9), [None]))
    assert bench.database.committing.acquire(timeout=TIMEOUT_S)
    message = large_of(0, 3 * GROUP_BYTES)
    chunks = staged(message)
    for number, chunk in enumerate(chunks, start=1):
        bench.put(number, chunk)
    for _ in range(4):
        bench.database.may_commit.release()
    while len(bench.outcomes) <= len(chunks):
        bench.turn()
    assert bench.database.groups == [1, *[len(chunks) // 3] * 3]


def test_very_many_outcomes_are_reported_in_several_turns_in_their_order(bench: Bench) -> None:
    stream = stream_of()
    bench.put(0, append_run(stream, [None]))
    assert bench.database.committing.acquire(timeout=TIMEOUT_S)
    count = 3 * REPORTED_TOGETHER
    for number in range(1, count):
        bench.put(number, append_run(stream, [None]))
    for _ in range(2):
        bench.database.may_commit.release()
        bench.turn()
    assert bench.database.groups == [1, count - 1]
    assert len(bench.outcomes) == 1 + REPORTED_TOGETHER
    # What the thread wants to be done meanwhile is done behind them.
    bench.put(count, append_run(stream, [None]))
    bench.database.may_commit.release()
    while len(bench.outcomes) <= count:
        before = len(bench.outcomes)
        bench.turn()
        assert len(bench.outcomes) <= before + REPORTED_TOGETHER
    assert bench.outcomes == [(number, None) for number in range(count + 1)]


def test_a_failure_is_told_and_the_writer_goes_on(bench: Bench, caplog: pytest.LogCaptureFixture) -> None:
    stream = stream_of()
    first = append_run(stream, [None])
    bench.database._connection.execute("PRAGMA max_page_count=1")
    bench.put(0, append_run(stream_of(2), [60_000]))
    bench.database.may_commit.release()
    bench.turn()
    assert isinstance(bench.outcomes[0][1], StoreFailed)
    bench.database._connection.execute("PRAGMA max_page_count=1000000")
    bench.put(1, first)
    bench.database.may_commit.release()
    bench.turn()
    assert bench.outcomes[1] == (1, None)


def test_a_defect_is_a_failure_too(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(self: Database, changes: Sequence[Change], now_ns: int) -> list[Exception | None]:
        raise ZeroDivisionError

    with monkeypatch.context() as patch:
        patch.setattr(SlowDatabase, "commit", broken)
        bench.put(0, append_run(stream_of(), [None]))
        bench.turn()
    assert isinstance(bench.outcomes[0][1], StoreFailed)
    assert "ZeroDivisionError" in caplog.text
    assert bench.condition.health().refused_messages == 1


@pytest.mark.parametrize("broken", ["trim", "sweep", "advance", "check_in_place"])
@pytest.mark.parametrize(
    "error",
    [
        sqlite3.DatabaseError("malformed"),
        OSError(5, "I/O error"),
        MemoryError(),
        ZeroDivisionError(),
        KeyboardInterrupt(),
        SystemExit(1),
        GeneratorExit(),
    ],
    ids=repr,
)
def test_no_failure_ends_the_thread(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, broken: str, error: BaseException
) -> None:
    """Whatever fails beside a publish, the publishes that come later have an outcome, and recovery is found."""
    failed = threading.Event()

    def fail(*_: object, **__: object) -> None:
        failed.set()
        raise error

    monkeypatch.setattr("gateway.streams.sqlite.condition.CHECK_S", 0.0)
    stream = stream_of()
    bench.database.may_commit.release(1000)
    bench.put(0, append_run(stream, [None]))
    bench.turn()
    assert bench.outcomes == [(0, None)]
    with monkeypatch.context() as patch:
        patch.setattr(bench.database.file if broken == "check_in_place" else bench.database, broken, fail)
        bench.put(1, append_run(stream_of(2), [None]))
        assert failed.wait(TIMEOUT_S)
        while len(bench.outcomes) < 2:
            bench.turn()
        # Refused or stored, but answered.
    number = 2
    while True:
        other = stream_of(number + 1)
        bench.put(number, append_run(other, [None]))
        while len(bench.outcomes) <= number:
            bench.turn()
        if bench.outcomes[-1] == (number, None) and bench.condition.health().problem is None:
            break
        number += 1
    assert caplog.text.count("are refused with QUEUE_FULL") == caplog.text.count("works again after") >= 1


@pytest.mark.parametrize("error", [MemoryError(), KeyboardInterrupt()], ids=repr)
def test_what_is_stored_is_not_refused_because_the_report_fails(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, error: BaseException
) -> None:
    stream = stream_of()
    bench.put(0, append_run(stream, [None]))
    assert bench.database.committing.acquire(timeout=TIMEOUT_S)
    first = Writer._tell_loop

    def fail_once(writer: Writer, callback: Callable[[], object]) -> None:
        monkeypatch.setattr(Writer, "_tell_loop", first)
        raise error

    monkeypatch.setattr(Writer, "_tell_loop", fail_once)
    bench.database.may_commit.release(2)
    bench.turn()
    assert bench.outcomes == [(0, None)]
    bench.put(1, append_run(stream, [None]))
    while len(bench.outcomes) < 2:
        bench.turn()
    assert bench.outcomes == [(0, None), (1, None)]


@pytest.mark.parametrize("error", [sqlite3.OperationalError("unable to close"), MemoryError(), SystemExit()], ids=repr)
def test_whatever_fails_at_the_end_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: BaseException
) -> None:
    bench = Bench(tmp_path / "streams.db")
    close = bench.database.close

    def fail(damage: StoreFailed | None) -> None:
        close(damage)
        raise error

    monkeypatch.setattr(bench.database, "close", fail)
    with pytest.raises(StoreFailed, match=r"streams\.db failed"):
        bench.writer.close()


def test_a_log_that_fills_the_disk_is_copied_before_anything_is_written(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Deleting the past needs room, too."""
    monkeypatch.setattr("gateway.streams.sqlite.condition.CHECK_S", 0.0)
    log = bench.database.file.log_path
    trim = bench.database.trim

    def need_room(stream: Stream, limits: HistoryLimits, now_ns: int, *, in_haste: bool) -> int:
        if log.stat().st_size > 0:
            raise sqlite_error(sqlite3.SQLITE_FULL)
        monkeypatch.setattr(bench.database, "trim", trim)
        return trim(stream, limits, now_ns, in_haste=in_haste)

    monkeypatch.setattr(bench.database, "trim", need_room)
    bench.database.may_commit.release(1000)
    bench.put(0, append_run(stream_of(), [None]))
    bench.turn()
    while bench.condition.health().failures == 0 or bench.condition.failing:
        time.sleep(0.01)


def test_a_damaged_file_refuses_at_once_until_the_gateway_is_started_again(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("gateway.streams.sqlite.condition.CHECK_S", 0.0)
    bench.condition.failed(damaged(bench.path.parent))
    for number in range(3):
        bench.put(number, append_run(stream_of(number + 1), [None]))
        bench.turn()
        assert "restore a copy" in str(bench.outcomes[number][1])
    assert bench.database.groups == []
    assert caplog.text.count("until the gateway is started again") == 1
    assert "malformed" in str(bench.condition.health().problem)


def damaged(folder: Path) -> sqlite3.DatabaseError:
    """The error of a page that went bad."""
    path = folder / "damaged.db"
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("CREATE TABLE numbers (number INTEGER)")
        connection.execute("INSERT INTO numbers VALUES (1)")
        (size,) = connection.execute("PRAGMA page_size").fetchone()
    data = bytearray(path.read_bytes())
    data[size:] = bytes([0xA5]) * (len(data) - size)
    path.write_bytes(data)
    with closing(sqlite3.connect(path)) as connection, pytest.raises(sqlite3.DatabaseError) as caught:
        connection.execute("SELECT * FROM numbers").fetchall()
    return caught.value


def test_an_outcome_that_cannot_be_reported_holds_up_no_other(bench: Bench, caplog: pytest.LogCaptureFixture) -> None:
    def broken(outcome: Exception | None) -> None:
        raise ZeroDivisionError

    stream = stream_of()
    bench.put(0, append_run(stream, [None]))
    assert bench.database.committing.acquire(timeout=TIMEOUT_S)
    bench.writer.put(append_run(stream, [None]), broken)
    bench.put(2, append_run(stream, [None]))
    bench.database.may_commit.release(2)
    bench.turn()
    bench.turn()
    assert bench.outcomes == [(0, None), (2, None)]
    assert bench.writer.waiting_bytes == 0
    assert "ZeroDivisionError" in caplog.text


def test_a_commit_that_takes_long_is_told_while_it_lasts(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gateway.streams.sqlite.condition.STALLED_S", 0.0)
    bench.put(0, append_run(stream_of(), [None]))
    assert bench.database.committing.acquire(timeout=TIMEOUT_S)
    assert "the disk has not answered for 0 s" in str(bench.condition.health().problem)
    bench.database.may_commit.release()
    bench.turn()
    assert bench.outcomes == [(0, None)]


def test_a_loop_that_has_ended_does_not_keep_the_file_open(tmp_path: Path) -> None:
    def ended(_: object) -> None:
        raise RuntimeError("Event loop is closed")

    path = tmp_path / "streams.db"
    writer = Writer(
        Database(path, still_machine(BOOT, NOW_NS)), lambda: NOW_NS, ended, lambda *_: None, Condition(path)
    )
    writer.start([])
    writer.put(append_run(stream_of(), [None]), None)
    writer.close()
    assert sorted(file.name for file in tmp_path.iterdir()) == ["streams.db"]


def test_the_past_is_trimmed_when_there_is_time(bench: Bench) -> None:
    stream = stream_of(history=HistoryLimits(max_messages=10))
    for number in range(5):
        bench.put(number, append_run(stream, [None] * 10))
        bench.database.may_commit.release()
        # A turn may bring what was trimmed meanwhile.
        while len(bench.outcomes) <= number:
            bench.turn()
    while not bench.trimmed or bench.trimmed[-1] != (stream, 40):
        bench.turn()


def test_rows_that_stay_are_read_when_there_is_time(bench: Bench) -> None:
    """A page that went bad is found."""
    statements: SimpleQueue[str] = SimpleQueue()
    bench.put(0, append_run(stream_of(), [None]))
    bench.database.may_commit.release()
    bench.turn()
    bench.database._connection.set_trace_callback(statements.put)
    for _ in range(3):
        while not statements.get(timeout=TIMEOUT_S).startswith("SELECT first"):
            pass


def marks(bench: Bench) -> list[tuple[str, int]]:
    with closing(connect_reader(bench.path)) as connection:
        return list(connection.execute("SELECT client_id, next_offset FROM consumers"))


def test_how_far_a_client_has_got_rides_with_the_next_transaction(bench: Bench) -> None:
    stream = stream_of()
    bench.put(0, append_run(stream, [None]))
    assert bench.database.committing.acquire(timeout=TIMEOUT_S)
    bench.writer.advance(Advance(stream, ClientId("worker"), Mark(1)))
    bench.put(1, append_run(stream, [None]))
    bench.database.may_commit.release(2)
    bench.turn()
    bench.turn()
    assert bench.database.groups == [1, 1]
    assert marks(bench) == [("worker", 1)]


def test_how_far_a_client_has_got_does_not_wait_for_ever_for_a_transaction(bench: Bench) -> None:
    stream = stream_of()
    bench.database.may_commit.release(2)
    bench.put(0, append_run(stream, [None]))
    bench.turn()
    bench.writer.advance(Advance(stream, ClientId("worker"), Mark(1)))
    bench.turn()
    assert bench.database.groups == [1, 0]
    assert marks(bench) == [("worker", 1)]


def test_closing_writes_how_far_clients_have_got(bench: Bench) -> None:
    stream = stream_of()
    bench.database.may_commit.release(3)
    bench.put(0, append_run(stream, [None]))
    bench.turn()
    bench.writer.advance(Advance(stream, ClientId("worker"), Mark(1)))
    bench.writer.close()
    assert marks(bench) == [("worker", 1)]


def test_closing_writes_what_waits(tmp_path: Path) -> None:
    bench = Bench(tmp_path / "streams.db")
    stream = stream_of()
    for number in range(10):
        bench.put(number, append_run(stream, [None]))
        bench.database.may_commit.release()
    bench.writer.close()
    reopened = Database(tmp_path / "streams.db", still_machine("after a restart of the machine", NOW_NS))
    assert [(stored.next_offset, stored.epoch) for stored in reopened.streams] == [(10, 7)]
    reopened.close()
