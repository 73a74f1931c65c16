"""Stream: offsets and the newest state."""

from __future__ import annotations

import pytest

from gateway.errors import Code, RequestRefused
from gateway.ids import Epoch, StreamId, StreamName
from gateway.protocol.durability import Durability
from gateway.protocol.messages import Kind
from gateway.protocol.transfers import ChunkPlan
from gateway.protocol.wire import Opcode
from gateway.streams.history import History, HistoryBudget, HistoryLimits
from gateway.streams.large import LargeMessage, StoredChunk
from gateway.streams.rules import StreamConfig
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
