"""The :class:`~gateway.connections.ports.DurableStore` whose streams outlive the process, in one file (spec 4.8)."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

from gateway.ids import ClientId
from gateway.protocol.messages import Kind
from gateway.streams.history import Entry
from gateway.streams.large import LargeMessage, TransferNumbers
from gateway.streams.producers import Producers
from gateway.streams.progress import Mark, Unsettled
from gateway.streams.run import Origin, Run
from gateway.streams.sqlite.changes import Advance, Append, Discard, StageChunk
from gateway.streams.sqlite.consumer_marks import read_marks, read_units
from gateway.streams.sqlite.database import Database
from gateway.streams.sqlite.file_format import connect_reader
from gateway.streams.sqlite.lock import FileLock
from gateway.streams.sqlite.origins import read_origins
from gateway.streams.sqlite.rows import read_entries, read_newest
from gateway.streams.sqlite.writer import Writer
from gateway.streams.state import patch_of
from gateway.streams.stream import Stream
from gateway.streams.stream_registry import StreamRegistry

Submit = Callable[[Callable[[], Sequence[Entry]], Callable[[Sequence[Entry] | BaseException], None]], None]
"""As :meth:`gateway.connections.ports.Workers.submit`."""


class SqliteStreamStore:
    """Streams in a file. Everything is called on the loop's thread; only opening and closing wait for the disk.

    Args:
        path: the file; made if there is none.
        boot_id: differs after every start of the machine.
        time_ns: Unix time.
        call_soon: has a function called on the loop's thread; may be called from any thread.
        submit: runs work in a thread.

    Raises:
        StoreFailed: the file cannot be used, or another gateway uses it.
    """

    def __init__(
        self,
        path: Path,
        boot_id: str,
        time_ns: Callable[[], int],
        call_soon: Callable[[Callable[[], object]], object],
        submit: Submit,
    ) -> None:
        self._lock = FileLock(path)
        try:
            self._database = Database(path, boot_id, time_ns())
        except BaseException:
            self._lock.release()
            raise
        self._reader = connect_reader(path)
        self._reading = threading.Lock()
        self._submit = submit
        self._transfers = TransferNumbers()
        self._writer = Writer(self._database, time_ns, call_soon, _trimmed)

    @property
    def waiting_bytes(self) -> int:
        """See the port."""
        return self._writer.waiting_bytes

    def restore(self, streams: StreamRegistry, transfers: TransferNumbers, producers: Producers) -> None:
        """See the port."""
        self._transfers = transfers
        restored = []
        for stored in self._database.streams:
            stream = streams.restore(
                stored.id, stored.name, stored.kind, stored.durability, stored.epoch, stored.next_offset
            )
            if stream.stored_first is not None:
                stream.stored_first = stored.first_offset
            if stored.schema is not None:
                stream.schema = stored.schema
            if stream.kind is Kind.STATE:
                newest = read_newest(self._reader, stream, transfers)
                stream.newest = newest.newest() if isinstance(newest, Run) else newest
            producers.restore(stream, read_origins(self._reader, stream))
            restored.append(stream)
        self._writer.start(restored)

    def unsettled(self, stream: Stream) -> Unsettled:
        """See the port."""
        marks = read_marks(self._reader, stream)
        first = min((mark.next_offset for mark in marks.values()), default=stream.next_offset)
        return Unsettled(marks, read_units(self._reader, stream, first, self._transfers))

    def advance(self, stream: Stream, client_id: ClientId, mark: Mark | None) -> None:
        """See the port."""
        self._writer.advance(Advance(stream, client_id, mark))

    def append(
        self, stream: Stream, entry: Entry, done: Callable[[Exception | None], object], origin: Origin | None = None
    ) -> None:
        """See the port."""
        patch = patch_of(entry)
        self._writer.put(Append(stream, entry, origin, None if patch is None else patch.making()), done)

    def stage(self, message: LargeMessage, index: int) -> None:
        """See the port."""
        self._writer.put(StageChunk(message, index), None)

    def discard(self, message: LargeMessage) -> None:
        """See the port."""
        self._writer.put(Discard(message), None)

    def read(
        self,
        stream: Stream,
        first: int,
        last: int,
        max_bytes: int,
        done: Callable[[Sequence[Entry] | Exception], object],
    ) -> None:
        """See the port."""
        history = stream.history
        if first >= history.first or stream.stored_first is None:
            done(history.read(first, last, max_bytes))
            return
        # What is in memory too is read from there when its turn comes.
        last = min(last, history.first - 1)
        self._submit(partial(self._read, stream, first, last, max_bytes), partial(_answer, done))

    def close(self) -> None:
        """See the port."""
        self._writer.close()
        with self._reading:
            self._reader.close()
        self._lock.release()

    def _read(self, stream: Stream, first: int, last: int, max_bytes: int) -> Sequence[Entry]:
        """In a worker thread."""
        with self._reading:
            return read_entries(self._reader, stream, first, last, max_bytes, self._transfers)


def _trimmed(stream: Stream, first: int) -> None:
    stream.stored_first = first


def _answer(done: Callable[[Sequence[Entry] | Exception], object], result: Sequence[Entry] | BaseException) -> None:
    if isinstance(result, BaseException) and not isinstance(result, Exception):
        raise result
    done(result)
