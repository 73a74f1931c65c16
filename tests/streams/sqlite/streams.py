"""Durable streams and what is published to them, for the tests of the store."""

from __future__ import annotations

from gateway.ids import Epoch, StreamId, StreamName
from gateway.protocol.durability import Durability
from gateway.protocol.messages import Kind
from gateway.streams.history import Entry, HistoryLimits
from gateway.streams.large import LargeMessage
from gateway.streams.rules import StreamConfig
from gateway.streams.run import Origin
from gateway.streams.sqlite.changes import Append, Change, StageChunk
from gateway.streams.sqlite.database import Database
from gateway.streams.stream import Stream
from tests.streams.frames import large_of, offsets_in, run_of

NOW_NS = 1_770_000_000_000_000_000
BOOT = "f0f0"


def stream_of(
    number: int = 1,
    kind: Kind = Kind.EVENT,
    durability: Durability = Durability.OS,
    history: HistoryLimits | None = None,
) -> Stream:
    """A durable stream that the store does not know yet."""
    config = StreamConfig(history=history)
    return Stream(StreamId(number), StreamName(f"wf/{number}"), kind, Epoch(7), config, durability=durability)


def append_run(stream: Stream, counts: list[int | None], origin: Origin | None = None) -> Append:
    """The next run of a stream."""
    run = run_of(stream.next_offset, counts, stream)
    stream.reserve(run.count)
    return Append(stream, run, origin)


def append_large(stream: Stream, payload_bytes: int = 5000) -> list[Change]:
    """The next large message of a stream, staged and appended."""
    message = large_of(stream.reserve(1), payload_bytes, stream)
    return [*staged(message), Append(stream, message)]


def staged(message: LargeMessage) -> list[Change]:
    """The chunks of a large message."""
    return [StageChunk(message, index) for index in range(len(message.chunks))]


def offsets(entries: list[Entry]) -> list[int]:
    """All offsets in entries."""
    return [offset for entry in entries for offset in offsets_in(entry)]


def done(database: Database, *changes: Change) -> None:
    """Commit changes, each of which has to succeed."""
    assert database.commit(changes, NOW_NS) == [None] * len(changes)
