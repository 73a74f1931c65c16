"""Files of a store: the one that a user names, and the write-ahead log that belongs to it while the gateway runs."""

from __future__ import annotations

import os
from pathlib import Path


def log_of(path: Path) -> Path:
    """Return the write-ahead log of a store's file; the log of a symbolic link is beside the file."""
    real = Path(os.path.realpath(path))
    return real.with_name(f"{real.name}-wal")


def kept_together(path: Path) -> str:
    """Return which files belong together, for the end of a message about a store that was not closed.

    Args:
        path: the store's file.
    """
    log = log_of(path)
    try:
        empty = os.stat(log).st_size == 0
    except OSError:
        empty = True
    real = os.path.realpath(path)
    return f"{real} is complete without its log" if empty else f"{real} and {log} belong together: copy or move both"
