"""History: against a list of offsets, whatever is appended, read and left out."""

from __future__ import annotations

from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.streams.history import KEEP_NOTHING, SLACK, Entry, History, HistoryBudget, HistoryLimits
from gateway.streams.large import LargeMessage
from gateway.streams.run import Run
from gateway.streams.run_page import PAGE_BYTES
from gateway.streams.span import held_bytes_of
from tests.streams.frames import SOURCE, large_of, offsets_in, run_of

NOW_NS = 1_770_000_000_000_000_000
PLENTY = 2**40

counts = st.lists(st.none() | st.integers(1, 20), min_size=1, max_size=6)
"""The frames of a run."""


def history_of(limits: HistoryLimits, limit_bytes: int = PLENTY) -> History:
    return History(limits, HistoryBudget(limit_bytes))


def filled(history: History, messages: int, per_run: int = 1) -> History:
    for _ in range(0, messages, per_run):
        history.append(run_of(history.next_offset, [None] * per_run))
    return history


def offsets(entries: list[Entry]) -> list[int]:
    return [offset for entry in entries for offset in offsets_in(entry)]


@given(
    steps=st.lists(st.just(0) | st.integers(1, 30_000) | counts, max_size=30),
    max_messages=st.integers(1, 60),
    max_bytes=st.integers(200, 60_000),
    data=st.data(),
)
def test_what_is_read_is_what_was_appended_and_is_still_held(
    steps: list[int | list[int | None]], max_messages: int, max_bytes: int, data: st.DataObject
) -> None:
    """``0`` reads everything, a number is a large message of so many bytes, a list is a run."""
    history = history_of(HistoryLimits(max_messages, max_bytes))
    starts: list[tuple[int, int]] = []
    for step in steps:
        if step == 0:
            history.read(0, history.next_offset, PLENTY)
        elif isinstance(step, int):
            starts.append((history.next_offset, 1))
            history.append(large_of(history.next_offset, step))
        else:
            at = history.next_offset
            for count in step:
                starts.append((at, count or 1))
                at += count or 1
            history.append(run_of(history.next_offset, step))
    end = sum(count for _, count in starts)
    assert history.next_offset == end
    assert len(history) == end - history.first <= max_messages
    assert history.held_bytes <= max_bytes
    first = data.draw(st.integers(0, end))
    last = data.draw(st.integers(first, end))
    read = history.read(first, last, PLENTY)
    wanted = range(max(first, history.first), last + 1)
    # Record batches are whole; everything else is cut.
    expected = [
        offset
        for start, count in starts
        if any(offset in wanted for offset in range(start, start + count))
        for offset in range(start, start + count)
    ]
    assert offsets(read) == expected
    assert all(isinstance(entry, LargeMessage) or entry.size == sum(map(len, entry.buffers)) for entry in read)


@given(sizes=st.lists(st.integers(1, 3000) | st.integers(1, 60_000), max_size=80), max_bytes=st.integers(1, 60_000))
def test_room_is_made_for_several_messages_and_little_is_lost_by_that(sizes: list[int], max_bytes: int) -> None:
    """Beside the rule of dropping one message after the other, as few as have to be."""
    history = history_of(HistoryLimits(max_bytes=max_bytes))
    kept: list[int] = []
    for size in sizes:
        history.append(large_of(history.next_offset, size))
        kept.append(size)
        while sum(kept) > max_bytes:
            del kept[0]
        held = history.held_bytes
        assert held <= max_bytes
        assert offsets(history.read(0, PLENTY, PLENTY)) == list(range(history.first, history.next_offset))
        assert held == sum(kept[len(kept) - len(history) :])
        assert held == sum(kept) or held >= max_bytes - max_bytes // SLACK


def test_a_full_history_of_small_messages_drops_them_seldom() -> None:
    history = history_of(HistoryLimits(max_bytes=SLACK * 10 * 1000))
    firsts = []
    for number in range(1000):
        history.append(large_of(number, 1000))
        firsts.append(history.first)
    assert len(set(firsts)) <= 1000 / 10 + 1
    assert history.held_bytes >= (SLACK - 1) * 10 * 1000


def test_every_run_that_is_read_knows_its_last_frame() -> None:
    history = history_of(HistoryLimits())
    history.append(run_of(0, [None, 4]))
    history.append(run_of(5, [None, None]))
    [page] = history.read(0, 6, PLENTY)
    [batch] = history.read(1, 4, PLENTY)
    assert isinstance(page, Run)
    assert isinstance(batch, Run)
    assert offsets_in(page.newest()) == [6]
    assert offsets_in(batch.newest()) == [1, 2, 3, 4]
    assert (batch.first, batch.count) == (1, 4)


def test_small_runs_are_given_in_pages() -> None:
    history = filled(history_of(HistoryLimits()), 5000)
    read = history.read(0, 4999, PLENTY)
    assert offsets(read) == list(range(5000))
    assert len(read) <= history.held_bytes // PAGE_BYTES + 1


def test_it_is_read_in_steps() -> None:
    history = filled(history_of(HistoryLimits()), 6000)
    at, steps = 0, 0
    while at < history.next_offset:
        found = offsets(history.read(at, history.next_offset - 1, 2 * PAGE_BYTES))
        assert found[0] == at
        at = found[-1] + 1
        steps += 1
    assert steps > 1


def test_one_entry_is_given_however_large() -> None:
    history = history_of(HistoryLimits())
    history.append(large_of(0, 100_000))
    history.append(large_of(1, 100_000))
    assert offsets(history.read(0, 1, 1)) == [0]


def test_nothing_is_given_of_what_is_not_held() -> None:
    history = filled(history_of(HistoryLimits(max_messages=10)), 30)
    assert history.first == 20
    assert history.read(0, 19, PLENTY) == []
    assert history.read(30, 40, PLENTY) == []
    assert offsets(history.read(0, 20, PLENTY)) == [20]


def test_what_is_larger_than_the_limit_is_not_held_and_nothing_before_it() -> None:
    history = filled(history_of(HistoryLimits(max_bytes=10_000)), 5)
    history.append(large_of(5, 20_000))
    assert history.first == history.next_offset == 6
    assert history.held_bytes == 0
    filled(history, 2)
    assert offsets(history.read(0, 99, PLENTY)) == [6, 7]


def test_nothing_is_kept_where_nothing_is_wanted() -> None:
    budget = HistoryBudget(PLENTY)
    history = History(KEEP_NOTHING, budget)
    history.append(run_of(0, [None, None]))
    history.append(large_of(2))
    assert (history.first, history.next_offset, history.held_bytes) == (3, 3, 0)
    assert not budget.holders


def test_it_goes_on_where_it_is_told() -> None:
    history = History(HistoryLimits(), HistoryBudget(PLENTY), next_offset=100)
    assert (history.first, history.next_offset) == (100, 100)
    history.append(run_of(100, [None]))
    assert offsets(history.read(0, 200, PLENTY)) == [100]


def test_what_no_one_can_read_is_dropped_although_small_runs_are_joined() -> None:
    few = history_of(HistoryLimits(max_messages=3))
    small = history_of(HistoryLimits(max_bytes=10_000))
    run = run_of(0, [None])
    for _ in range(1000):
        filled(few, 1)
        filled(small, 1)
        assert few.held_bytes <= 2 * 3 * run.size
        assert small.held_bytes > 0.8 * min(10_000, small.next_offset * run.size)


def test_a_run_does_not_keep_a_large_buffer_alive() -> None:
    history = history_of(HistoryLimits())
    whole = memoryview(bytearray(1 << 20))
    part = whole[: 32 * 1024]
    history.append(Run.of_frame(SOURCE, 0, (part,)))
    [run] = history.read(0, 0, PLENTY)
    assert isinstance(run, Run)
    assert run.buffers[0] is not part
    assert len(run.buffers[0]) == len(part)


# Age.


def test_what_is_too_old_goes() -> None:
    history = history_of(HistoryLimits(max_age_s=16.0))
    for second in range(40):
        filled(history, 10)
        history.trim(NOW_NS + second * 10**9)
        # Known to a twentieth of the age: here to the second.
        assert history.first == max(0, (second - 15) * 10)
    history.trim(NOW_NS + 100 * 10**9)
    assert history.first == history.next_offset == 400
    assert history.held_bytes == 0


def test_of_many_histories_only_those_are_looked_at_in_which_something_may_be_too_old() -> None:
    budget = HistoryBudget(PLENTY)
    long, short = History(HistoryLimits(max_age_s=1000.0), budget), History(HistoryLimits(max_age_s=1.0), budget)
    for second in range(12):
        for history in (long, short):
            history.append(run_of(history.next_offset, [None]))
        for _ in budget.trim(NOW_NS + second * 10**9):
            pass
    assert (len(long), len(short)) == (12, 1)
    assert long.next_look_ns == NOW_NS + 20 * 10**9
    for second in range(12, 1200, 10):
        for _ in budget.trim(NOW_NS + second * 10**9):
            pass
    assert (len(long), len(short)) == (0, 0)


def test_ages_are_few_however_often_it_is_trimmed() -> None:
    history = history_of(HistoryLimits(max_age_s=1.0))
    for step in range(100_000, 100_100):
        filled(history, 1)
        history.trim(NOW_NS + step * 1_000_000)
    assert len(history) == 100
    history.trim(NOW_NS + 100_200 * 1_000_000)
    assert len(history) == 100
    history.trim(NOW_NS + 101_200 * 1_000_000)
    assert len(history) == 0


# The bound over all.


@dataclass(frozen=True, slots=True)
class Filled:
    """Histories on one budget."""

    budget: HistoryBudget
    histories: list[History]


def filled_to(sizes: list[int], limit_bytes: int) -> Filled:
    budget = HistoryBudget(limit_bytes)
    histories = [History(HistoryLimits(max_bytes=PLENTY), budget) for _ in sizes]
    for history, size in zip(histories, sizes, strict=True):
        for _ in range(size):
            history.append(large_of(history.next_offset, 1000))
    return Filled(budget, histories)


@given(st.lists(st.integers(0, 40), min_size=1, max_size=8), st.integers(0, 100))
def test_all_together_hold_no_more_than_the_budget(sizes: list[int], thousands: int) -> None:
    filled = filled_to(sizes, thousands * 1000)
    assert filled.budget.held_bytes == sum(history.held_bytes for history in filled.histories)
    assert filled.budget.held_bytes <= thousands * 1000
    assert set(filled.budget.holders) == {history for history in filled.histories if history.held_bytes}


def test_the_largest_give() -> None:
    filled = filled_to([10, 80, 20], 100_000)
    small, large, middle = filled.histories
    assert len(small) == 10
    assert len(middle) == 20
    assert 50 <= len(large) <= 70


def test_histories_of_about_the_same_size_give_in_turn() -> None:
    filled = filled_to([20] * 10, 100_000)
    assert sum(len(history) for history in filled.histories) == 100
    # The last ones have grown while the others were trimmed.
    assert all(8 <= len(history) <= 16 for history in filled.histories)


def test_no_history_is_looked_at_but_those_that_give() -> None:
    class Watched(History):
        looks = 0

        def drop_oldest(self) -> None:
            Watched.looks += 1
            super().drop_oldest()

    budget = HistoryBudget(1_000_000)
    small = [Watched(HistoryLimits(max_bytes=PLENTY), budget) for _ in range(900)]
    for history in small:
        history.append(large_of(0, 1000))
    large = Watched(HistoryLimits(max_bytes=PLENTY), budget)
    for offset in range(200):
        large.append(large_of(offset, 1000))
    assert [len(history) for history in small] == [1] * 900
    assert len(large) == Watched.looks == 100


def test_all_are_trimmed_in_steps() -> None:
    budget = HistoryBudget(PLENTY)
    histories = [History(HistoryLimits(max_age_s=16.0), budget) for _ in range(1100)]
    for history in histories:
        filled(history, 1)
    assert sum(1 for _ in budget.trim(NOW_NS)) == 2
    assert sum(1 for _ in budget.trim(NOW_NS + 17 * 10**9)) == 2
    assert budget.held_bytes == 0
    assert not budget.holders


@pytest.mark.parametrize("limits", [HistoryLimits(max_messages=0), HistoryLimits(max_bytes=0), KEEP_NOTHING])
def test_a_limit_of_nothing_keeps_nothing(limits: HistoryLimits) -> None:
    history = filled(history_of(limits), 3)
    assert (len(history), history.held_bytes, held_bytes_of(large_of(0))) == (0, 0, 5000)
