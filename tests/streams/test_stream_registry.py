"""StreamRegistry: made at the first publish, found again, bounded in number."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway import shrinking
from gateway.errors import Code, RequestRefused
from gateway.ids import Epoch, StreamId, StreamName
from gateway.protocol.durability import Durability
from gateway.protocol.messages import EndReason, Kind
from gateway.protocol.names import compile_pattern
from gateway.streams.history import KEEP_ALL
from gateway.streams.rules import StreamConfig, StreamRules
from gateway.streams.stream_registry import StreamRegistry
from tests.streams.frames import run_of

NOW_NS = 1_770_000_000_000_000_000
A, B = StreamName("wf/a"), StreamName("wf/b")


def test_the_first_open_creates_a_stream_and_the_next_finds_it() -> None:
    registry = StreamRegistry(10)
    stream, created = registry.open(A, Kind.EVENT, NOW_NS)
    assert created
    assert (stream.name, stream.kind, stream.epoch, stream.next_offset) == (A, Kind.EVENT, NOW_NS // 1_000_000, 0)
    assert registry.open(A, None, NOW_NS + 5) == (stream, False)
    assert registry.get(A) is stream
    assert registry.get(B) is None
    assert list(registry) == [stream]


def test_every_number_is_given_once() -> None:
    registry = StreamRegistry(10)
    first, _ = registry.open(A, None, NOW_NS)
    other = registry.next_id()
    second, _ = registry.open(B, None, NOW_NS)
    assert len({first.id, other, second.id, registry.next_id()}) == 4


def test_a_stream_is_a_state_by_default() -> None:
    stream, _ = StreamRegistry(10).open(A, None, NOW_NS)
    assert stream.kind is Kind.STATE


def test_another_kind_is_refused() -> None:
    registry = StreamRegistry(10)
    registry.open(A, Kind.EVENT, NOW_NS)
    with pytest.raises(RequestRefused) as refused:
        registry.open(A, Kind.CONTROL, NOW_NS)
    assert refused.value.code == Code.KIND_MISMATCH


def test_a_configured_kind_is_the_default_and_the_only_one() -> None:
    registry = StreamRegistry(10, StreamRules([(compile_pattern("wf/*"), StreamConfig(kind=Kind.EVENT))]))
    with pytest.raises(RequestRefused) as refused:
        registry.open(A, Kind.STATE, NOW_NS)
    assert refused.value.code == Code.KIND_MISMATCH
    assert registry.get(A) is None
    assert registry.open(A, None, NOW_NS)[0].kind is Kind.EVENT


def test_a_configured_durability_is_the_default_and_the_only_one() -> None:
    rules = StreamRules([(compile_pattern("wf/*"), StreamConfig(durability=Durability.FSYNC))])
    registry = StreamRegistry(10, rules, durable=True)
    with pytest.raises(RequestRefused) as refused:
        registry.open(A, Kind.EVENT, NOW_NS, Durability.OS)
    assert refused.value.code == Code.DURABILITY_MISMATCH
    assert registry.open(A, Kind.EVENT, NOW_NS)[0].durability is Durability.FSYNC


def test_a_restored_stream_is_what_it_was(caplog: pytest.LogCaptureFixture) -> None:
    rules = StreamRules([(compile_pattern("wf/a"), StreamConfig(kind=Kind.STATE))])
    registry = StreamRegistry(10, rules, durable=True)
    stream = registry.restore(StreamId(7), A, Kind.EVENT, Durability.OS, Epoch(3), 40)
    assert "wf/a" in caplog.text
    assert registry.open(A, None, NOW_NS) == (stream, False)
    assert (stream.id, stream.kind, stream.durability, stream.epoch) == (7, Kind.EVENT, Durability.OS, 3)
    assert (stream.first_offset, stream.next_offset) == (40, 40)
    assert registry.open(B, None, NOW_NS)[0].id == 8


def test_all_histories_share_one_budget() -> None:
    registry = StreamRegistry(10, history_total_bytes=1000)
    streams = [registry.open(name, Kind.EVENT, NOW_NS)[0] for name in (A, B)]
    for stream in streams:
        stream.append_run(run_of(0, [None] * 20, stream))
    assert registry.budget.held_bytes == sum(stream.history.held_bytes for stream in streams) <= 1000


def test_ids_differ_and_the_number_is_bounded() -> None:
    registry = StreamRegistry(2)
    ids = {registry.open(name, None, NOW_NS)[0].id for name in (A, B)}
    assert len(ids) == len(registry) == 2
    with pytest.raises(RequestRefused) as refused:
        registry.open(StreamName("wf/c"), None, NOW_NS)
    assert refused.value.code == Code.LIMIT_EXCEEDED
    assert not registry.open(A, None, NOW_NS)[1]


def test_an_epoch_is_read_exactly_by_javascript() -> None:
    stream, _ = StreamRegistry(1).open(A, None, 2**63 - 1)
    assert stream.epoch < 2**53


@pytest.mark.parametrize("durability", Durability)
def test_streams_of_dead_letters_come_on_top_and_keep_what_no_store_keeps(durability: Durability) -> None:
    registry = StreamRegistry(1, durable=True)
    registry.open(A, None, NOW_NS)
    dead, _ = registry.open(StreamName(A + ".dead"), Kind.EVENT, NOW_NS, durability)
    with pytest.raises(RequestRefused) as refused:
        registry.open(B, None, NOW_NS)
    assert refused.value.code == Code.LIMIT_EXCEEDED
    assert [registry.has_room_for(StreamName(name)) for name in ("wf/c", "wf/c.dead")] == [False, False]
    more, _ = registry.open(StreamName("wf/more.dead"), Kind.EVENT, NOW_NS, durability)
    registry.end(more, EndReason.DELETED)
    registry.end(registry.open(A, None, NOW_NS)[0], EndReason.DELETED)
    assert [registry.has_room_for(StreamName(name)) for name in ("wf/c", "wf/c.dead")] == [True, False]
    assert dead.stored_limits == KEEP_ALL
    dead.append_run(run_of(0, [None, None, None], dead))
    budget = registry.budget if dead.durable else registry.dead_letters
    assert budget.held_bytes == dead.history.held_bytes > 0
    assert len(dead.history) == 3


@given(
    pattern=st.sampled_from(["**", "wf/**", "other/*"]),
    size=st.integers(1, 5),
    changes=st.lists(
        st.lists(st.tuples(st.sampled_from(["wf", "other"]), st.integers(0, 15)), max_size=6), max_size=12
    ),
    tables_are_built_anew=st.booleans(),
)
def test_pieces_name_every_stream_once_while_others_come_and_go(
    pattern: str, size: int, changes: Sequence[Sequence[tuple[str, int]]], *, tables_are_built_anew: bool
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        if tables_are_built_anew:
            patch.setattr(shrinking, "SMALL", 1)
            patch.setattr(shrinking, "SPARSE", 1.1)
        look_at_pieces(pattern, size, changes)


def look_at_pieces(pattern: str, size: int, changes: Sequence[Sequence[tuple[str, int]]]) -> None:
    registry = StreamRegistry(100)
    names = [StreamName(f"{workflow}/{number}") for number in range(12) for workflow in ("wf", "other")]
    before = [registry.open(name, None, NOW_NS)[0] for name in names]
    compiled = compile_pattern(pattern)
    following = iter(changes)
    found = []
    for piece in registry.pieces(compiled, size):
        assert len(piece) <= size
        assert all(stream.ended is None for stream in piece)
        found += piece
        for workflow, number in next(following, ()):
            # Each name by turns ends and begins anew.
            name = StreamName(f"{workflow}/{number}")
            stream = registry.get(name)
            if stream is None:
                registry.open(name, None, NOW_NS)
            else:
                registry.end(stream, EndReason.DELETED)
    matching = [stream for stream in found if compiled.matches(stream.name)]
    assert len(set(found)) == len(found)
    assert set(found) <= set(before)
    assert set(matching) >= {stream for stream in before if stream.ended is None and compiled.matches(stream.name)}


def test_pieces_of_a_workflow_look_at_its_streams_only() -> None:
    registry = StreamRegistry(100)
    for name in ("wf/a", "other/a", "wf/b"):
        registry.open(StreamName(name), None, NOW_NS)
    looked_at = [stream.name for piece in registry.pieces(compile_pattern("wf/*"), 1) for stream in piece]
    assert looked_at == ["wf/a", "wf/b"]
    assert list(registry.pieces(compile_pattern("none/*"), 1)) == []


def test_a_stream_that_is_opened_after_the_call_is_in_no_piece() -> None:
    registry = StreamRegistry(100)
    registry.open(StreamName("wf/a"), None, NOW_NS)
    pieces = registry.pieces(compile_pattern("**"), 10)
    registry.open(StreamName("wf/b"), None, NOW_NS)
    assert [[stream.name for stream in piece] for piece in pieces] == [["wf/a"]]


def test_the_one_piece_of_a_literal_pattern_is_its_stream() -> None:
    registry = StreamRegistry(100)
    for name in ("wf/a", "wf/b"):
        registry.open(StreamName(name), None, NOW_NS)
    assert [[stream.name for stream in piece] for piece in registry.pieces(compile_pattern("wf/b"), 1)] == [["wf/b"]]


@pytest.mark.parametrize("pattern", ["**", "*/a", "wf/*", "none/*", "wf/a", "wf/none"])
def test_candidates_are_counted_without_a_look_at_them(pattern: str) -> None:
    registry = StreamRegistry(100)
    for name in ("wf/a", "other/a", "wf/b"):
        registry.open(StreamName(name), None, NOW_NS)
    compiled = compile_pattern(pattern)
    assert registry.candidate_count(compiled) == len(registry.candidates(compiled))
