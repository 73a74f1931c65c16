"""Writer: thread that writes a store's file, all waiting changes in one transaction, and reports their outcome.

The thread ends only by :meth:`Writer.close`: any failure is an outcome of the changes that it concerns.
"""

from __future__ import annotations

import logging
import threading
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial
from queue import Empty, SimpleQueue
from typing import Final, NamedTuple

from gateway.errors import StoreFailed
from gateway.streams.run import Run
from gateway.streams.span import offsets_of
from gateway.streams.sqlite.changes import Advance, Append, Change, Forget, StageChunk
from gateway.streams.sqlite.condition import Condition
from gateway.streams.sqlite.database import TRIM_ROWS, Database
from gateway.streams.sqlite.failure import failure_of
from gateway.streams.state import LargePatch
from gateway.streams.stream import Stream

logger = logging.getLogger(__name__)

GROUP_BYTES: Final = 4 * 1024 * 1024
"""Bytes of one transaction: some milliseconds of a disk, for which later changes wait."""

IDLE_S: Final = 0.25
"""Time without changes after which messages that are too old are deleted."""

SWEEP_PAUSE_S: Final = 0.005
"""The same while messages of streams that have ended, or chunks, are still to be deleted."""

REPORTED_TOGETHER: Final = 32
"""Outcomes that are reported in one turn of the loop, some 30 us each: a transaction may have 40 000."""

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
        time_ns: the store's time.
        call_soon: has a function called on the loop's thread; safe to call from any thread.
        trimmed: called on the loop's thread with a stream and its new first offset.
        condition: told of failures.

    Attributes:
        waiting_bytes: bytes that are not stored yet.
    """

    def __init__(
        self,
        database: Database,
        time_ns: Callable[[], int],
        call_soon: Callable[[Callable[[], object]], object],
        trimmed: Callable[[Stream, int], object],
        condition: Condition,
    ) -> None:
        self._database = database
        self._time_ns = time_ns
        self._call_soon = call_soon
        self._trimmed = trimmed
        self._condition = condition
        self._queue: SimpleQueue[_PendingChange | None] = SimpleQueue()
        self._streams: deque[Stream] = deque()
        """Streams that have to be trimmed now and then, the next one first."""
        self._known: set[Stream] = set()
        self.waiting_bytes = 0
        self._advances: list[Advance] = []
        self._advancing = threading.Lock()
        self._failure_of_close: StoreFailed | None = None
        self._group: list[_PendingChange] = []
        """Changes of the present transaction whose outcome is not reported yet."""
        self._outcomes: list[Exception | None] | None = None
        """Outcomes of these changes; ``None``: not known yet."""
        self._reports: deque[Callable[[], object]] = deque()
        """Calls that are to be made on the loop's thread, in their order; used there only."""
        self._last = False
        """Whether that transaction is the last one."""
        self._idle_s = 0.0
        """Time to wait for changes; at first none, because messages may have become too old meanwhile."""
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
        """Write all waiting changes, then close the file. Their outcome is reported if the loop still runs.

        Raises:
            StoreFailed: something could not be written; the message says which files belong together.
        """
        if self._thread.ident is None:
            self._finish()
        else:
            self._queue.put(None)
            self._thread.join()
        if self._failure_of_close is not None:
            raise self._failure_of_close

    # The thread.

    def _run(self) -> None:
        while self._group or not self._last:
            try:
                self._turn()
            except BaseException as error:  # noqa: BLE001 - the thread's boundary: an outcome, whatever it is
                # There may be no memory for the report either; the next turn reports the outcomes.
                with suppress(Exception):
                    self._condition.failed(error, _size_of_all(self._group))
        self._finish()

    def _finish(self) -> None:
        try:
            self._database.close(self._condition.damage)
        except StoreFailed as error:
            self._failure_of_close = error
        except BaseException as error:  # noqa: BLE001 - the same boundary
            self._failure_of_close = failure_of(self._database.file.path, error).error

    def _turn(self) -> None:
        group = self._group
        if group:
            # The turn before has failed.
            self._report(group)
        self._outcomes = None
        if not self._last:
            sweeping = self._idle_s == SWEEP_PAUSE_S
            self._last = self._take(group)
            self._idle_s = IDLE_S
            idle = not group and not sweeping
            self._condition.begin_work()
            try:
                self._write(group)
                self._look_after(idle=idle)
            finally:
                self._condition.end_work()

    def _take(self, group: list[_PendingChange]) -> bool:
        """Take the changes of the next transaction; return whether it is the last one."""
        size = 0
        try:
            pending = self._queue.get(timeout=self._idle_s)
            while pending is not None:
                group.append(pending)
                size += _size_of(pending.change)
                if size >= GROUP_BYTES:
                    return False
                pending = self._queue.get_nowait()
        except Empty:
            return False
        return True

    def _write(self, group: list[_PendingChange]) -> None:
        with self._advancing:
            # Taken after the group, so that consumers of the time of a publish are stored with the message.
            advances, self._advances = self._advances, []
        self._database.advance(advances)
        if not group and not advances:
            return
        if not self._condition.suspended:
            self._outcomes = self._database.commit([pending.change for pending in group], self._time_ns())
            if self._database.error is not None:
                self._condition.failed(self._database.error, _size_of_all(group))
        self._report(group)

    def _report(self, group: list[_PendingChange]) -> None:
        """Report the outcomes of changes, which are refused if they have none."""
        outcomes = self._outcomes
        if outcomes is None:
            changes = [pending.change for pending in group]
            outcomes = self._outcomes = self._database.refuse(changes, [self._condition.refusal] * len(group))
        refused = 0
        for pending, outcome in zip(group, outcomes, strict=True):
            change = pending.change
            if isinstance(change, Append):
                self._know(change.stream)
                if outcome is not None and change.stream.ended is None:
                    first, last = offsets_of(change.entry)
                    refused += last - first + 1
            elif isinstance(change, Forget):
                self._known.discard(change.stream)
        self._condition.refused(refused)
        self._tell_loop([partial(self._tell, *each) for each in zip(group, outcomes, strict=True)])
        group.clear()

    def _tell_loop(self, reports: Sequence[Callable[[], object]]) -> None:
        # The loop may have ended: then there is nobody left who waits for the outcome.
        with suppress(RuntimeError):
            self._call_soon(partial(self._take_reports, reports))

    def _take_reports(self, reports: Sequence[Callable[[], object]]) -> None:
        """Make these calls behind those that wait, on the loop's thread, some of them at once."""
        is_first = not self._reports
        self._reports += reports
        if is_first:
            self._make_reports()

    def _make_reports(self) -> None:
        reports = self._reports
        for _ in range(min(REPORTED_TOGETHER, len(reports))):
            try:
                # Left in its place meanwhile, so that what comes now is made behind it.
                reports[0]()
            except Exception:
                # A boundary: the other changes have their outcome all the same.
                logger.exception("the outcome of a change could not be reported")
            reports.popleft()
        if reports:
            with suppress(RuntimeError):
                self._call_soon(self._make_reports)

    def _tell(self, pending: _PendingChange, outcome: Exception | None) -> None:
        """Report an outcome, on the loop's thread."""
        self.waiting_bytes -= _size_of(pending.change)
        if pending.done is not None:
            pending.done(outcome)

    def _know(self, stream: Stream) -> None:
        if stream in self._known or stream.keeps_newest_only:
            return
        self._known.add(stream)
        self._streams.append(stream)

    def _look_after(self, *, idle: bool) -> None:
        """Check the file now and then, and delete messages that exceed the limits of their streams."""
        condition = self._condition
        if condition.failing:
            if condition.due():
                self._recover()
            return
        due = condition.due()
        if due:
            self._database.file.check_in_place()
            self._database.file.checkpoint_overdue()
        if self._tidy(IDLE_STREAMS if idle else 1, in_haste=not (idle or due)):
            self._idle_s = SWEEP_PAUSE_S

    def _recover(self) -> None:
        """Prove that the store works again, with everything that it does besides the messages of publishers."""
        condition, file = self._condition, self._database.file
        try:
            file.wait_for_others(wait=False)
            # First, because the log may be what fills the disk, and without room nothing else is written.
            file.settle_log(all_of_it=condition.suspended)
            self._tidy(IDLE_STREAMS, in_haste=False)
            file.prove(condition.probe_bytes)
            file.wait_for_others(wait=True)
            # The progress of clients that could not be stored.
            self._database.commit([], self._time_ns())
            if self._database.error is not None:
                raise self._database.error
        except Exception as error:  # noqa: BLE001 - the store does not work yet, whatever it is
            condition.failed_again(error)
        else:
            condition.recovered()

    def _tidy(self, streams: int, *, in_haste: bool) -> bool:
        """Delete what exceeds the limits of some streams, and what is not needed; return whether there may be more."""
        for _ in range(min(streams, len(self._streams))):
            stream = self._streams[0]
            if stream not in self._known:
                self._streams.popleft()  # it has ended
                continue
            rows = self._database.trim(stream, stream.stored_limits, self._time_ns(), in_haste=in_haste)
            if rows:
                self._tell_loop([partial(self._trimmed, stream, self._database.first_of(stream))])
            if rows < TRIM_ROWS:
                self._streams.rotate(-1)
        return self._database.sweep()


def _size_of_all(group: list[_PendingChange]) -> int:
    return sum([_size_of(pending.change) for pending in group])


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
