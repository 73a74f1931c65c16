"""Where a receiver starts: what it named, what history holds, and what was delivered so far."""

from __future__ import annotations

import pytest

from gateway.connections.fanout.start_position import StartPosition, start_of, start_of_other_view
from gateway.ids import Epoch, StreamId, StreamName
from gateway.protocol.messages import BEGINNING, Kind, Since
from gateway.streams.history import History, HistoryBudget, HistoryLimits
from gateway.streams.run import Run
from gateway.streams.stream import Stream

EPOCH = 77


def stream(kind: Kind, published: int, kept: int) -> Stream:
    history = History(HistoryLimits(max_messages=max(kept, 1)), HistoryBudget(1 << 20))
    made = Stream(StreamId(1), StreamName("wf/a"), kind, Epoch(EPOCH), history=history)
    for offset in range(published):
        made.append_run(Run(made, offset, 1, (bytes(40_000),), 40_000, 0, 1))
    return made


@pytest.mark.parametrize(
    ("since", "offset", "recovered"),
    [
        (None, 10, None),
        (BEGINNING, 6, True),
        (0, 6, False),
        (5, 6, False),
        (6, 6, True),
        (9, 9, True),
        (10, 10, True),
        (11, 6, False),
        ({"wf/a": (EPOCH, 8)}, 8, True),
        ({"wf/a": (EPOCH, 3)}, 6, False),
        ({"wf/a": (EPOCH, 10)}, 10, True),
        ({"wf/a": (EPOCH, 11)}, 6, False),
        ({"wf/a": (EPOCH - 1, 8)}, 6, False),
        ({"wf/b": (EPOCH, 8)}, 6, False),
        ({}, 6, False),
    ],
)
def test_an_event_stream_of_which_history_holds_the_last_four(
    since: Since | None, offset: int, recovered: bool | None
) -> None:
    assert start_of(stream(Kind.EVENT, 10, 4), since, delivered=10) == StartPosition(offset, recovered, newest=False)


@pytest.mark.parametrize("since", [BEGINNING, 0, {}])
def test_all_of_a_stream_that_is_remembered_whole(since: Since) -> None:
    assert start_of(stream(Kind.EVENT, 4, 10), since, delivered=4) == StartPosition(0, recovered=True, newest=False)


def test_what_was_not_delivered_yet_is_not_replayed() -> None:
    assert start_of(stream(Kind.EVENT, 10, 4), 8, delivered=9) == StartPosition(8, recovered=True, newest=False)
    assert start_of(stream(Kind.EVENT, 10, 4), None, delivered=9) == StartPosition(9, None, newest=False)
    assert start_of(stream(Kind.EVENT, 10, 1), None, delivered=8) == StartPosition(8, None, newest=False)


@pytest.mark.parametrize(
    ("since", "expected"),
    [
        (None, StartPosition(9, None, newest=True)),
        (BEGINNING, StartPosition(9, recovered=True, newest=True)),
        ({"wf/a": (EPOCH, 7)}, StartPosition(9, recovered=True, newest=True)),
        ({"wf/a": (EPOCH, 10)}, StartPosition(10, recovered=True, newest=False)),
        ({"wf/a": (EPOCH - 1, 10)}, StartPosition(9, recovered=False, newest=True)),
    ],
)
def test_of_a_state_the_newest_unless_the_receiver_has_it(since: Since | None, expected: StartPosition) -> None:
    assert start_of(stream(Kind.STATE, 10, 1), since, delivered=10) == expected


def test_a_state_without_messages() -> None:
    assert start_of(stream(Kind.STATE, 0, 1), None, delivered=0) == StartPosition(0, None, newest=True)


@pytest.mark.parametrize(
    ("following", "delivered", "again", "expected"),
    [
        (10, 10, False, StartPosition(10, None, newest=False)),
        (7, 10, False, StartPosition(9, None, newest=True)),
        (10, 10, True, StartPosition(9, None, newest=True)),
        (10, 9, True, StartPosition(9, None, newest=False)),
        (0, 0, True, StartPosition(0, None, newest=False)),
        (10, 9, False, None),
        (10, 8, True, None),
    ],
)
def test_a_state_changes_to_another_view_that_is_as_far(
    following: int, delivered: int, again: bool, expected: StartPosition | None
) -> None:
    assert start_of_other_view(stream(Kind.STATE, 10, 1), following, delivered, again=again) == expected


@pytest.mark.parametrize(("following", "delivered"), [(9, 10), (10, 9)])
def test_events_change_only_between_two_that_both_views_have_sent(following: int, delivered: int) -> None:
    events = stream(Kind.EVENT, 10, 10)
    assert start_of_other_view(events, 10, 10, again=False) == StartPosition(10, None, newest=False)
    assert start_of_other_view(events, following, delivered, again=False) is None


@pytest.mark.parametrize(("following", "delivered", "possible"), [(8, 10, True), (7, 10, False), (10, 9, False)])
def test_events_come_from_history_if_that_has_all_of_them(following: int, delivered: int, possible: bool) -> None:
    start = start_of_other_view(stream(Kind.EVENT, 10, 2), following, delivered, again=True, past=True)
    assert (start is not None) is possible
