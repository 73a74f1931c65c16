"""PastTails: what is read through it is what the store has, whatever is loaded, dropped and published meanwhile."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.connections import past_tails
from gateway.connections.past_tails import MAX_CONTINUED, MAX_MISSED, MAX_TAILS, MISSED_S, PastTails
from gateway.errors import StoreFailed
from gateway.ids import Epoch, StreamId, StreamName
from gateway.protocol.durability import Durability
from gateway.protocol.messages import EndReason, Kind
from gateway.streams.history import KEEP_ALL, EntriesRead, Entry, History, HistoryBudget, HistoryLimits
from gateway.streams.span import offsets_of
from gateway.streams.stream import Stream
from tests.connections.memory import ManualClock
from tests.streams.frames import frame, large_of, run_of

SIZE = len(frame(0))
LARGE = 5000


class File:
    """A store of streams whose past is in it alone, as behind a restart; it answers later.

    Args:
        streams: number of streams.
        messages: messages of each.
        large: whether each message is a large one, so that none is read together with others.
    """

    def __init__(self, streams: int = 1, messages: int = 20, *, large: bool = False) -> None:
        self._large = large
        self.clock = ManualClock()
        self.tails = PastTails(self, self.clock)
        self.past: dict[Stream, History] = {}
        self.streams = [self._stored(number, messages) for number in range(1, streams + 1)]
        self.answers: deque[Callable[[], object]] = deque()
        self.reads: list[tuple[int, int]] = []
        self.fails = False

    def _stored(self, number: int, messages: int) -> Stream:
        history = History(HistoryLimits(), HistoryBudget(2**40), messages)
        name = StreamName(f"wf/{number}")
        stream = Stream(StreamId(number), name, Kind.EVENT, Epoch(1), history=history, durability=Durability.OS)
        stream.stored_first = 0
        self.past[stream] = History(KEEP_ALL, HistoryBudget(2**40))
        for offset in range(messages):
            self.past[stream].append(self._message(stream, offset))
        return stream

    def _message(self, stream: Stream, offset: int) -> Entry:
        return large_of(offset, LARGE, stream) if self._large else run_of(offset, [None], stream)

    def read(self, stream: Stream, first: int, last: int, max_bytes: int, done: EntriesRead) -> None:
        """Read as :meth:`~gateway.connections.ports.PastReader.read` does."""
        if first >= stream.history.first:
            done(stream.history.read(first, last, max_bytes))
            return
        self.reads.append((first, last))
        found: Sequence[Entry] | Exception = StoreFailed("the disk fails")
        if not self.fails:
            found = self.past[stream].read(first, min(last, stream.history.first - 1), max_bytes)
        self.answers.append(lambda: done(found))

    def answer(self) -> None:
        """Answer all reads."""
        while self.answers:
            self.answers.popleft()()

    def joined(self, stream: Stream, first: int, piece_bytes: int = 2**20) -> list[int]:
        """The offsets that a client gets which joins at an offset."""
        got: list[int] = []
        while first < stream.next_offset:
            found: list[Sequence[Entry] | Exception] = []
            self.tails.read(stream, first, stream.next_offset - 1, piece_bytes, found.append)
            self.answer()
            (entries,) = found
            if isinstance(entries, Exception) or not entries:
                break
            for entry in entries:
                begin, end = offsets_of(entry)
                got += range(max(begin, first), end + 1)
            first = got[-1] + 1
        return got

    def publish(self, stream: Stream) -> None:
        """A message is stored."""
        message = self._message(stream, stream.next_offset)
        self.past[stream].append(message)
        stream.next_offset += 1
        stream.history.append(message)


def test_those_that_join_read_from_the_store_until_the_tail_is_loaded() -> None:
    file = File()
    (stream,) = file.streams
    assert file.joined(stream, 5) == list(range(5, 20))
    assert file.joined(stream, 5) == list(range(5, 20))
    (use,) = file.tails.uses()
    assert (use.stream, use.joins, use.loaded) == (stream, 2, False)
    assert file.tails.load("wf/1")
    file.answer()
    before = len(file.reads)
    assert file.joined(stream, 5) == list(range(5, 20))
    assert file.joined(stream, 11) == list(range(11, 20))
    assert len(file.reads) == before
    stats = file.tails.stats()
    assert (stats.hits, stats.misses, stats.held_bytes) == (2, 2, 15 * SIZE)
    assert file.joined(stream, 0) == list(range(20)), "what is before the tail comes from the store"
    file.tails.drop("wf/1")
    assert file.tails.stats().held_bytes == len(file.tails) == 0
    assert file.joined(stream, 5) == list(range(5, 20))


def test_a_join_that_takes_several_reads_counts_once() -> None:
    file = File(large=True)
    (stream,) = file.streams
    file.joined(stream, 0, 2 * LARGE)
    (use,) = file.tails.uses()
    assert use.joins == 1
    assert len(file.reads) > 5


def test_reads_are_forgotten_after_a_while_and_with_their_stream() -> None:
    file = File(2)
    first, second = file.streams
    file.joined(first, 0)
    file.joined(second, 0)
    second.end(EndReason.DELETED)
    assert [use.stream for use in file.tails.uses()] == [first]
    file.clock.advance(MISSED_S + 1)
    assert not list(file.tails.uses())
    assert not file.tails.load("wf/1")


def test_the_tail_of_a_stream_that_ends_is_given_up() -> None:
    file = File()
    (stream,) = file.streams
    file.joined(stream, 0)
    file.tails.load("wf/1")
    file.answer()
    assert file.tails.has("wf/1")
    stream.end(EndReason.DELETED)
    assert not list(file.tails.uses())
    assert not file.tails.has("wf/1")


def test_what_the_store_has_dropped_is_not_served() -> None:
    file = File()
    (stream,) = file.streams
    file.joined(stream, 0)
    file.tails.load("wf/1")
    file.answer()
    stream.stored_first = 10
    before = len(file.reads)
    file.joined(stream, 5)
    assert len(file.reads) > before


def test_a_tail_that_cannot_be_read_is_empty_and_nobody_notices() -> None:
    file = File()
    (stream,) = file.streams
    file.joined(stream, 0)
    file.fails = True
    assert file.tails.load("wf/1")
    file.answer()
    file.fails = False
    assert file.joined(stream, 0) == list(range(20))


def test_a_tail_that_is_dropped_while_it_is_loaded_stays_dropped() -> None:
    file = File()
    (stream,) = file.streams
    file.joined(stream, 0)
    file.tails.load("wf/1")
    file.tails.drop("wf/1")
    file.answer()
    assert file.tails.stats().held_bytes == 0


def test_tails_are_bounded_one_by_one_and_together(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(past_tails, "MAX_TAIL_BYTES", 10 * LARGE)
    monkeypatch.setattr(past_tails, "MAX_BYTES", 25 * LARGE)
    file = File(4, large=True)
    for stream in file.streams:
        file.joined(stream, 0)
    for number in range(1, 5):
        file.tails.load(f"wf/{number}")
        file.answer()
    assert file.tails.stats().held_bytes == 25 * LARGE
    assert not [use for use in file.tails.uses() if not use.loaded], "there is no room for another one"
    for stream in file.streams:
        assert file.joined(stream, 0) == list(range(20))


def test_of_very_many_streams_some_have_a_tail() -> None:
    file = File(MAX_TAILS + 1, messages=1)
    for stream in file.streams:
        file.joined(stream, 0)
    loaded = [file.tails.load(stream.name) for stream in file.streams]
    file.answer()
    assert loaded == [True] * MAX_TAILS + [False]
    assert not [use for use in file.tails.uses() if not use.loaded], "there is no room for another one"


def test_of_very_many_streams_some_are_counted() -> None:
    file = File(MAX_MISSED + 5, messages=1)
    for stream in file.streams:
        assert file.joined(stream, 0) == [0]
    assert len(list(file.tails.uses())) == MAX_MISSED


def test_of_very_many_reads_under_way_some_are_told_from_new_ones() -> None:
    file = File(messages=2 * MAX_CONTINUED, large=True)
    (stream,) = file.streams
    for first in range(2 * MAX_CONTINUED):
        file.tails.read(stream, first, first, LARGE, lambda entries: None)
        file.answer()
    (reads,) = file.tails._reads.values()
    assert len(reads.continued) <= MAX_CONTINUED


@settings(max_examples=200)
@given(st.lists(st.sampled_from(["join", "publish", "load", "drop", "answer", "shrink"]), max_size=40), st.data())
def test_a_join_gets_every_message_once_in_order_whatever_is_in_memory(acts: list[str], data: st.DataObject) -> None:
    file = File(large=data.draw(st.booleans()))
    (stream,) = file.streams
    for act in acts:
        match act:
            case "join":
                first = data.draw(st.integers(0, stream.next_offset))
                piece_bytes = data.draw(st.sampled_from([1, 3 * SIZE, 2**20]))
                assert file.joined(stream, first, piece_bytes) == list(range(first, stream.next_offset))
            case "publish":
                file.publish(stream)
            case "load":
                file.tails.load("wf/1")
            case "drop":
                file.tails.drop("wf/1")
            case "answer":
                file.answer()
            case _ if stream.history.held_bytes:
                stream.history.drop_oldest()
            case _:
                pass
