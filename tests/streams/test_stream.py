"""Stream: offsets and the newest state."""

from __future__ import annotations

import pytest

from gateway.errors import Code, RequestRefused
from gateway.ids import Epoch, StreamId, StreamName
from gateway.protocol.durability import Durability
from gateway.protocol.messages import Kind
from gateway.protocol.schema import Schema
from gateway.protocol.transfers import ChunkPlan
from gateway.protocol.wire import Opcode
from gateway.streams.history import History, HistoryBudget, HistoryLimits
from gateway.streams.large import LargeMessage, StoredChunk
from gateway.streams.rules import DEFAULT_HISTORY, StreamConfig
from gateway.streams.run import Run
from gateway.streams.span import offsets_of
from gateway.streams.stream import Stream
from tests.streams.frames import run_of


def stream(kind: Kind) -> Stream:
    return Stream(StreamId(3), StreamName("wf/a"), kind, Epoch(7))


def run(source: Stream, count: int) -> Run:
    return Run(source, source.next_offset, count, (bytes(40 * count),), 40 * count, 40 * (count - 1), 1)


def large(source: Stream) -> LargeMessage:
    message = LargeMessage(source, Opcode.MESSAGE, 1, 0, 0, b"", ChunkPlan(1, 4096, 5000))
    message.chunks += [StoredChunk(None, bytes(4096)), StoredChunk(None, bytes(904))]
    return message


def test_offsets_grow_by_one_a_message() -> None:
    source = stream(Kind.EVENT)
    source.append_run(run(source, 3))
    message = large(source)
    source.append_large(message)
    source.append_run(run(source, 1))
    assert message.offset == 3
    assert source.next_offset == 5
    assert source.published_bytes == 120 + 5000 + 40


@pytest.mark.parametrize("kind", Kind)
def test_only_a_state_is_remembered(kind: Kind) -> None:
    source = stream(kind)
    source.append_run(run(source, 2))
    newest = source.newest
    assert (newest is not None) == (kind is Kind.STATE)
    if isinstance(newest, Run):
        assert (newest.first, newest.count) == (1, 1)
    message = large(source)
    source.append_large(message)
    assert source.newest is (message if kind is Kind.STATE else None)


def test_what_is_appended_is_in_the_history() -> None:
    history = History(HistoryLimits(), HistoryBudget(2**30))
    source = Stream(StreamId(3), StreamName("wf/a"), Kind.EVENT, Epoch(7), history=history)
    source.append_run(run(source, 3))
    source.append_large(large(source))
    assert (source.first_offset, history.next_offset, source.next_offset) == (0, 4, 4)
    assert [offsets_of(entry) for entry in history.read(0, 3, 2**30)] == [(0, 2), (3, 3)]


def test_what_is_reserved_is_there_when_it_is_remembered() -> None:
    history = History(HistoryLimits(), HistoryBudget(2**30))
    source = Stream(StreamId(3), StreamName("wf/a"), Kind.STATE, Epoch(7), None, history, Durability.OS)
    first, second = run_of(0, [None, None], source), run_of(2, [None], source)
    assert [source.reserve(entry.count) for entry in (first, second)] == [0, 2]
    assert (source.next_offset, history.next_offset, source.newest, source.published_bytes) == (3, 0, None, 0)
    source.remember(first)
    source.rollback(second)
    assert isinstance(source.newest, Run)
    assert (source.next_offset, history.next_offset, source.newest.first) == (2, 2, 1)
    assert source.published_bytes == first.size


@pytest.mark.parametrize(
    ("kind", "durability", "history", "stored_first"),
    [
        (Kind.EVENT, Durability.MEMORY, None, None),
        (Kind.EVENT, Durability.OS, None, 0),
        (Kind.STATE, Durability.OS, None, None),
        (Kind.STATE, Durability.OS, HistoryLimits(), 0),
        (Kind.CONTROL, Durability.FSYNC, None, 0),
    ],
)
def test_a_store_keeps_a_past_for_those_that_have_one(
    kind: Kind, durability: Durability, history: HistoryLimits | None, stored_first: int | None
) -> None:
    config = StreamConfig(history=history)
    source = Stream(StreamId(3), StreamName("wf/a"), kind, Epoch(7), config, durability=durability)
    assert source.stored_first == stored_first


@pytest.mark.parametrize(
    ("kind", "durability", "code"),
    [
        (None, None, None),
        (Kind.EVENT, Durability.OS, None),
        (Kind.STATE, None, Code.KIND_MISMATCH),
        (None, Durability.FSYNC, Code.DURABILITY_MISMATCH),
    ],
)
def test_it_is_taken_for_what_it_is(kind: Kind | None, durability: Durability | None, code: Code | None) -> None:
    source = Stream(StreamId(3), StreamName("wf/a"), Kind.EVENT, Epoch(7), durability=Durability.OS)
    if code is None:
        source.check(kind, durability)
        return
    with pytest.raises(RequestRefused) as refused:
        source.check(kind, durability)
    assert refused.value.code == code


COUNTS = Schema.parse({"dtype": "uint8", "shape": [1]})
PAIRS = Schema.parse({"dtype": "uint8", "shape": [2]})


def durable_state() -> Stream:
    return Stream(StreamId(3), StreamName("wf/a"), Kind.STATE, Epoch(7), durability=Durability.OS)


def test_a_stream_is_announced_with_its_schema_and_the_offset_of_its_next_message() -> None:
    source = durable_state()
    source.declare(COUNTS)
    source.reserve(2)
    announced = source.info()
    assert (announced.id, announced.stream, announced.kind, announced.epoch, announced.offset) == (
        source.id,
        source.name,
        Kind.STATE,
        source.epoch,
        2,
    )
    assert announced.durability is Durability.OS
    assert announced.schema == {"dtype": "uint8", "shape": [1]}
    assert stream(Kind.EVENT).info().schema is None


def test_a_configured_schema_is_that_of_states_only() -> None:
    config = StreamConfig(schema=COUNTS)
    for kind in Kind:
        source = Stream(StreamId(3), StreamName("wf/a"), kind, Epoch(7), config)
        assert source.schema == (COUNTS if kind is Kind.STATE else None)


def test_a_schema_is_declared_once_and_may_be_repeated() -> None:
    source = stream(Kind.STATE)
    source.declare(COUNTS)
    source.declare(Schema.parse({"dtype": "uint8", "shape": [1]}))
    with pytest.raises(RequestRefused) as refused:
        source.declare(PAIRS)
    assert refused.value.code == Code.SCHEMA_MISMATCH
    assert source.schema == COUNTS


def test_only_a_state_takes_a_schema() -> None:
    source = stream(Kind.EVENT)
    with pytest.raises(RequestRefused) as refused:
        source.declare(COUNTS)
    assert refused.value.code == Code.INVALID_REQUEST
    assert source.schema is None


@pytest.mark.parametrize("stored", [False, True])
def test_a_schema_has_to_fit_the_newest_message_even_while_the_message_is_being_stored(stored: bool) -> None:
    source = durable_state()
    entry = run_of(source.reserve(1), [None], source)
    source.expect(entry)
    if stored:
        source.remember(entry)
    with pytest.raises(RequestRefused) as refused:
        source.declare(PAIRS)
    assert refused.value.code == Code.SCHEMA_MISMATCH
    assert source.schema is None
    source.declare(COUNTS)


def test_the_latest_message_is_the_one_that_is_being_stored() -> None:
    source = durable_state()
    first, second, third = (run_of(source.reserve(1), [None], source) for _ in range(3))
    assert [source.latest] == [None]
    source.expect(first)
    source.expect(second)
    assert source.latest is second
    source.remember(first)
    assert (source.newest, source.latest) == (first, second)
    source.remember(second)
    assert source.newest is source.latest is second
    source.expect(third)
    source.rollback(third)
    assert source.latest is second
    assert source.next_offset == 2


def test_a_large_state_that_is_being_stored_is_the_latest_and_of_other_kinds_there_is_none() -> None:
    state, event = durable_state(), stream(Kind.EVENT)
    for source in (state, event):
        message = large(source)
        message.offset = source.reserve(1)
        source.expect(message)
        assert source.latest is (message if source is state else None)


@pytest.mark.parametrize("history", [None, HistoryLimits()])
def test_a_store_keeps_as_much_as_is_configured_or_the_default(history: HistoryLimits | None) -> None:
    source = Stream(StreamId(3), StreamName("wf/a"), Kind.EVENT, Epoch(7), StreamConfig(history=history))
    assert source.stored_limits == (history or DEFAULT_HISTORY)


def test_what_the_store_keeps_can_be_read_again_though_memory_has_lost_it() -> None:
    history = History(HistoryLimits(), HistoryBudget(2**30), 10)
    source = Stream(StreamId(3), StreamName("wf/a"), Kind.EVENT, Epoch(7), None, history, Durability.OS)
    assert source.first_offset == source.next_offset == 10
    source.stored_first = 4
    assert source.first_offset == 4
