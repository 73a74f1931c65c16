"""Program of the process that writes stored payloads, as that of the traffic history writes records.

The process imports neither numpy nor the rest of the gateway.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Final

from gateway.optimizer.history.writer import HistoryWriter, serve
from gateway.optimizer.payloads.payload_files import PayloadFiles
from gateway.optimizer.payloads.stored_payload import size_of

TIDY_S: Final = 60.0
"""Interval in which files that are too old are removed, whether others are written or not."""


def first_of(data: bytes | bytearray) -> tuple[int, int]:
    """Return 1 and the size of the stored payload at the beginning of ``data``, or 0 and 0 if it is not whole.

    One at a time, since each has a file of its own, which may be the only one that cannot be written.
    """
    size = size_of(data, 0)
    return (1, size) if size else (0, 0)


def main() -> None:
    """Write until the standard input ends; the last arguments are directory, bytes and age of all files."""
    *_, directory, max_bytes, max_age_s = sys.argv
    files = PayloadFiles(Path(directory), int(max_bytes), float(max_age_s))
    files.remove_old()
    serve(HistoryWriter(files, first_of), files.remove_old, TIDY_S)
