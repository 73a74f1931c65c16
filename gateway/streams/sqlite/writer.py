"""The thread that writes a store's file: takes all that waits, commits it at once, and tells who asked."""

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
"""What goes into one transaction: some milliseconds of a disk, which is how long others wait for theirs."""

IDLE_S: Final = 0.25
"""When nothing is written for so long, what is too old is looked for."""

IDLE_STREAMS: Final = 256
"""Streams that are looked at in one such moment: 20 us each."""

Done = Callable[[Exception | None], object]
"""Told what went wrong, or ``None``: it is stored."""


class _Wanted(NamedTuple):
    change: Change
    done: Done | None


class Writer:
    """Changes go in from the loop's thread, and what became of them comes back to it.

    Args:
        database: the file; used by the writer's thread only, until :meth:`close` returns.
        time_ns: Unix time.
        call_soon: has a function called on the loop's thread.
        trimmed: told on the loop's thread which offset of a stream is the first now.

    Attributes:
        waiting_bytes: what is not stored yet.
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
        self._queue: SimpleQueue[_Wanted | None] = SimpleQueue()
        self._streams: deque[Stream] = deque()
        """Streams whose past has to be trimmed now and then, the next one first."""
        self._known: set[Stream] = set()
        self.waiting_bytes = 0
        self._advances: list[Advance] = []
        self._advancing = threading.Lock()
        self._thread = threading.Thread(target=self._run, name="frys-store", daemon=True)

    def start(self, streams: list[Stream]) -> None:
        """Begin to write; ``streams`` are those that are stored already."""
        for stream in streams:
            self._know(stream)
        self._thread.start()

    def put(self, change: Change, done: Done | None) -> None:
        """Make a change behind all before it; ``done`` is called on the loop's thread, in the order of the calls."""
        self.waiting_bytes += _size_of(change)
        self._queue.put(_Wanted(change, done))

    def advance(self, advance: Advance) -> None:
        """Store how far a client has got with the next transaction, or :data:`IDLE_S` later if there is none."""
        with self._advancing:
            self._advances.append(advance)

    def close(self) -> None:
        """Write what waits, then close the file. What became of it is told if the loop still runs."""
        self._queue.put(None)
        self._thread.join()

    # The thread.

    def _run(self) -> None:
        while True:
            group, last = self._take()
            with self._advancing:
                # After the group: whoever was a consumer when a message was published is known with that message.
                advances, self._advances = self._advances, []
            self._database.advance(advances)
            if group or advances:
                self._commit(group)
            if last:
                self._database.close()
                return
            self._tidy(1 if group else IDLE_STREAMS)

    def _take(self) -> tuple[list[_Wanted], bool]:
        """What goes into the next transaction, and whether it is the last one."""
        group: list[_Wanted] = []
        size = 0
        try:
            wanted = self._queue.get(timeout=IDLE_S)
            while wanted is not None:
                group.append(wanted)
                size += _size_of(wanted.change)
                if size >= GROUP_BYTES:
                    return group, False
                wanted = self._queue.get_nowait()
        except Empty:
            return group, False
        return group, True

    def _commit(self, group: list[_Wanted]) -> None:
        outcomes: list[Exception | None]
        try:
            outcomes = self._database.commit([wanted.change for wanted in group], self._time_ns())
        except Exception as error:
            # The thread's boundary: without it all who wait would wait for ever.
            logger.exception("a group of %d changes failed", len(group))
            outcomes = [StoreFailed(f"the store failed: {error}; the gateway's log says more")] * len(group)
        for wanted in group:
            if isinstance(wanted.change, Append):
                self._know(wanted.change.stream)
        self._call_soon(partial(self._tell, group, outcomes))

    def _tell(self, group: list[_Wanted], outcomes: list[Exception | None]) -> None:
        """On the loop's thread."""
        for wanted, outcome in zip(group, outcomes, strict=True):
            self.waiting_bytes -= _size_of(wanted.change)
            if wanted.done is not None:
                wanted.done(outcome)

    def _know(self, stream: Stream) -> None:
        if stream in self._known or stream.keeps_newest_only:
            return
        self._known.add(stream)
        self._streams.append(stream)

    def _tidy(self, streams: int) -> None:
        """Let go of what is too old or too much, of so many streams."""
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
            # What is not let go of now is later; publishers are told of a disk that is full.
            logger.warning("%s", error)
            self._streams.rotate(-1)


def _size_of(change: Change) -> int:
    """What a change adds to the file; of a large message its chunks do."""
    match change:
        case Append(entry=Run() as run):
            return run.size
        case Append(entry=LargePatch() as patch):
            return patch.received_bytes
        case StageChunk(message=message, index=index):
            return len(message.chunks[index].data)
    return 0
