"""Program of the process that writes stored payloads, as that of the traffic history writes records.

The process imports neither numpy nor the rest of the gateway.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Final

from gateway.optimizer.history.writer import HistoryWriter, serve
from gateway.optimizer.payloads.payload_files import PayloadFiles
from gateway.optimizer.payloads.stored_payload import whole_payloads

TIDY_S: Final = 60.0
"""Interval in which files that are too old are removed, whether others are written or not."""


def counted(data: bytes | bytearray) -> tuple[int, int]:
    """Return the number of whole stored payloads at the beginning of ``data``, and their bytes."""
    sizes = list(whole_payloads(data))
    return len(sizes), sum(sizes)


def main() -> None:
    """Write until the standard input ends; the last arguments are directory, bytes and age of all files."""
    *_, directory, max_bytes, max_age_s = sys.argv
    files = PayloadFiles(Path(directory), int(max_bytes), float(max_age_s))
    files.remove_old()
    serve(HistoryWriter(files, counted), files.remove_old, TIDY_S)
