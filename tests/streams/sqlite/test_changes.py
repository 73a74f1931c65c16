"""What groups of appends become."""

from __future__ import annotations

from gateway.protocol.messages import Kind
from gateway.streams.history import HistoryLimits
from gateway.streams.large import LargeMessage
from gateway.streams.run import Origin, Run
from gateway.streams.sqlite.changes import Append, rows_for
from tests.streams.frames import large_of, offsets_in
from tests.streams.sqlite.streams import append_run, stream_of


def test_a_large_message_parts_the_runs_around_it() -> None:
    stream = stream_of()
    before = append_run(stream, [None, None])
    large = Append(stream, large_of(stream.reserve(1), source=stream))
    rows = rows_for([before, large, append_run(stream, [None])])
    assert [(row.first, row.count) for row in rows] == [(0, 2), (2, 1), (3, 1)]
    assert [isinstance(row.content, LargeMessage) for row in rows] == [False, True, False]


def test_of_a_state_the_newest_message_becomes_a_row() -> None:
    stream, event = stream_of(1, Kind.STATE), stream_of(2)
    appends = [append_run(stream, [None, None], Origin(0, 2, 9, 1)), append_run(event, [None])]
    [other, newest] = rows_for([*appends, append_run(stream, [None, None], Origin(2, 2, 9, 3))])
    assert other.stream is event
    assert isinstance(newest.content, Run)
    assert (newest.first, newest.count, offsets_in(newest.content)) == (3, 1, [3])
    assert [origin.sequence for origin in newest.origins] == [1, 3]


def test_a_state_with_a_history_keeps_it() -> None:
    stream = stream_of(1, Kind.STATE, history=HistoryLimits())
    [row] = rows_for([append_run(stream, [None, None])])
    assert (row.first, row.count) == (0, 2)
