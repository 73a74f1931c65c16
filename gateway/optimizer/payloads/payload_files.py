"""Files of stored payloads, one each, which only their owner may read. The oldest are removed past a size or an age."""

from __future__ import annotations

import contextlib
import logging
import os
import re
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from gateway.optimizer.payloads.stored_payload import (
    HEADER,
    MAX_DESCRIPTION_BYTES,
    MAX_SAMPLE_BYTES,
    BadPayload,
    StoredPayload,
    whole_payloads,
)

logger = logging.getLogger(__name__)

DIRECTORY: Final = "payloads"
"""Directory of the files, below that of the traffic history."""
NAME: Final = re.compile(r"payload-(\d{20})-\d+\.frys")
"""Name of a file: the time of writing in nanoseconds, and the writer."""
FILE_MODE: Final = 0o600
DIRECTORY_MODE: Final = 0o700
MAX_FILE_BYTES: Final = HEADER.size + MAX_DESCRIPTION_BYTES + 2 * MAX_SAMPLE_BYTES
"""Size of the largest file that is read."""
_KEPT_PART: Final = 7 / 8
"""Part of the size that stays where files are removed for it, so that the directory is not listed for each file."""


def payload_files(directory: Path) -> list[Path]:
    """Return the files of stored payloads, the oldest first.

    Raises:
        OSError: the directory cannot be read.
    """
    return [directory / name for name in sorted(filter(NAME.fullmatch, os.listdir(directory)))]


def stored_payloads(directory: Path, most: int) -> Iterator[StoredPayload]:
    """Yield the sound ones of the last files, the oldest first. Others are left out with a warning.

    Args:
        directory: holds the files; one that is missing has none.
        most: number of files.

    Raises:
        OSError: the directory cannot be read.
    """
    try:
        found = payload_files(directory)
    except FileNotFoundError:
        return
    for path in found[-most:]:
        try:
            with path.open("rb") as file:
                yield StoredPayload.unpack(file.read(MAX_FILE_BYTES + 1))
        except FileNotFoundError:  # a gateway has removed it
            continue
        except (OSError, BadPayload) as error:
            logger.warning("%s is left out: %s", path, error)


class PayloadFiles:
    """Files of one writer, in a directory that others may write to as well.

    Args:
        directory: holds the files; made if it is missing.
        max_bytes: size of all files past which the oldest are removed, also those of other writers.
        max_age_s: age past which they are removed.

    Attributes:
        held_bytes: size of all files, as far as this writer knows.
    """

    def __init__(self, directory: Path, max_bytes: int, max_age_s: float) -> None:
        self.held_bytes = 0
        self._directory = directory
        self._max_bytes = max_bytes
        self._max_age_s = max_age_s
        self._last_ns = 0

    def append(self, payloads: bytes) -> None:
        """Write stored payloads; behind a failure, nothing of the one that has failed stays.

        Raises:
            OSError: one cannot be written.
        """
        self._directory.mkdir(DIRECTORY_MODE, parents=True, exist_ok=True)
        at = 0
        for size in whole_payloads(payloads):
            self._write(payloads[at : at + size])
            at += size
            if self.held_bytes > self._max_bytes:
                self.remove_old(_KEPT_PART)

    def remove_old(self, kept_part: float = 1.0) -> None:
        """Remove files that are too old, and the oldest until the others fit.

        Args:
            kept_part: part of the size that others may have.
        """
        sizes: dict[Path, int] = {}
        oldest_s, most_bytes = time.time() - self._max_age_s, kept_part * self._max_bytes
        with contextlib.suppress(OSError):  # there is no directory yet, or it cannot be read
            for path in payload_files(self._directory):
                with contextlib.suppress(OSError):  # another writer has removed it
                    status = path.stat()
                    if status.st_mtime < oldest_s:
                        path.unlink(missing_ok=True)
                    else:
                        sizes[path] = status.st_size
        left_bytes = sum(sizes.values())
        for path, size in sizes.items():
            if left_bytes <= most_bytes:
                break
            with contextlib.suppress(OSError):  # one that cannot be removed still takes its room
                path.unlink(missing_ok=True)
                left_bytes -= size
        self.held_bytes = left_bytes

    def _write(self, data: bytes) -> None:
        self._last_ns = max(time.time_ns(), self._last_ns + 1)
        path = self._directory / f"payload-{self._last_ns:020d}-{os.getpid()}.frys"
        file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, FILE_MODE)
        try:
            left = memoryview(data)
            while left:
                left = left[os.write(file, left) :]
        except OSError:
            path.unlink(missing_ok=True)
            raise
        finally:
            with contextlib.suppress(OSError):  # it is closed all the same
                os.close(file)
        self.held_bytes += len(data)
