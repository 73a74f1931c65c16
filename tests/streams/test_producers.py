"""Producers: a message that is sent again has the offset that it had, or what was said of it then."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.errors import Code, RequestRefused
from gateway.ids import Epoch, StreamId, StreamName
from gateway.protocol.messages import Kind
from gateway.protocol.wire import PRODUCER_KEPT_S as KEPT_S
from gateway.streams import producers as producers_module
from gateway.streams.producers import MAX_ABSENT, WINDOW_RANGES, Producers, Window
from gateway.streams.run import Origin
from gateway.streams.stream import Stream


class Route:
    """A holder that remembers what it was told."""

    def __init__(self) -> None:
        self.peer = 1
        self.over = False

    def superseded(self) -> None:
        self.over = True


class Seconds:
    """A clock that a test sets."""

    def __init__(self) -> None:
        self.now_s = 0.0

    def __call__(self) -> float:
        return self.now_s


OTHER = Stream(StreamId(99), StreamName("wf/99"), Kind.EVENT, Epoch(1))


def come_by(producers: Producers) -> None:
    """Somebody else comes, at which what is old is forgotten, and goes, and is one that is remembered."""
    route = Route()
    producers.detach(OTHER, producers.attach(OTHER, 99, 1, route), route)


def stream(number: int = 1) -> Stream:
    return Stream(StreamId(number), StreamName(f"wf/{number}"), Kind.EVENT, Epoch(1))


def code_of(window: Window, first: int, count: int = 1) -> Code | int:
    with pytest.raises(RequestRefused) as refused:
        window.offset_of(first, count)
    return refused.value.code


def test_what_was_never_sent_is_new() -> None:
    assert Window(7, 1).offset_of(1, 1) is None


def test_a_repetition_has_the_offset_that_it_had() -> None:
    window = Window(7, 1)
    window.accept(1, 3, 10)
    window.accept(4, 2, 20)
    assert [window.offset_of(sequence, 1) for sequence in range(1, 7)] == [10, 11, 12, 20, 21, None]
    assert window.offset_of(2, 2) == 11


def test_a_refused_message_is_refused_again_with_the_same_code() -> None:
    window = Window(7, 1)
    window.accept(1, 1, 0)
    window.refuse(2, 2, Code.QUEUE_FULL)
    window.accept(4, 1, 1)
    assert code_of(window, 2) == code_of(window, 3) == Code.QUEUE_FULL
    assert (window.offset_of(1, 1), window.offset_of(4, 1)) == (0, 1)


def test_a_repetition_that_is_refused_for_another_reason_changes_nothing() -> None:
    window = Window(7, 1)
    window.accept(1, 1, 0)
    window.refuse(1, 1, Code.BROKEN_TRANSFER)
    assert window.offset_of(1, 1) == 0


def test_what_was_jumped_over_is_not_new_any_more() -> None:
    window = Window(7, 1)
    window.accept(1, 1, 0)
    window.accept(3, 1, 1)
    assert code_of(window, 2) == Code.OUT_OF_WINDOW


def test_what_is_older_than_the_first_that_is_known_is_out_of_the_window() -> None:
    assert code_of(Window(7, 100), 99) == Code.OUT_OF_WINDOW


@pytest.mark.parametrize(("first", "count"), [(1, 4), (2, 3), (3, 3)])
def test_a_batch_that_was_not_sent_as_it_is_now_is_no_repetition(first: int, count: int) -> None:
    window = Window(7, 1)
    window.accept(1, 3, 10)
    window.refuse(4, 1, Code.QUEUE_FULL)
    window.accept(5, 1, 13)
    assert code_of(window, first, count) == Code.BAD_SEQUENCE


def test_the_last_ranges_are_kept_and_older_ones_forgotten() -> None:
    window = Window(7, 1)
    total = 5 * WINDOW_RANGES
    for sequence in range(1, total + 1):
        window.accept(sequence, 1, 2 * sequence)
    known = [sequence for sequence in range(1, total + 1) if _offset_of(window, sequence) == 2 * sequence]
    assert WINDOW_RANGES <= len(known) <= 2 * WINDOW_RANGES
    assert known == list(range(total + 1 - len(known), total + 1))


def _offset_of(window: Window, sequence: int) -> int | None:
    try:
        return window.offset_of(sequence, 1)
    except RequestRefused:
        return None


def test_ranges_of_a_stream_with_one_publisher_are_one() -> None:
    window = Window(7, 1)
    for sequence in range(1, 10 * WINDOW_RANGES):
        window.accept(sequence, 1, sequence - 1)
    assert window.offset_of(1, 1) == 0


@given(
    st.lists(
        st.tuples(st.sampled_from(["accept", "refuse", "jump", "other"]), st.integers(1, 5)), min_size=1, max_size=40
    )
)
def test_any_history_is_told_as_it_was(history: list[tuple[str, int]]) -> None:
    window = Window(7, 1)
    sequence, offset = 1, 0
    expected: dict[int, int | None] = {}
    for what, count in history:
        if what == "other":  # another publisher's messages
            offset += count
            continue
        if what == "accept":
            window.accept(sequence, count, offset)
            expected.update({sequence + nth: offset + nth for nth in range(count)})
            offset += count
        elif what == "refuse":
            window.refuse(sequence, count, Code.QUEUE_FULL)
            expected.update(dict.fromkeys(range(sequence, sequence + count)))
        sequence += count
    for number in range(1, window.next_sequence):
        if number not in expected:
            assert code_of(window, number) == Code.OUT_OF_WINDOW
        elif expected[number] is None:
            assert code_of(window, number) == Code.QUEUE_FULL
        else:
            assert window.offset_of(number, 1) == expected[number]
    assert window.offset_of(window.next_sequence, 1) is None


def test_a_producer_that_comes_back_has_its_window() -> None:
    seconds = Seconds()
    producers, events, route = Producers(seconds), stream(), Route()
    window = producers.attach(events, 7, 1, route)
    window.accept(1, 1, 0)
    producers.detach(events, window, route)
    seconds.now_s = KEPT_S - 1
    come_by(producers)
    assert producers.attach(events, 7, 2, Route()) is window


def test_windows_are_of_one_producer_and_one_stream() -> None:
    producers, events = Producers(Seconds()), stream()
    window = producers.attach(events, 7, 1, Route())
    assert producers.attach(events, 8, 1, Route()) is not window
    assert producers.attach(stream(2), 7, 1, Route()) is not window


def test_a_window_is_forgotten_when_its_producer_was_away_for_long() -> None:
    seconds = Seconds()
    producers, events, route = Producers(seconds), stream(), Route()
    window = producers.attach(events, 7, 1, route)
    seconds.now_s = 10 * KEPT_S  # it is not away
    come_by(producers)
    seconds.now_s = 100.0
    producers.detach(events, window, route)
    seconds.now_s = 100.0 + KEPT_S - 1
    come_by(producers)
    assert len(producers) == 1 + 1
    seconds.now_s = 100.0 + KEPT_S
    come_by(producers)
    assert len(producers) == 0 + 1


def test_a_second_connection_of_a_producer_takes_over() -> None:
    seconds = Seconds()
    producers, events, old, new = Producers(seconds), stream(), Route(), Route()
    window = producers.attach(events, 7, 1, old)
    assert producers.attach(events, 7, 1, new) is window
    assert (old.over, new.over) == (True, False)
    producers.detach(events, window, old)
    seconds.now_s = 2 * KEPT_S
    come_by(producers)
    assert window.holder is new
    assert len(producers) == 1 + 1


def test_of_those_that_are_away_the_oldest_is_forgotten_past_the_bound() -> None:
    producers, events = Producers(Seconds()), stream()
    for producer in range(MAX_ABSENT + 2):
        route = Route()
        window = producers.attach(events, producer, 1, route)
        window.accept(1, 1, producer)
        producers.detach(events, window, route)
    assert len(producers) == MAX_ABSENT
    assert producers.attach(events, 0, 1, Route()).offset_of(1, 1) is None
    assert producers.attach(events, MAX_ABSENT, 1, Route()).offset_of(1, 1) == MAX_ABSENT


def test_what_a_store_remembers_is_known_after_a_restart() -> None:
    producers, events = Producers(Seconds()), stream()
    later = Origin(110, 1, 7, 8)
    producers.restore(events, [Origin(100, 3, 7, 5), Origin(103, 1, 9, 1), later, later])  # a store may say it twice
    assert producers.attach(events, 9, 2, Route()).offset_of(1, 1) == 103
    window = producers.attach(events, 7, 7, Route())
    assert (window.offset_of(5, 1), window.offset_of(7, 1), window.offset_of(8, 1)) == (100, 102, 110)
    assert window.offset_of(9, 1) is None
    assert code_of(window, 4) == Code.OUT_OF_WINDOW


def test_what_was_restored_is_forgotten_as_if_its_producer_had_just_left() -> None:
    seconds = Seconds()
    producers = Producers(seconds)
    seconds.now_s = 50.0
    producers.restore(stream(), [Origin(100, 3, 7, 5)])
    seconds.now_s = 50.0 + KEPT_S - 1
    come_by(producers)
    assert len(producers) == 1 + 1
    seconds.now_s = 50.0 + KEPT_S
    come_by(producers)
    assert len(producers) == 0 + 1


@given(st.integers(1, 9), st.integers(0, 9))
def test_what_is_withdrawn_is_refused_and_nothing_else(first: int, count: int) -> None:
    window = Window(7, 1)
    window.accept(1, 3, 10)
    window.accept(4, 3, 20)
    window.accept(7, 3, 23)
    before = {sequence: window.offset_of(sequence, 1) for sequence in range(1, 10)}
    withdrawn = range(first, min(first + count, 10))
    window.withdraw(first, len(withdrawn), Code.QUEUE_FULL)
    assert all(code_of(window, sequence) == Code.QUEUE_FULL for sequence in withdrawn)
    assert all(window.offset_of(n, 1) == offset for n, offset in before.items() if n not in withdrawn)
    assert window.next_sequence == 10


def test_of_those_that_are_away_the_oldest_are_forgotten_past_so_many_ranges(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(producers_module, "MAX_ABSENT_RANGES", 10)
    producers, events = Producers(Seconds()), stream()
    for producer in range(5):
        route = Route()
        window = producers.attach(events, producer, 1, route)
        for sequence in range(1, 5):  # two of four are refused: no range joins the one before
            window.accept(sequence, 1, sequence) if sequence % 2 else window.refuse(sequence, 1, Code.QUEUE_FULL)
        producers.detach(events, window, route)
    assert len(producers) == 2
    route = Route()
    producers.detach(events, producers.attach(events, 4, 5, route), route)
    assert len(producers) == 2
    assert producers.find(events, 3) is not None
