"""Files of a store: the one that a user names, and the write-ahead log that belongs to it while the gateway runs."""

from __future__ import annotations

import os
from pathlib import Path


def log_of(path: Path) -> Path:
    """Return the write-ahead log of a store's file; the log of a symbolic link is beside the file."""
    real = Path(os.path.realpath(path))
    return real.with_name(f"{real.name}-wal")


def size_of(path: Path) -> int:
    """Return the size of a file in bytes; 0 if there is none."""
    try:
        return os.stat(path).st_size
    except OSError:
        return 0


def kept_together(path: Path) -> str:
    """Return which files belong together, for the end of a message about a store that was not closed.

    Args:
        path: the store's file.
    """
    log, real = log_of(path), os.path.realpath(path)
    if size_of(log):
        return f"{real} and {log} belong together: copy or move both"
    return f"{real} is complete without its log"
