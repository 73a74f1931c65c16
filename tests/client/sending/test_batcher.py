"""Invariant: taken together, the batches of a stream hold every array that was added, once, in order, as it was."""

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Final

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.client.sending import batcher as batcher_module
from gateway.client.sending.batcher import BATCH_BYTES, BATCH_RECORDS, Batcher, LockedBatcher, ReadyBatch
from gateway.client.sending.content import Content
from gateway.client.sync.loop_thread import released
from gateway.errors import (
    CapacityError,
    Code,
    ConnectionFailed,
    InvalidArgument,
    RequestRefused,
    UnsupportedDtype,
    UsageError,
)
from gateway.protocol.messages import Kind
from gateway.protocol.meta import parse_meta
from gateway.protocol.tensors import Array, view_tensors
from gateway.protocol.wire import Opcode
from tests.client.storm import Storm


class Counted:
    """A batcher whose callbacks are counted."""

    def __init__(self, max_pending_bytes: int = 1 << 30) -> None:
        self.first = 0
        self.full = 0
        self.now_ns = 0
        self.batcher = Batcher(
            max_pending_bytes=max_pending_bytes,
            now_ns=self.tick,
            check=self.check,
            first=self.count_first,
            full=self.count_full,
        )

    def check(self, stream: str, kind: Kind | None, payload_bytes: int, message: Content | Array) -> None:
        """Refuse by name."""
        if stream == "wf/refused":
            raise RequestRefused(Code.KIND_MISMATCH, "no")

    def tick(self) -> int:
        self.now_ns += 1
        return self.now_ns

    def count_first(self) -> None:
        self.first += 1

    def count_full(self) -> None:
        self.full += 1


def records(batches: list[ReadyBatch]) -> list[Array]:
    """What is in batches of one tensor each."""
    found = []
    for batch in batches:
        count = batch.records if batch.opcode == Opcode.BATCH else None
        (view,) = view_tensors(parse_meta(batch.content.meta).specs, batch.content.payload(), count=count)
        found += list(view) if batch.opcode == Opcode.BATCH else [view]
    return found


def test_like_arrays_become_one_batch() -> None:
    counted = Counted()
    for step in range(5):
        counted.batcher.add("wf/x", np.full(3, step, np.float32), None, None)
    (batch,) = counted.batcher.take("wf/x")
    assert (batch.opcode, batch.records, batch.timestamp_ns) == (Opcode.BATCH, 5, 1)
    np.testing.assert_array_equal(np.stack(records([batch])), np.arange(5)[:, None] * np.ones(3))
    assert counted.batcher.empty
    assert counted.batcher.pending_bytes == 0


def test_a_single_array_is_a_plain_message() -> None:
    counted = Counted()
    counted.batcher.add("wf/x", 2.5, None, None)
    (batch,) = counted.batcher.take("wf/x")
    assert (batch.opcode, batch.records) == (Opcode.MESSAGE, 1)
    assert records([batch])[0] == 2.5


def test_the_array_may_be_reused() -> None:
    counted = Counted()
    array = np.zeros(2)
    for step in range(3):
        array[:] = step
        counted.batcher.add("wf/x", array, None, None)
    counted.batcher.add("wf/x", {"a": array}, None, None)
    array[:] = -1
    batches = counted.batcher.take("wf/x")
    assert [record[0] for record in records(batches)] == [0, 1, 2, 2]


def test_another_dtype_or_shape_starts_another_batch_in_order() -> None:
    counted = Counted()
    arrays = [np.zeros(2), np.ones(2), np.zeros(3), np.zeros(3, np.int8), np.ones(3, np.int8), np.zeros(2)]
    for array in arrays:
        counted.batcher.add("wf/x", array, None, None)
    batches = counted.batcher.take("wf/x")
    assert [batch.records for batch in batches] == [2, 1, 2, 1]
    for record, array in zip(records(batches), arrays, strict=True):
        np.testing.assert_array_equal(record, array)


def test_headers_keep_their_place_between_batches() -> None:
    counted = Counted()
    counted.batcher.add("wf/x", 1.0, None, None)
    counted.batcher.add("wf/x", 2.0, None, {"step": 2})
    counted.batcher.add("wf/x", None, None, {"step": 3})
    counted.batcher.add("wf/x", 4.0, None, None)
    batches = counted.batcher.take("wf/x")
    assert [parse_meta(batch.content.meta).headers for batch in batches] == [None, {"step": 2}, {"step": 3}, None]


@given(st.lists(st.tuples(st.sampled_from("ab"), st.sampled_from([(2,), (3,), ()]), st.booleans()), max_size=40))
def test_nothing_is_lost_or_disordered(calls: list[tuple[str, tuple[int, ...], bool]]) -> None:
    counted = Counted()
    added: dict[str, list[Array]] = {}
    for step, (name, shape, take) in enumerate(calls):
        array = np.full(shape, step)
        counted.batcher.add(f"wf/{name}", array, None, {"h": 1} if step % 7 == 3 else None)
        added.setdefault(name, []).append(array)
        if take:
            taken = records(counted.batcher.take(f"wf/{name}"))
            for expected in added.pop(name):
                np.testing.assert_array_equal(taken.pop(0), expected)
            assert not taken
    for name, arrays in added.items():
        taken = records(counted.batcher.take(f"wf/{name}"))
        for expected in arrays:
            np.testing.assert_array_equal(taken.pop(0), expected)
    assert counted.batcher.empty
    assert counted.batcher.pending_bytes == 0


def test_a_full_batch_is_due_at_once() -> None:
    counted = Counted()
    array = np.zeros(BATCH_BYTES // 8)
    counted.batcher.add("wf/x", array, None, None)
    assert (counted.first, counted.full) == (1, 1)
    counted.batcher.take("wf/x")
    small = np.zeros(0)
    for _ in range(BATCH_RECORDS):
        counted.batcher.add("wf/y", small, None, None)
    assert counted.full == 2
    assert [batch.records for batch in counted.batcher.take("wf/y")] == [BATCH_RECORDS]


@pytest.mark.parametrize("dtype", [np.float64, np.float32, np.int8])
def test_no_batch_holds_more_than_fits(dtype: type[np.generic]) -> None:
    counted = Counted()
    array = np.zeros(16, dtype)
    limit = min(BATCH_RECORDS, BATCH_BYTES // array.nbytes)
    for _ in range(2 * limit + 1):
        counted.batcher.add("wf/x", array, None, None)
    assert [batch.records for batch in counted.batcher.take("wf/x")] == [limit, limit, 1]


def test_small_messages_with_headers_are_collected_until_they_are_many() -> None:
    counted = Counted()
    counted.batcher.add("wf/x", 1.0, None, {"step": 1})
    assert (counted.first, counted.full) == (1, 0)
    for step in range(BATCH_BYTES // 256):
        counted.batcher.add("wf/x", 1.0, None, {"step": step})
    assert counted.first == 1
    assert counted.full > 0


def test_sending_is_due_again_after_everything_was_taken() -> None:
    counted = Counted()
    counted.batcher.add("wf/x", 1.0, None, None)
    counted.batcher.add("wf/y", 1.0, None, None)
    assert counted.first == 1
    counted.batcher.listen()
    counted.batcher.take("wf/x")
    counted.batcher.take("wf/y")
    counted.batcher.add("wf/x", 1.0, None, None)
    assert counted.first == 2


def test_a_batch_that_still_takes_records_is_not_complete() -> None:
    batcher = Counted().batcher
    batcher.add("wf/open", 1.0, None, None)
    batcher.add("wf/headers", 1.0, None, {"h": 1})
    assert sorted(batcher.streams()) == ["wf/headers", "wf/open"]
    assert batcher.complete_streams() == ["wf/headers"]


def test_a_limit_leaves_the_rest() -> None:
    counted = Counted()
    for step in range(6):
        counted.batcher.add("wf/x", np.full(1000, step), None, {"step": step})
    steps = []
    while batches := counted.batcher.take("wf/x", 10_000):
        assert len(batches) <= 2
        steps += [int(record[0]) for record in records(batches)]
    assert steps == list(range(6))


def test_too_much_is_refused_and_nothing_of_it_taken() -> None:
    counted = Counted(max_pending_bytes=10_000)
    counted.batcher.add("wf/x", np.zeros(1000), None, {"step": 1})
    with pytest.raises(CapacityError, match=r"drain\(\)"):
        counted.batcher.add("wf/x", np.zeros(1000), None, {"step": 2})
    with pytest.raises(CapacityError):
        counted.batcher.add("wf/y", np.zeros(1000), None, None)
    assert len(counted.batcher.take("wf/x")) == 1
    counted.batcher.add("wf/y", np.zeros(1000), None, None)


def test_one_message_beyond_the_bound_passes_when_nothing_waits() -> None:
    counted = Counted(max_pending_bytes=10_000)
    counted.batcher.add("wf/x", np.zeros(100_000), None, None)
    assert counted.batcher.take("wf/x")[0].content.payload_bytes == 800_000


def test_the_kind_of_a_batch_is_kept() -> None:
    counted = Counted()
    for kind in ("event", Kind.EVENT, None, "event"):
        counted.batcher.add("wf/x", np.zeros(2), kind, None)
    (batch,) = counted.batcher.take("wf/x")
    assert (batch.kind, batch.records) == (Kind.EVENT, 4)


def test_bad_arguments_are_refused_at_the_call() -> None:
    batcher = Counted().batcher
    with pytest.raises(InvalidArgument, match="evnt"):
        batcher.add("wf/x", 1.0, "evnt", None)
    with pytest.raises(RequestRefused, match="stream name"):
        batcher.add("noworkflow", 1.0, None, None)
    with pytest.raises(RequestRefused, match="stream name"):
        batcher.add("noworkflow", None, None, {})
    with pytest.raises(UnsupportedDtype):
        batcher.add("wf/x", np.array(["text"]), None, None)
    assert batcher.empty


def test_after_a_failure_everything_is_refused_and_what_waited_is_counted() -> None:
    batcher = Counted().batcher
    for _ in range(3):
        batcher.add("wf/x", 1.0, None, None)
    batcher.add("wf/y", None, None, {})
    assert batcher.fail(ConnectionFailed("over")) == 4
    with pytest.raises(ConnectionFailed, match="over"):
        batcher.add("wf/x", 1.0, None, None)


def test_threads_lose_nothing() -> None:
    batcher = LockedBatcher(
        max_pending_bytes=1 << 30,
        now_ns=lambda: 0,
        check=lambda *_: None,
        first=lambda: None,
        full=lambda: None,
    )
    total = 2000
    taken: list[ReadyBatch] = []

    def add(name: str) -> None:
        for step in range(total):
            batcher.add(name, np.array([step]), None, None)

    threads = [threading.Thread(target=add, args=(name,)) for name in ("wf/a", "wf/b")]
    for thread in threads:
        thread.start()
    while any(thread.is_alive() for thread in threads) or not batcher.empty:
        for name in batcher.streams():
            taken += batcher.take(name)
    for name in ("wf/a", "wf/b"):
        steps = [int(record[0]) for record in records([batch for batch in taken if batch.stream == name])]
        assert steps == list(range(total))


@pytest.mark.parametrize("headers", [None, {"step": 1}])
def test_a_message_that_is_known_to_be_refused_is_not_taken(headers: dict[str, int] | None) -> None:
    counted = Counted()
    with pytest.raises(RequestRefused, match="KIND_MISMATCH"):
        counted.batcher.add("wf/refused", 1.0, None, headers)
    assert counted.batcher.empty
    assert (counted.batcher.pending_bytes, counted.first) == (0, 0)


STORM: Final = 40
"""Calls that interrupt, in each run."""


def shapes_of(step: int) -> tuple[Array, dict[str, int] | None]:
    """A message that is a record, another record, a number, a message with headers, or one that fills a batch."""
    if step % 5 == 4:
        return np.full(2, step, np.float32), {"step": step}
    return [np.full(2, step, np.float32), np.full(2, step), np.full((), step), np.full(8192, step)][step % 5], None


PLANS: Final[dict[str, Callable[[int], int]]] = {
    "like the others": lambda call: 0,
    "of another dtype": lambda call: 1,
    "full batches": lambda call: 0 if call % 50 else 3,
    "with headers": lambda call: 4,
    "of all sorts": lambda call: (0, 1, 2, 4)[call % 4] if call % 50 else 3,
}
"""Messages of the calls that interrupt, by their number."""


@pytest.fixture
def other_thread() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(1) as executor:
        yield executor


@pytest.mark.parametrize("plan", PLANS)
@pytest.mark.parametrize("stride", [1, 2, 3, 7, 31])
@pytest.mark.parametrize("place", ["nowhere else", "in one thread", "and another takes"])
def test_calls_that_interrupt_others_lose_nothing_and_keep_the_order(
    place: str, stride: int, plan: str, other_thread: ThreadPoolExecutor
) -> None:
    make = Batcher if place == "nowhere else" else LockedBatcher
    for first in range(0, 100_000, STORM // 2 * stride):
        told: list[str] = []
        batches: list[ReadyBatch] = []
        batcher = make(
            max_pending_bytes=1 << 30,
            now_ns=lambda: 0,
            check=lambda stream, kind, size, content: None,
            first=partial(told.append, "first"),
            full=lambda: None,
        )
        added = {"usual": 0, "interrupting": 0}

        def add(source: str, sort: int, batcher: Batcher = batcher, added: dict[str, int] = added) -> None:
            value, headers = shapes_of(5 * added[source] + sort)
            value[...] = added[source] if source == "usual" else -1 - added[source]
            batcher.add("wf/x", value, None, headers)
            added[source] += 1

        def take(batcher: Batcher = batcher, batches: list[ReadyBatch] = batches, told: list[str] = told) -> None:
            told.clear()
            batcher.listen()
            batches += batcher.take("wf/x")

        def interrupt(call: int, batcher: Batcher = batcher) -> None:
            add("interrupting", PLANS[plan](call))
            if place == "and another takes":
                assert isinstance(batcher, LockedBatcher)
                with released(batcher.lock):
                    other_thread.submit(take).result()

        with Storm(interrupt, batcher_module, first=first, stride=stride, left=STORM) as storm:
            for sort in (0, 0, 2, 1, 4, 0):
                add("usual", sort)
            if place == "and another takes":
                other_thread.submit(take).result()
            else:
                take()
            for sort in (0, 3, 0, 0, 4):
                add("usual", sort)
            if place != "and another takes":
                batches += batcher.take("wf/x", 1)
        assert batcher.empty or told, f"nobody was told of messages that wait, from step {first}"
        while not batcher.empty:
            take()
        values = [round(float(record.flat[0])) for record in records(batches)]
        usual = [value for value in values if value >= 0]
        interrupting = [-1 - value for value in values if value < 0]
        assert usual == list(range(added["usual"])), first
        assert interrupting == list(range(added["interrupting"])), first
        batcher.add("wf/x", 0, None, None)
        batcher.take("wf/x")
        assert batcher.pending_bytes == 0, first
        if not storm.count:  # it would have begun behind the last step
            assert first > 500, "the calls were not interrupted"
            return


def test_a_finalizer_that_publishes_while_the_batcher_is_locked_does_not_wait_for_itself() -> None:
    batcher = LockedBatcher(
        max_pending_bytes=1 << 30,
        now_ns=lambda: 0,
        check=lambda stream, kind, size, content: batcher.add("wf/inner", 1, None, None) if stream == "wf/x" else None,
        first=lambda: None,
        full=lambda: None,
    )
    batcher.add("wf/x", 2, None, None)
    assert [float(record) for record in records(batcher.take("wf/inner"))] == [1]
    assert [float(record) for record in records(batcher.take("wf/x"))] == [2]


@pytest.mark.parametrize("make", [Batcher, LockedBatcher])
def test_a_forked_process_drops_the_messages_of_its_parent_and_takes_none(make: type[Batcher]) -> None:
    batcher = make(
        max_pending_bytes=1 << 30,
        now_ns=lambda: 0,
        check=lambda stream, kind, size, content: None,
        first=lambda: None,
        full=lambda: None,
    )
    batcher.add("wf/x", np.zeros(2), None, None)
    batcher.fork(UsageError("made in another process"))
    assert (batcher.empty, batcher.pending_bytes) == (True, 0)
    with pytest.raises(UsageError, match="another process"):
        batcher.add("wf/x", np.zeros(2), None, None)
