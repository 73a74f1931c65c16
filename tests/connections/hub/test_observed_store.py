"""The past of an observed stream: its parent's, by the number of the observed stream."""

from __future__ import annotations

from collections.abc import Sequence

from gateway.connections.hub.observed_store import ObservedStore
from gateway.ids import Epoch, StreamId, StreamName
from gateway.protocol.messages import Kind
from gateway.streams.history import EntriesRead, Entry, History, HistoryBudget, HistoryLimits
from gateway.streams.large import TransferNumbers
from gateway.streams.memory_reader import MemoryPastReader
from gateway.streams.observed import ObservedStream
from gateway.streams.stream import Stream
from tests.streams.frames import offsets_in, run_of


class BrokenReader:
    """A :class:`~gateway.connections.ports.PastReader` that cannot read."""

    def read(self, stream: Stream, first: int, last: int, max_bytes: int, done: EntriesRead) -> None:
        done(OSError("bad sector"))


def parent_of(*firsts: int) -> Stream:
    history = History(HistoryLimits(), HistoryBudget(10**6))
    parent = Stream(StreamId(3), StreamName("wf/a"), Kind.CONTROL, Epoch(1), history=history)
    for first in firsts:
        parent.append_run(run_of(first, [None], parent))
    return parent


def test_it_is_read_from_the_parent() -> None:
    parent = parent_of(0, 1, 2)
    source = ObservedStream(StreamId(9), parent, 3)
    found: list[Sequence[Entry] | Exception] = []
    store = ObservedStore(MemoryPastReader(), TransferNumbers())
    store.read(source, 1, 2, 10**6, found.append)
    store.read(parent, 1, 2, 10**6, found.append)
    shown, kept = found
    assert not isinstance(shown, Exception)
    assert not isinstance(kept, Exception)
    assert [offset for entry in shown for offset in offsets_in(entry)] == [1, 2]
    assert [entry.source for entry in shown] == [source] * len(shown)
    assert [entry.source for entry in kept] == [parent] * len(kept)


def test_what_the_store_cannot_read_is_told() -> None:
    found: list[Sequence[Entry] | Exception] = []
    source = ObservedStream(StreamId(9), parent_of(0), 1)
    ObservedStore(BrokenReader(), TransferNumbers()).read(source, 0, 0, 100, found.append)
    assert [str(each) for each in found] == ["bad sector"]
