"""MemoryPastReader: what the histories hold."""

from __future__ import annotations

from collections.abc import Sequence

from gateway.ids import Epoch, StreamId, StreamName
from gateway.protocol.messages import Kind
from gateway.streams.history import Entry, History, HistoryBudget, HistoryLimits
from gateway.streams.memory_reader import MemoryPastReader
from gateway.streams.stream import Stream
from tests.streams.frames import offsets_in, run_of


def test_it_reads_from_the_history_at_once() -> None:
    history = History(HistoryLimits(max_messages=3), HistoryBudget(2**30))
    stream = Stream(StreamId(1), StreamName("wf/a"), Kind.EVENT, Epoch(1), history=history)
    stream.append_run(run_of(0, [None] * 5, stream))
    found: list[Sequence[Entry] | Exception] = []
    MemoryPastReader().read(stream, 0, 3, 2**20, found.append)
    [entries] = found
    assert not isinstance(entries, Exception)
    assert [offset for entry in entries for offset in offsets_in(entry)] == [2, 3]
    assert stream.first_offset == 2
