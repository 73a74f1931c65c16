"""The :class:`~gateway.connections.ports.DurableStore` that keeps streams in one SQLite file (spec section 4.8)."""

from __future__ import annotations

import logging
import sqlite3
import struct
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from typing import Final

from gateway.errors import FrysError, StoreFailed
from gateway.ids import ClientId
from gateway.protocol.messages import Kind
from gateway.streams.history import EntriesRead, Entry
from gateway.streams.large import LargeMessage, TransferNumbers
from gateway.streams.producers import Producers
from gateway.streams.progress import Mark, Unsettled
from gateway.streams.run import Origin, Run
from gateway.streams.sqlite.changes import Advance, Append, Discard, Forget, StageChunk
from gateway.streams.sqlite.condition import Condition
from gateway.streams.sqlite.consumer_marks import read_marks, read_units
from gateway.streams.sqlite.database import Database
from gateway.streams.sqlite.failure import Until, cannot_open, failure_of
from gateway.streams.sqlite.file_format import connect_reader
from gateway.streams.sqlite.lock import FileLock
from gateway.streams.sqlite.origins import read_origins
from gateway.streams.sqlite.rows import read_entries, read_newest
from gateway.streams.sqlite.store_clock import Machine
from gateway.streams.sqlite.writer import Writer
from gateway.streams.state import patch_of
from gateway.streams.store_health import StoreHealth
from gateway.streams.stream import Stream
from gateway.streams.stream_registry import StreamRegistry

logger = logging.getLogger(__name__)

DAMAGED: Final = (FrysError, sqlite3.Error, ValueError, LookupError, TypeError, struct.error)
"""Errors of reading a damaged row."""

Submit = Callable[[Callable[[], Sequence[Entry]], Callable[[Sequence[Entry] | BaseException], None]], None]
"""Signature of :meth:`gateway.connections.ports.Workers.submit`."""


class SqliteStreamStore:
    """Store of streams in a file. Called on the loop's thread; only opening, restoring and closing wait for the disk.

    Args:
        path: the file; created if it does not exist.
        machine: identifies its last start, and has the clocks.
        call_soon: has a function called on the loop's thread; safe to call from any thread.
        submit: runs work in a thread.

    Raises:
        StoreFailed: the file cannot be used, or another gateway uses it.
    """

    def __init__(
        self,
        path: Path,
        machine: Machine,
        call_soon: Callable[[Callable[[], object]], object],
        submit: Submit,
    ) -> None:
        self._lock = FileLock(path)
        # Without symbolic links, as SQLite names the files that belong to it.
        name, self._path = path, self._lock.path
        with ExitStack() as undo:
            undo.callback(self._lock.release)
            self._database = Database(self._path, machine)
            undo.callback(self._database.file.close)
            self._database.file.watch_name(name)
            with self._told():
                self._reader = connect_reader(self._path)
            undo.pop_all()
        self._reading = threading.Lock()
        self._unreadable = False
        """Whether the last read failed, which was logged."""
        self._submit = submit
        self._transfers = TransferNumbers()
        self._condition = Condition(self._path)
        self._writer = Writer(self._database, self._database.clock.now_ns, call_soon, _trimmed, self._condition)

    @property
    def waiting_bytes(self) -> int:
        """Bytes that are not stored yet."""
        return self._writer.waiting_bytes

    @property
    def health(self) -> StoreHealth:
        """Whether messages are stored now, and the counts of failures."""
        return self._condition.health()

    def restore(self, streams: StreamRegistry, transfers: TransferNumbers, producers: Producers) -> None:
        """Put the streams of the file into the registry, and their origins into the producers."""
        with self._told():
            self._restore(streams, transfers, producers)

    def _restore(self, streams: StreamRegistry, transfers: TransferNumbers, producers: Producers) -> None:
        self._transfers = transfers
        streams.restore_ended(*self._database.last_ended)
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
        """Return the marks of a stream, and the messages from the first unsettled one on, which are read lazily."""
        with self._told():
            marks = read_marks(self._reader, stream)
        first = min((mark.next_offset for mark in marks.values()), default=stream.next_offset)
        return Unsettled(marks, self._units(stream, first), partial(self._shift_ns, stream))

    def forget(self, stream: Stream, done: Callable[[Exception | None], object]) -> None:
        """Delete a stream that has ended, with the next transaction; its messages are deleted bit by bit after that."""
        self._writer.put(Forget(stream), done)

    def _units(self, stream: Stream, first: int) -> Iterator[Entry]:
        with self._told():
            yield from read_units(self._reader, stream, first, self._transfers)

    def advance(self, stream: Stream, client_id: ClientId, mark: Mark | None) -> None:
        """Store the progress of a client with the next transaction."""
        self._writer.advance(Advance(stream, client_id, mark))

    def append(
        self, stream: Stream, entry: Entry, done: Callable[[Exception | None], object], origin: Origin | None = None
    ) -> None:
        """Store messages; of a patch its keyframe is stored, which is made in the writer's thread."""
        patch = patch_of(entry)
        self._writer.put(Append(stream, entry, origin, None if patch is None else patch.making()), done)

    def stage(self, message: LargeMessage, index: int, done: Callable[[Exception | None], object]) -> None:
        """Store a chunk of a large message that is not complete yet."""
        self._writer.put(StageChunk(message, index), done)

    def discard(self, message: LargeMessage) -> None:
        """Delete the chunks of a large message that will not be appended."""
        self._writer.put(Discard(message), None)

    def read(self, stream: Stream, first: int, last: int, max_bytes: int, done: EntriesRead) -> None:
        """Read messages from the history if it holds the first one, else from the file, in a worker thread."""
        history = stream.history
        if first >= history.first or stream.stored_first is None:
            done(history.read(first, last, max_bytes))
            return

        def answer(result: Sequence[Entry] | BaseException) -> None:
            if isinstance(result, Exception) and history.first <= last:
                # The receiver misses only messages that are not in memory.
                result = history.read(history.first, last, max_bytes)
            if isinstance(result, BaseException) and not isinstance(result, Exception):
                raise result
            done(result)

        # Messages that are in memory as well are read from there by a later call.
        self._submit(partial(self._read, stream, first, min(last, history.first - 1), max_bytes), answer)

    def close(self) -> None:
        """Store everything that waits, then release the file.

        Raises:
            StoreFailed: something could not be stored; the message says which files belong together.
        """
        with self._reading:
            # First, so that the writer is the last one to close the file: it deletes the log.
            self._reader.close()
        try:
            self._writer.close()
        finally:
            self._lock.release()

    def _shift_ns(self, stream: Stream, offset: int) -> int:
        """Return how much later the deadline of a stored message is by the gateway's present clock."""
        clock = self._database.clock
        if not clock.stepped:
            return 0
        newest = "SELECT stored_ns FROM messages WHERE stream = ? AND first <= ? ORDER BY first DESC LIMIT 1"
        row = self._reader.execute(newest, (stream.id, offset)).fetchone()
        return 0 if row is None else clock.shift_ns(row[0])

    @contextmanager
    def _told(self) -> Iterator[None]:
        """Tell of a file that cannot be read when the gateway starts."""
        try:
            yield
        except DAMAGED as error:
            raise cannot_open(self._path, error) from error

    def _read(self, stream: Stream, first: int, last: int, max_bytes: int) -> Sequence[Entry]:
        """Read from the file, in a worker thread."""
        try:
            with self._reading:
                entries = read_entries(self._reader, stream, first, last, max_bytes, self._transfers)
        except (*DAMAGED, MemoryError) as error:
            if not isinstance(error, sqlite3.Error | MemoryError):
                error = StoreFailed(f"store {self._path} has a damaged row: {type(error).__name__}: {error}")
            failure = failure_of(self._path, error)
            if failure.until is Until.RESTARTED:
                self._condition.failed(error)
                raise failure.error from error
            self._condition.failed_to_read()
            if not self._unreadable:
                problem = "offsets %d to %d of %s cannot be read: %s; receivers get a GAP until they can"
                logger.error(problem, first, last, stream.name, failure.error)
            self._unreadable = True
            raise failure.error from error
        if self._unreadable:
            self._unreadable = False
            logger.warning("store %s can be read again", self._path)
        return entries


def _trimmed(stream: Stream, first: int) -> None:
    stream.stored_first = first
