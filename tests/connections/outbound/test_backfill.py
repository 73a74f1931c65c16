"""A hole is filled in order: what is found is announced once, what is not is a gap, and nothing is counted twice."""

from __future__ import annotations

from collections.abc import Sequence

import hypothesis.strategies as st
from hypothesis import given

from gateway.connections.outbound.backfill import Backfill, Found, LargeForm, PastPart, Taken
from gateway.connections.outbound.delivery_accounts import NO_OPTIONS, DeliveryAccounts, SubscribedStreams
from gateway.errors import Code, RequestRefused
from gateway.ids import Epoch, StreamId, StreamName
from gateway.protocol.limits import Limits
from gateway.protocol.messages import Error, Kind
from gateway.protocol.signals import Gap, Replay
from gateway.protocol.transfers import ChunkPlan
from gateway.protocol.wire import Opcode
from gateway.streams.large import LargeMessage
from gateway.streams.run import Run, Source
from gateway.streams.stream import Stream
from gateway.streams.view import Misfit

SOURCE = Stream(StreamId(7), StreamName("wf/a"), Kind.EVENT, Epoch(1))


class Past:
    """What can be read: some offsets of a stream."""

    def __init__(self, held: set[int], step: int) -> None:
        self.held = held
        self.step = step
        self.waiting: list[tuple[Taken, Sequence[Found]]] = []
        self.at_once = True
        self.max_message_bytes = 1 << 30
        self.accounts = DeliveryAccounts(SubscribedStreams(Limits()))
        self.gone_on: list[Source] = []

    def read_backfill(self, source: Source, first: int, last: int, max_bytes: int, taken: Taken) -> None:
        offsets = sorted(offset for offset in self.held if first <= offset <= last)[: self.step]
        found = [Run(source, offset, 1, (bytes(8),), 8, 0, 1) for offset in offsets]
        if self.at_once:
            taken(found)
        else:
            self.waiting.append((taken, found))

    def go_on(self, source: Source) -> None:
        self.gone_on.append(source)


@given(held=st.sets(st.integers(0, 30)), first=st.integers(0, 20), count=st.integers(1, 15), step=st.integers(1, 5))
def test_every_offset_is_found_or_lost_in_order(held: set[int], first: int, count: int, step: int) -> None:
    missed = Backfill(SOURCE, first, first + count - 1, 0)
    past = Past(held, step)
    told: list[tuple[int, bool]] = []
    replays: list[Replay] = []
    while not missed.over:
        for part in missed.take(past) or []:
            if isinstance(part, Replay):
                replays.append(part)
            elif isinstance(part, Gap):
                assert part.code == Code.HISTORY_LOST
                told += [(offset, False) for offset in range(part.first, part.last + 1)]
            else:
                assert isinstance(part, Run)
                told.append((part.first, True))
    wanted = range(first, first + count)
    assert told == [(offset, offset in held) for offset in wanted]
    there = [offset for offset in wanted if offset in held]
    assert replays == ([Replay(7, 0, there[0], wanted[-1])] if there else [])
    assert (missed.replayed, missed.lost) == (len(there), count - len(there))


def test_after_reading_that_takes_longer_the_receiver_goes_on() -> None:
    missed, past = Backfill(SOURCE, 0, 1, Code.QUEUE_FULL), Past({0, 1}, 5)
    past.at_once = False
    assert missed.take(past) is None
    assert missed.take(past) is None
    ((taken, found),) = past.waiting
    taken(found)
    assert past.gone_on == [SOURCE]
    parts = missed.take(past)
    assert parts is not None
    assert parts[0] == Replay(7, Code.QUEUE_FULL, 0, 1)
    assert missed.over


def test_a_batch_that_reaches_over_both_ends_counts_what_was_missed() -> None:
    missed = Backfill(SOURCE, 4, 6, 0)
    batch = Run(SOURCE, 2, 8, (bytes(8),), 8, 0, 8)

    class Whole(Past):
        def read_backfill(self, source: Source, first: int, last: int, max_bytes: int, taken: Taken) -> None:
            taken([batch])

    assert missed.take(Whole(set(), 1)) == [Replay(7, 0, 4, 6), batch]
    assert (missed.replayed, missed.lost, missed.over) == (3, 0, True)


def test_what_is_larger_than_the_receiver_takes_is_a_gap() -> None:
    missed = Backfill(SOURCE, 4, 5, 0)
    large = [LargeMessage(SOURCE, Opcode.MESSAGE, 1, 0, 0, b"", ChunkPlan(1, 4096, size)) for size in (5000, 5001)]
    for offset, message in enumerate(large, start=4):
        message.offset = offset

    class Large(Past):
        def read_backfill(self, source: Source, first: int, last: int, max_bytes: int, taken: Taken) -> None:
            taken([LargeForm(message, []) for message in large])

    past = Large(set(), 1)
    past.max_message_bytes = 5000
    parts = [Replay(7, 0, 4, 5), LargeForm(large[0], []), Gap(7, Code.MESSAGE_TOO_BIG, 5, 5)]
    assert missed.take(past) == parts
    assert (missed.replayed, missed.lost, missed.over) == (1, 1, True)


def test_each_subscription_is_told_once_that_a_view_does_not_fit() -> None:
    missed = Backfill(SOURCE, 3, 12, 0)
    refusal = RequestRefused(Code.INVALID_VIEW, "too narrow")
    runs = [Run(SOURCE, offset, 1, (bytes(8),), 8, 0, 1) for offset in (6, 8)]
    steps: list[list[PastPart]] = [
        [Misfit(2, 4, refusal)],
        [Misfit(5, 5, refusal), runs[0]],
        [Misfit(7, 7, refusal), runs[1], Misfit(10, 10, refusal)],
        [Misfit(11, 14, refusal)],
    ]

    class View(Past):
        def read_backfill(self, source: Source, first: int, last: int, max_bytes: int, taken: Taken) -> None:
            taken(steps.pop(0))

    past = View(set(), 1)
    for subscription in (2, 1):
        past.accounts.open(SOURCE, subscription, NO_OPTIONS, 3)
    told = [Error.of(refusal, subscription=number, stream="wf/a") for number in (1, 2)]

    def gap(first: int, last: int, code: Code = Code.INVALID_VIEW) -> Gap:
        return Gap(7, code, first, last)

    assert missed.take(past) == [*told, gap(3, 4)]
    assert missed.take(past) == [gap(5, 5), Replay(7, 0, 6, 12), runs[0]]
    lost = gap(9, 9, Code.HISTORY_LOST)
    assert missed.take(past) == [gap(7, 7), runs[1], lost, gap(10, 10)]
    assert missed.take(past) == [gap(11, 12)]
    assert (missed.replayed, missed.lost, missed.over) == (2, 8, True)
