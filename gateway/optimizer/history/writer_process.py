"""Writing process of a traffic history, as the gateway sees it: a pipe that takes records, and a queue before it.

The gateway never waits for the process. Records that find no room are dropped and counted; a process that ends, or
takes nothing for long, is replaced by another one.
"""

from __future__ import annotations

import contextlib
import logging
import os
import time
from collections import deque
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from gateway.optimizer.child_process import PLACE, STALLED_S, ChildProcess, StartPause
from gateway.optimizer.history.writer import REPORT

logger = logging.getLogger(__name__)

PROGRAM: Final = "import sys; sys.path.append(sys.argv[1]); from gateway.optimizer.{} import writer; writer.main()"
"""Program of the process, with the name of a room. It needs the standard library and this package only, so nothing else
can come in their place: neither a module in the working directory nor one that is installed."""
MAX_WAITING: Final = 4096
"""Records that wait for the process, some 1 MB; past it the oldest are dropped."""
WRITE_BYTES: Final = 64 * 1024
"""Bytes that are written to the pipe at once, as much as it holds."""
PUMP_INTERVAL_S: Final = 0.05
"""Interval of :meth:`WriterProcess.pump`: as the pipe takes some 300 records at once, 6,000 a second."""


@dataclass(frozen=True, slots=True)
class Writing:
    """Records of a kind, and the program that writes them."""

    name: str
    """Name of all of them, in the log."""
    room: str
    """Room of the optimizer that has the program."""
    max_waiting: int
    """Records that wait for the process; past it the oldest are dropped."""


HISTORY: Final = Writing("traffic history", "history", MAX_WAITING)
"""Traffic records and shadow trials."""


class WriterProcess:
    """Writing process with the records that wait for it. Used on the loop's thread, but for :meth:`close`.

    Args:
        directory: where the records are written.
        max_bytes: size of all files there.
        writing: kind of the records.
        arguments: further ones of its program.

    Attributes:
        directory: the same.
        recorded: records that were put.
        written, failed, lost, dropped, held_bytes, starts: as
            :class:`~gateway.optimizer.history.stats.TrafficHistoryStats` says.
        error: ``errno`` of the last attempt to write; 0: it was successful.
    """

    def __init__(self, directory: Path, max_bytes: int, writing: Writing = HISTORY, *arguments: str) -> None:
        self.directory = directory
        self._writing = writing
        self._arguments = str(directory), str(max_bytes), *arguments
        self._waiting: deque[bytes] = deque()
        self._piece = memoryview(b"")
        """Rest of a piece of which the pipe has taken a part."""
        self._process: ChildProcess | None = None
        self._sent = 0
        """Records that this process was sent."""
        self._reported = 0, 0
        """Records written and failed, as this process has reported."""
        self._taken_s = 0.0
        """Time at which the process took something last, or had nothing to take."""
        self._pause = StartPause()
        self.recorded = self.written = self.failed = self.lost = self.dropped = self.held_bytes = 0
        self.starts = 0
        self.error = 0

    @property
    def running(self) -> bool:
        """True if there is a process."""
        return self._process is not None

    @property
    def waiting(self) -> int:
        """Records that wait for the process, or are with it."""
        return len(self._waiting) + self._sent - sum(self._reported)

    @property
    def failure(self) -> str:
        """Reason for which records cannot be written now; empty: they can."""
        if self.error:
            return os.strerror(self.error)
        return "no process writes" if self._process is None and self._waiting else ""

    def put(self, record: bytes) -> None:
        """Let a record wait for :meth:`pump`."""
        self.recorded += 1
        self._waiting.append(record)
        if len(self._waiting) > self._writing.max_waiting:
            self._waiting.popleft()
            self.dropped += 1

    def pump(self, now_s: float) -> None:
        """Pass records on as far as the pipe takes them, and read the reports; never waits for the process.

        Starts one if there is none.

        Args:
            now_s: a monotonic time.
        """
        if self._process is None:
            if not self._pause.is_over(now_s) or not self._start(now_s):
                return
        elif (status := self._process.poll()) is not None:
            self._read_reports()
            self._give_up(now_s, f"has ended with status {status}")
            return
        self._read_reports()
        if self._write() or not (self._waiting or self._piece):
            self._taken_s = now_s
        elif now_s - self._taken_s >= STALLED_S:
            self._give_up(now_s, f"has taken nothing for {STALLED_S:g} s")

    def close(self, timeout_s: float) -> None:
        """Pass on all records that wait, and wait for the end of the process; for any thread.

        Args:
            timeout_s: longest time; then the process is killed, and its records are lost.
        """
        unwritten = self.lost + self.dropped
        end_s = time.monotonic() + timeout_s
        if self._process is None and self._waiting and self._pause.has_place:
            self._start(time.monotonic())
        process = self._process
        if process is not None:
            while (self._waiting or self._piece) and process.poll() is None:
                left_s = end_s - time.monotonic()
                if left_s <= 0 or not process.wait_until_it_takes(left_s):
                    break
                self._write()
            process.close_input()
            process.wait_for_end(end_s - time.monotonic())
            self._read_reports()
            self._end(process)
        self.dropped += len(self._waiting)
        self._waiting.clear()
        unwritten = self.lost + self.dropped - unwritten
        if unwritten:
            name, where = self._writing.name, self.directory
            logger.warning("%s %s: %d records were not written before the stop", name, where, unwritten)
        self._pause.wait_for_end(1.0)

    def _start(self, now_s: float) -> bool:
        """Start the process; return whether it could be started."""
        self.starts += 1
        try:
            self._process = ChildProcess(PROGRAM.format(self._writing.room), PLACE, *self._arguments)
        except OSError as error:
            self._pause.begin(now_s)
            logger.warning("the writing process of the %s cannot be started: %s", self._writing.name, error.strerror)
            return False
        self._sent, self._reported, self._taken_s = 0, (0, 0), now_s
        return True

    def _write(self) -> bool:
        """Write to the pipe what it takes; return whether it has taken something."""
        assert self._process is not None
        taken = False
        while self._piece or self._waiting:
            if not self._piece:
                self._piece = memoryview(self._next_piece())
            try:
                count = self._process.write(self._piece)
            except OSError:  # the pipe is full, or the process has ended, as the next look at it will show
                return taken
            self._piece = self._piece[count:]
            taken = True
        return taken

    def _next_piece(self) -> bytes:
        records: list[bytes] = []
        size = 0
        while self._waiting and (not records or size + len(self._waiting[0]) <= WRITE_BYTES):
            record = self._waiting.popleft()
            records.append(record)
            size += len(record)
        self._sent += len(records)
        return b"".join(records)

    def _read_reports(self) -> None:
        assert self._process is not None
        data = b""
        with contextlib.suppress(OSError):
            # The last report counts; each is written, and so read, as a whole.
            while piece := self._process.read(128 * REPORT.size):
                data = piece
        if len(data) < REPORT.size:
            return
        written, failed, self.held_bytes, error = REPORT.unpack(data[-REPORT.size :])
        self.written += written - self._reported[0]
        self.failed += failed - self._reported[1]
        self._reported = written, failed
        if not error:
            self._pause.shorten()
        if error and not self.error:
            reason = os.strerror(error)
            name, where = self._writing.name, self.directory
            logger.warning("%s %s cannot be written, records are lost: %s", name, where, reason)
        elif self.error and not error:
            logger.info("%s %s is written again", self._writing.name, self.directory)
        self.error = error

    def _give_up(self, now_s: float, reason: str) -> None:
        """Count what was with a process as lost, and let another one come later."""
        assert self._process is not None
        lost = self.lost
        self._end(self._process)
        self._pause.begin(now_s)
        lost = self.lost - lost
        logger.warning("the writing process of the %s %s; %d records are lost", self._writing.name, reason, lost)

    def _end(self, process: ChildProcess) -> None:
        self.lost += self._sent - sum(self._reported)
        self._process, self._piece, self._sent, self._reported = None, memoryview(b""), 0, (0, 0)
        self._pause.end(process)
