"""SqliteStreamStore: streams go into a registry, and come out of it after any end of the process."""

from __future__ import annotations

import gc
import os
import resource
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from pathlib import Path
from queue import SimpleQueue

import numpy as np
import pytest

from gateway.errors import StoreFailed
from gateway.ids import ClientId, StreamName
from gateway.protocol.durability import Durability
from gateway.protocol.messages import Kind
from gateway.streams.history import Entry
from gateway.streams.large import LargeMessage, TransferNumbers
from gateway.streams.producers import Producers
from gateway.streams.progress import Mark
from gateway.streams.run import Run
from gateway.streams.span import offsets_of
from gateway.streams.sqlite.store import SqliteStreamStore
from gateway.streams.sqlite.store_clock import Machine
from gateway.streams.stream import Stream
from gateway.streams.stream_registry import StreamRegistry
from tests.streams.frames import large_of, offsets_in, run_of
from tests.streams.sqlite.still_machine import still_machine
from tests.streams.sqlite.streams import BOOT, NOW_NS, offsets
from tests.streams.test_state import STATE as STATE_ARRAY
from tests.streams.test_state import array_of, patched, whole_large, whole_run

TIMEOUT_S = 60
PLENTY = 2**40
EVENTS, STATE, TASKS = StreamName("wf/events"), StreamName("wf/state"), StreamName("wf/tasks")

MACHINE = still_machine(BOOT, NOW_NS)


class Bench:
    """A store with its registry; its loop is a queue, run by hand, and its workers work at once."""

    def __init__(self, path: Path, machine: Machine = MACHINE) -> None:
        self.calls: SimpleQueue[Callable[[], object]] = SimpleQueue()
        self.streams = StreamRegistry(100, durable=True)
        self.transfers = TransferNumbers()
        self.store = SqliteStreamStore(path, machine, self.calls.put, self._submit)
        self.producers = Producers(lambda: 0.0)
        try:
            self.store.restore(self.streams, self.transfers, self.producers)
        except BaseException:
            self.store.close()
            raise

    def _submit(
        self, work: Callable[[], Sequence[Entry]], done: Callable[[Sequence[Entry] | BaseException], None]
    ) -> None:
        try:
            result: Sequence[Entry] | BaseException = work()
        except Exception as error:  # noqa: BLE001 - the caller gets it as the result
            result = error
        self.calls.put(lambda: done(result))

    def open(self, name: StreamName, kind: Kind, durability: Durability = Durability.OS) -> Stream:
        return self.streams.open(name, kind, NOW_NS, durability)[0]

    def append(self, stream: Stream, entry: Entry) -> None:
        """Append, wait until it is stored, remember it."""
        outcomes: list[Exception | None] = []
        stream.reserve(entry.count if isinstance(entry, Run) else 1)
        self.store.append(stream, entry, outcomes.append)
        while not outcomes:
            self.calls.get(timeout=TIMEOUT_S)()
        assert outcomes == [None]
        stream.remember(entry)

    def read(self, stream: Stream, first: int, last: int, max_bytes: int = PLENTY) -> list[Entry]:
        results: list[Sequence[Entry] | Exception] = []
        self.store.read(stream, first, last, max_bytes, results.append)
        while not results:
            self.calls.get(timeout=TIMEOUT_S)()
        [entries] = results
        assert not isinstance(entries, Exception), entries
        return list(entries)


@pytest.fixture
def bench(path: Path) -> Iterator[Bench]:
    bench = Bench(path)
    yield bench
    bench.store.close()


def fill(bench: Bench) -> tuple[Stream, Stream]:
    """Events of every form, and a state."""
    events, state = bench.open(EVENTS, Kind.EVENT), bench.open(STATE, Kind.STATE, Durability.FSYNC)
    bench.append(events, run_of(0, [None, 5], events))
    message = large_of(6, 9000, events)
    for index in range(3):
        bench.store.stage(message, index, lambda _: None)
    bench.append(events, message)
    bench.append(events, run_of(7, [None], events))
    bench.append(state, run_of(0, [None, None], state))
    return events, state


def test_streams_are_there_again_with_their_newest_states(path: Path) -> None:
    first = Bench(path)
    events, state = fill(first)
    first.store.close()
    second = Bench(path)
    for stream in (events, state):
        again = second.streams.get(stream.name)
        assert again is not None
        fields = ("id", "name", "kind", "durability", "epoch", "next_offset")
        assert [getattr(again, name) for name in fields] == [getattr(stream, name) for name in fields]
    again = second.open(STATE, Kind.STATE, Durability.FSYNC)
    assert isinstance(again.newest, Run)
    assert offsets_in(again.newest) == [1]
    assert second.open(StreamName("wf/new"), Kind.EVENT).id > max(events.id, state.id)
    second.store.close()


def test_the_past_is_read_across_file_and_memory(path: Path) -> None:
    first = Bench(path)
    fill(first)
    first.store.close()
    second = Bench(path)
    events = second.open(EVENTS, Kind.EVENT)
    assert (events.first_offset, events.next_offset) == (0, 8)
    second.append(events, run_of(8, [None, None], events))
    found: list[int] = []
    while len(found) < 10:
        found += offsets(second.read(events, len(found), 9))
    assert found == list(range(10))
    # The batch is whole.
    assert offsets(second.read(events, 4, 5)) == [1, 2, 3, 4, 5]
    [large] = second.read(events, 6, 6)
    assert isinstance(large, LargeMessage)
    assert large.plan.transfer < second.transfers.next()
    second.store.close()


def test_what_is_in_memory_is_read_from_there(bench: Bench) -> None:
    events, _ = fill(bench)
    results: list[Sequence[Entry] | Exception] = []
    bench.store.read(events, 0, 7, PLENTY, results.append)
    assert len(results) == 1


def test_a_second_gateway_is_refused(path: Path, bench: Bench) -> None:
    with pytest.raises(StoreFailed, match="in use by another gateway"):
        Bench(path)


def test_a_file_that_cannot_be_used_is_not_locked(path: Path) -> None:
    path.write_bytes(b"something else" * 1000)
    for _ in range(2):
        with pytest.raises(StoreFailed, match="damaged, or not a store"):
            Bench(path)


def test_a_process_that_may_open_no_more_files_is_told_so(path: Path) -> None:
    Bench(path).store.close()
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    gc.collect()  # no garbage of other tests is to close its files meanwhile
    free = os.open(os.devnull, os.O_RDONLY)
    os.close(free)
    refusals: list[str] = []
    try:
        for limit in range(free, free + 100):
            resource.setrlimit(resource.RLIMIT_NOFILE, (limit, hard))
            try:
                Bench(path).store.close()
            except StoreFailed as error:
                refusals.append(str(error))
            else:
                break
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    # The lock, the file, its log, the index of the log, the second connection.
    assert len(refusals) >= 5
    assert [refusal for refusal in refusals if "ulimit -n" not in refusal] == []


def damage(path: Path, table: str, column: str, value: object) -> None:
    """Rows that no gateway has written."""
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute(f"UPDATE {table} SET {column} = ?", (value,))


@pytest.mark.parametrize(
    ("table", "column", "value"),
    [
        ("streams", "kind", "unknown"),
        ("streams", "schema", "{"),
        ("messages", "origins", b"too short"),
        ("messages", "frames", b"no frame"),
        ("messages", "last_at", "text"),
        ("consumers", "beyond", b"too short"),
    ],
)
def test_a_file_with_damaged_rows_is_refused_in_a_sentence_and_is_not_locked(
    path: Path, table: str, column: str, value: object
) -> None:
    first = Bench(path)
    fill(first)
    tasks = first.open(TASKS, Kind.COLLABORATION)
    first.append(tasks, run_of(0, [None] * 6, tasks))
    first.store.advance(tasks, ClientId("worker"), Mark(2, ((4, 4),)))
    first.append(tasks, run_of(6, [None], tasks))
    first.store.close()
    damage(path, table, column, value)
    for _ in range(2):
        with pytest.raises(StoreFailed, match=f"store {path} cannot be used: .*restore a copy"):
            open_all(path)


def open_all(path: Path) -> None:
    """Open a store as a gateway does."""
    bench = Bench(path)
    try:
        for stream in bench.streams:
            if stream.kind is Kind.COLLABORATION:
                unsettled = bench.store.unsettled(stream)
                assert unsettled.marks
                assert list(unsettled.entries)
    finally:
        bench.store.close()


def test_a_failed_read_is_logged_once_and_counted_until_one_succeeds(
    path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    first = Bench(path)
    fill(first)
    first.store.close()
    second = Bench(path)
    events = second.open(EVENTS, Kind.EVENT)
    for encoding in (b"no encoding", None):
        damage(path, "chunks", "encoding", encoding)
        for _ in range(3):
            results: list[Sequence[Entry] | Exception] = []
            second.store.read(events, 6, 6, PLENTY, results.append)
            second.calls.get(timeout=TIMEOUT_S)()
            assert isinstance(results[0], StoreFailed) == (encoding is not None)
    assert caplog.text.count("cannot be read") == 1
    assert "has a damaged row: ProtocolViolation: encoding block" in caplog.text
    assert caplog.text.count("can be read again") == 1
    assert second.store.health.failures == 3
    assert second.store.health.problem is None
    second.store.close()


def test_a_read_that_fails_leaves_out_only_messages_that_are_not_in_memory(path: Path) -> None:
    first = Bench(path)
    fill(first)
    first.store.close()
    second = Bench(path)
    events = second.open(EVENTS, Kind.EVENT)
    second.append(events, run_of(8, [None, None], events))
    second.store._reader.close()
    assert offsets(second.read(events, 0, 9)) == [8, 9]
    second.store.close()


def test_a_read_that_fails_is_told(path: Path) -> None:
    first = Bench(path)
    fill(first)
    first.store.close()
    second = Bench(path)
    second.store._reader.close()
    results: list[Sequence[Entry] | Exception] = []
    second.store.read(second.open(EVENTS, Kind.EVENT), 0, 5, PLENTY, results.append)
    second.calls.get(timeout=TIMEOUT_S)()
    assert isinstance(results[0], Exception)
    second.store.close()


def test_a_restarted_gateway_knows_what_consumers_have_not_settled(path: Path) -> None:
    first = Bench(path)
    tasks = first.open(TASKS, Kind.COLLABORATION)
    first.append(tasks, run_of(0, [None] * 6, tasks))
    first.store.advance(tasks, ClientId("behind"), Mark(2, ((4, 4),)))
    first.store.advance(tasks, ClientId("done"), Mark(6))
    first.store.advance(tasks, ClientId("gone"), Mark(1))
    first.append(tasks, run_of(6, [None], tasks))
    first.store.advance(tasks, ClientId("gone"), None)
    first.store.close()
    second = Bench(path)
    unsettled = second.store.unsettled(second.open(TASKS, Kind.COLLABORATION))
    assert unsettled.marks == {"behind": Mark(2, ((4, 4),)), "done": Mark(6)}
    assert [offset for entry in unsettled.entries for offset in offsets_in(entry)] == [2, 3, 4, 5, 6]
    second.store.close()


def test_all_is_settled_of_a_stream_without_consumers(path: Path) -> None:
    first = Bench(path)
    tasks = first.open(TASKS, Kind.COLLABORATION)
    first.append(tasks, run_of(0, [None], tasks))
    first.store.close()
    second = Bench(path)
    unsettled = second.store.unsettled(second.open(TASKS, Kind.COLLABORATION))
    assert (unsettled.marks, list(unsettled.entries)) == ({}, [])
    second.store.close()


def test_a_large_message_that_is_discarded_leaves_room_for_the_next(bench: Bench) -> None:
    events = bench.open(EVENTS, Kind.EVENT)
    message = large_of(0, 9000, events)
    bench.store.stage(message, 0, lambda _: None)
    assert bench.store.waiting_bytes > 0
    bench.store.discard(message)
    bench.append(events, run_of(0, [None], events))
    assert bench.store.waiting_bytes == 0
    assert offsets(bench.read(events, 0, 0)) == [0]


@pytest.mark.parametrize("large", [False, True], ids=["in one frame", "in chunks"])
def test_a_state_that_was_patched_comes_back_whole(path: Path, large: bool) -> None:
    bench = Bench(path)
    stream = bench.open(STATE, Kind.STATE)
    whole: Entry = whole_large(stream) if large else whole_run(stream)
    if isinstance(whole, LargeMessage):
        for index in range(len(whole.chunks)):
            bench.store.stage(whole, index, lambda _: None)
    bench.append(stream, whole)
    expected = STATE_ARRAY.copy()
    for row in range(3):
        assert stream.newest is not None
        bench.append(stream, patched(stream.newest, row, np.s_[row]))
        expected[row] = row
    bench.store.close()
    again = Bench(path)
    restored = again.streams.get(STATE)
    assert restored is not None
    assert restored.next_offset == 4
    assert restored.newest is not None
    assert offsets_of(restored.newest) == (3, 3)
    assert isinstance(restored.newest, LargeMessage) == large
    np.testing.assert_array_equal(array_of(restored.newest), expected)
    again.store.close()


@pytest.mark.parametrize("step_ns", [3600 * 10**9, -3600 * 10**9])
def test_a_deadline_is_moved_when_the_clock_was_set_between_two_gateways(path: Path, step_ns: int) -> None:
    first = Bench(path)
    stream = first.open(StreamName("wf/tasks"), Kind.COLLABORATION)
    first.append(stream, run_of(0, [None, None], stream))
    first.store.close()
    second = Bench(path, still_machine(BOOT, NOW_NS + 1, step_ns))
    again = second.streams.get(stream.name)
    assert again is not None
    assert [second.store.unsettled(again).shift_ns(offset) for offset in (0, 1)] == [step_ns] * 2
    second.store.close()
