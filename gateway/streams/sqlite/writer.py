"""Writer: thread that writes a store's file, all waiting changes in one transaction, and reports their outcome."""

from __future__ import annotations

import logging
import threading
from collections import deque
from collections.abc import Callable
from functools import partial
from queue import Empty, SimpleQueue
from typing import Final, NamedTuple

from gateway.errors import StoreFailed
from gateway.streams.run import Run
from gateway.streams.sqlite.changes import Advance, Append, Change, StageChunk
from gateway.streams.sqlite.database import TRIM_ROWS, Database
from gateway.streams.state import LargePatch
from gateway.streams.stream import Stream

logger = logging.getLogger(__name__)

GROUP_BYTES: Final = 4 * 1024 * 1024
"""Bytes of one transaction: some milliseconds of a disk, for which later changes wait."""

IDLE_S: Final = 0.25
"""Time without changes after which messages that are too old are deleted."""

IDLE_STREAMS: Final = 256
"""Streams that are trimmed at one such time: 20 us each."""

CommitCallback = Callable[[Exception | None], object]
"""Called with the error, or ``None`` if the change is stored."""


class _PendingChange(NamedTuple):
    """Change that waits for its transaction."""

    change: Change
    done: CommitCallback | None


class Writer:
    """Writer that takes changes from the loop's thread and reports their outcome there.

    Args:
        database: the file; used by the writer's thread only, until :meth:`close` returns.
        time_ns: Unix time.
        call_soon: has a function called on the loop's thread; safe to call from any thread.
        trimmed: called on the loop's thread with a stream and its new first offset.

    Attributes:
        waiting_bytes: bytes that are not stored yet.
    """

    def __init__(
        self,
        database: Database,
        time_ns: Callable[[], int],
        call_soon: Callable[[Callable[[], object]], object],
        trimmed: Callable[[Stream, int], object],
    ) -> None:
        self._database = database
        self._time_ns = time_ns
        self._call_soon = call_soon
        self._trimmed = trimmed
        self._queue: SimpleQueue[_PendingChange | None] = SimpleQueue()
        self._streams: deque[Stream] = deque()
        """Streams that have to be trimmed now and then, the next one first."""
        self._known: set[Stream] = set()
        self.waiting_bytes = 0
        self._advances: list[Advance] = []
        self._advancing = threading.Lock()
        self._thread = threading.Thread(target=self._run, name="frys-store", daemon=True)

    def start(self, streams: list[Stream]) -> None:
        """Start to write; ``streams`` are the ones that are stored already."""
        for stream in streams:
            self._know(stream)
        self._thread.start()

    def put(self, change: Change, done: CommitCallback | None) -> None:
        """Queue a change; ``done`` is called on the loop's thread, in the order of the calls."""
        self.waiting_bytes += _size_of(change)
        self._queue.put(_PendingChange(change, done))

    def advance(self, advance: Advance) -> None:
        """Store the progress of a client with the next transaction, or :data:`IDLE_S` later if there is none."""
        with self._advancing:
            self._advances.append(advance)

    def close(self) -> None:
        """Write all waiting changes, then close the file. Their outcome is reported if the loop still runs."""
        self._queue.put(None)
        self._thread.join()

    # The thread.

    def _run(self) -> None:
        while True:
            group, last = self._take()
            with self._advancing:
                # Taken after the group, so that consumers of the time of a publish are stored with the message.
                advances, self._advances = self._advances, []
            self._database.advance(advances)
            if group or advances:
                self._commit(group)
            if last:
                self._database.close()
                return
            self._tidy(1 if group else IDLE_STREAMS)

    def _take(self) -> tuple[list[_PendingChange], bool]:
        """Return the changes of the next transaction, and whether it is the last one."""
        group: list[_PendingChange] = []
        size = 0
        try:
            pending = self._queue.get(timeout=IDLE_S)
            while pending is not None:
                group.append(pending)
                size += _size_of(pending.change)
                if size >= GROUP_BYTES:
                    return group, False
                pending = self._queue.get_nowait()
        except Empty:
            return group, False
        return group, True

    def _commit(self, group: list[_PendingChange]) -> None:
        outcomes: list[Exception | None]
        try:
            outcomes = self._database.commit([pending.change for pending in group], self._time_ns())
        except Exception as error:
            # The thread's boundary: without it the callbacks of these and all later changes would never be called.
            logger.exception(
                "%d changes were not stored, the publishes among them are refused with QUEUE_FULL", len(group)
            )
            outcomes = [StoreFailed(f"the store failed: {error}; the gateway's log says more")] * len(group)
        for pending in group:
            if isinstance(pending.change, Append):
                self._know(pending.change.stream)
        self._call_soon(partial(self._tell, group, outcomes))

    def _tell(self, group: list[_PendingChange], outcomes: list[Exception | None]) -> None:
        """Report outcomes, on the loop's thread."""
        for pending, outcome in zip(group, outcomes, strict=True):
            self.waiting_bytes -= _size_of(pending.change)
            if pending.done is not None:
                pending.done(outcome)

    def _know(self, stream: Stream) -> None:
        if stream in self._known or stream.keeps_newest_only:
            return
        self._known.add(stream)
        self._streams.append(stream)

    def _tidy(self, streams: int) -> None:
        """Delete messages of so many streams that exceed their limits."""
        try:
            for _ in range(min(streams, len(self._streams))):
                stream = self._streams[0]
                rows = self._database.trim(stream, stream.stored_limits, self._time_ns())
                if rows:
                    self._call_soon(partial(self._trimmed, stream, self._database.first_of(stream)))
                if rows < TRIM_ROWS:
                    self._streams.rotate(-1)
            self._database.sweep()
        except StoreFailed as error:
            # The messages are deleted later; publishers are told that the disk is full.
            logger.warning("%s", error)
            self._streams.rotate(-1)


def _size_of(change: Change) -> int:
    """Return the bytes that a change adds to the file; those of a large message are counted with its chunks."""
    match change:
        case Append(entry=Run() as run):
            return run.size
        case Append(entry=LargePatch() as patch):
            return patch.received_bytes
        case StageChunk(message=message, index=index):
            return len(message.chunks[index].data)
    return 0
