"""File lock: keeps a second gateway from using a store's file."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path

from gateway.errors import StoreFailed


class FileLock:
    """Lock beside the file, held until :meth:`release` or the end of the process, however it ends.

    SQLite's own locks would let two gateways take turns; and a lock on the file itself is lost when any of its
    descriptors is closed.

    Args:
        path: of the file to be protected; the lock is ``<path>-lock``, which stays.

    Raises:
        StoreFailed: another process has it, or it cannot be made.
    """

    def __init__(self, path: Path) -> None:
        lock_path = path.with_name(f"{path.name}-lock")
        try:
            self._descriptor = os.open(lock_path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        except FileNotFoundError as error:
            raise StoreFailed(f"store {path}: the directory {path.parent} does not exist: create it") from error
        except OSError as error:
            raise StoreFailed(f"store {path} cannot be locked: {lock_path}: {error.strerror}") from error
        try:
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            holder = os.read(self._descriptor, 32).decode(errors="replace").strip() or "unknown"
            os.close(self._descriptor)
            problem = f"store {path} is in use by another gateway (process {holder})"
            raise StoreFailed(f"{problem}: stop it, or name another file") from error
        os.ftruncate(self._descriptor, 0)
        os.pwrite(self._descriptor, b"%d\n" % os.getpid(), 0)

    def release(self) -> None:
        """Release the lock."""
        os.close(self._descriptor)
