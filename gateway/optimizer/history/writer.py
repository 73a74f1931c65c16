"""Program of the process that writes a traffic history.

Records come by the standard input, and the counts go back by the standard output. The end of the input ends the
process, also behind a gateway that was killed; signals to the whole group of processes do not. The process imports
neither numpy nor the rest of the gateway.
"""

from __future__ import annotations

import contextlib
import os
import select
import signal
import struct
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final, Protocol

from gateway.optimizer.history.files import HistoryFiles
from gateway.optimizer.history.layout import HEADER

REPORT: Final = struct.Struct("<QQQI")
"""Report to the gateway: records written and failed since the start, bytes of all files, ``errno`` of the last attempt.
All counts are totals, so that a report may be left out."""
READ_BYTES: Final = 1024 * 1024
"""Bytes that are read, and so written, at once."""
NICENESS: Final = 10
"""Niceness above that of the gateway."""


def whole_records(data: bytes | bytearray) -> tuple[int, int]:
    """Return the number of whole records at the beginning of ``data``, and their bytes."""
    at = count = 0
    while at + HEADER.size <= len(data):
        _, _, body_bytes, _ = HEADER.unpack_from(data, at)
        if at + HEADER.size + body_bytes > len(data):
            break
        at += HEADER.size + body_bytes
        count += 1
    return count, at


class RecordFiles(Protocol):
    """Files that take records."""

    @property
    def held_bytes(self) -> int:
        """Size of all files."""

    def append(self, records: bytes, /) -> None:
        """Append whole records.

        Raises:
            OSError: they cannot be written.
        """


class HistoryWriter:
    """Writer of the records that come, piece by piece.

    Args:
        files: where they go.
        whole: returns the number of records at the beginning of some bytes that are written together, and their size; 0
            if none is whole.

    Attributes:
        written, failed: counts of records.
        error: ``errno`` of the last attempt; 0: it was successful.
    """

    def __init__(
        self, files: RecordFiles, whole: Callable[[bytes | bytearray], tuple[int, int]] = whole_records
    ) -> None:
        self._files = files
        self._whole = whole
        self._pending = bytearray()
        self.written = 0
        self.failed = 0
        self.error = 0

    def take(self, data: bytes) -> None:
        """Write the records that are complete; the rest waits for its end."""
        self._pending += data
        while True:
            count, size = self._whole(self._pending)
            if not count:
                return
            records = bytes(self._pending[:size])
            del self._pending[:size]
            try:
                self._files.append(records)
            except OSError as error:
                self.failed += count
                self.error = error.errno or 1
            else:
                self.written += count
                self.error = 0

    @property
    def report(self) -> bytes:
        """Report to the gateway."""
        return REPORT.pack(self.written, self.failed, self._files.held_bytes, self.error)


def serve(writer: HistoryWriter, tidy: Callable[[], object] = lambda: None, tidy_s: float = 3600.0) -> None:
    """Write what comes by the standard input until that ends.

    Args:
        writer: takes it.
        tidy: is called at intervals, whether something comes or not.
        tidy_s: such an interval.
    """
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    os.nice(NICENESS)
    # A gateway that does not read reports must not keep its records from being written.
    os.set_blocking(sys.stdout.fileno(), False)
    source, tidy_at_s = sys.stdin.fileno(), time.monotonic() + tidy_s
    while True:
        left_s = tidy_at_s - time.monotonic()
        if left_s > 0 and select.select([source], [], [], left_s)[0]:
            data = os.read(source, READ_BYTES)
            if not data:
                return
            writer.take(data)
        else:
            tidy()
            tidy_at_s = time.monotonic() + tidy_s
        with contextlib.suppress(OSError):
            os.write(sys.stdout.fileno(), writer.report)


def main() -> None:
    """Write until the standard input ends; the last arguments are the directory, and the bytes of all files."""
    *_, directory, max_bytes = sys.argv
    files = HistoryFiles(Path(directory), int(max_bytes))
    serve(HistoryWriter(files))
    files.close()
