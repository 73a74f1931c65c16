"""Condition of a store: its failures, logged once and counted, and its recovery."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

from gateway.errors import StoreFailed
from gateway.streams.sqlite.failure import CONSEQUENCES, Failure, Until, failure_of
from gateway.streams.store_health import StoreHealth

logger = logging.getLogger(__name__)

CHECK_S: Final = 1.0
"""Time between two checks of the file, and between two attempts to write it after a failure."""

STALLED_S: Final = 10.0
"""Time for which one turn of work may take before the store counts as failing: a disk that does not answer."""

PROBE_BYTES: Final = 64 * 1024
"""Least size of the write that proves a recovery, so that a disk with a few free blocks is not taken to have room."""

MAX_PROBE_BYTES: Final = 8 * 1024 * 1024
"""Largest size of that write."""


class Condition:
    """Condition of a store. Methods are called by the store's thread; :meth:`health` and :meth:`failed` by any.

    Args:
        path: the store's file.
        monotonic_s: monotonic time.
    """

    def __init__(self, path: Path, monotonic_s: Callable[[], float] = time.monotonic) -> None:
        self._path = path
        self._monotonic_s = monotonic_s
        self._changing = threading.Lock()
        self._failure: Failure | None = None
        self._failed_at_s = 0.0
        self._next_check_s = monotonic_s() + CHECK_S
        self._busy_since_s: float | None = None
        self._failures = 0
        self._refused = 0
        self._refused_before = 0
        """Messages that had been refused when the present failure began."""
        self.probe_bytes = PROBE_BYTES
        """Bytes that the disk has to take before the store counts as recovered."""

    # State.

    @property
    def failing(self) -> bool:
        """Whether the store has failed and has not recovered."""
        return self._failure is not None

    @property
    def suspended(self) -> bool:
        """Whether publishes are refused without being tried."""
        failure = self._failure
        return failure is not None and failure.until is not Until.STORED

    @property
    def damage(self) -> StoreFailed | None:
        """Failure that lasts until the file is repaired; ``None``: there is none."""
        failure = self._failure
        return None if failure is None or failure.until is not Until.RESTARTED else failure.error

    @property
    def refusal(self) -> StoreFailed:
        """Error for changes that are not stored."""
        failure = self._failure
        return StoreFailed(f"store {self._path} failed") if failure is None else failure.error

    def health(self) -> StoreHealth:
        """Return the condition for monitoring."""
        failure, busy_since_s = self._failure, self._busy_since_s
        problem = None if failure is None else str(failure.error)
        if problem is None and busy_since_s is not None:
            busy_s = self._monotonic_s() - busy_since_s
            if busy_s >= STALLED_S:
                problem = f"store {self._path}: the disk has not answered for {busy_s:.0f} s: check it"
        return StoreHealth(problem, self._failures, self._refused)

    def due(self) -> bool:
        """Return, every :data:`CHECK_S`, whether the file is to be checked, or its recovery to be tried."""
        now_s = self._monotonic_s()
        if now_s < self._next_check_s:
            return False
        self._next_check_s = now_s + CHECK_S
        return self._failure is None or self._failure.until is not Until.RESTARTED

    # Events.

    def begin_work(self) -> None:
        """Note that a turn of work on the disk begins, for :meth:`health`."""
        self._busy_since_s = self._monotonic_s()

    def end_work(self) -> None:
        """Note that it has ended, in whatever way."""
        begun_s, self._busy_since_s = self._busy_since_s, None
        if begun_s is not None:
            taken_s = self._monotonic_s() - begun_s
            if taken_s >= STALLED_S:
                logger.warning("store %s: the disk did not answer for %.0f s; messages waited", self._path, taken_s)

    def failed(self, error: BaseException, size: int = 0) -> None:
        """Note that an operation failed.

        Args:
            error: of any kind.
            size: bytes that were to be written.
        """
        failure = failure_of(self._path, error)
        with self._changing:
            self._failures += 1
            self.probe_bytes = min(max(self.probe_bytes, size), MAX_PROBE_BYTES)
            before = self._failure
            if before is not None and before.until > failure.until:
                return
            # The newest reason is the one that has to be dealt with, but not a line for each.
            self._failure = failure
            if before is not None and before.until is failure.until:
                return
            now_s = self._monotonic_s()
            self._next_check_s = now_s + CHECK_S
            if before is None:
                self._failed_at_s, self._refused_before = now_s, self._refused
        logger.error(
            "%s; %s",
            failure.error,
            CONSEQUENCES[failure.until],
            exc_info=None if failure.expected else error,
        )

    def failed_again(self, error: Exception) -> None:
        """Note that an attempt to recover failed; a damaged file is not tried again."""
        failure = failure_of(self._path, error)
        if failure.until is Until.RESTARTED:
            self.failed(error)
            return
        with self._changing:
            self._failures += 1
            if self._failure is not None and self._failure.until is not Until.RESTARTED:
                # The reason may be another one by now; publishes are refused for as long as before.
                self._failure = self._failure._replace(error=failure.error)

    def failed_to_read(self) -> None:
        """Count a read that failed; it does not keep messages from being stored."""
        with self._changing:
            self._failures += 1

    def refused(self, messages: int) -> None:
        """Count messages that were not stored."""
        self._refused += messages

    def recovered(self) -> None:
        """Note that the store works again."""
        with self._changing:
            if self._failure is None or self._failure.until is Until.RESTARTED:
                return
            self._failure = None
            self.probe_bytes = PROBE_BYTES
        seconds = self._monotonic_s() - self._failed_at_s
        refused = self._refused - self._refused_before
        logger.warning(
            "store %s works again after %.0f s; %d messages were refused meanwhile", self._path, seconds, refused
        )
