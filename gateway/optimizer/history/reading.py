"""Reading of a traffic history: the sound records of files of which a part may be damaged or missing."""

from __future__ import annotations

import contextlib
import logging
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from gateway.optimizer.history.files import history_files
from gateway.optimizer.history.layout import (
    FILE_HEADER,
    MARK,
    TRAFFIC_KIND,
    TRIAL_KIND,
    BadRecord,
    checked_size,
    kind_at,
    unpack_record,
)
from gateway.optimizer.history.record import ShadowTrial, TrafficRecord
from gateway.optimizer.history.trial_record import unpack_trial

logger = logging.getLogger(__name__)

MAX_READ_BYTES: Final = 64 * 1024 * 1024
"""Bytes of a file that are read: the gateway writes smaller ones."""


@dataclass(slots=True)
class ReadingTally:
    """Counts of what was read, and of what could not be."""

    files: int = 0
    """Files that were read."""
    records: int = 0
    """Traffic records that were read."""
    damaged_bytes: int = 0
    """Bytes that belong to no sound record; a file to which a gateway writes may end in some."""
    unknown_records: int = 0
    """Sound records of a kind that is not known."""
    unreadable_files: int = 0
    """Files that could not be opened."""
    trials: int = 0
    """Shadow trials that were read."""


def _leave_out(trial: ShadowTrial) -> None:
    """Take a trial that nobody wants."""


def records_in(
    data: bytes, tally: ReadingTally, trial_read: Callable[[ShadowTrial], object] = _leave_out
) -> Iterator[TrafficRecord]:
    """Yield the sound traffic records of a file; damaged bytes are left out, up to the next record.

    Args:
        data: contents of the file.
        tally: where to count.
        trial_read: called with each shadow trial between them.
    """
    at = len(FILE_HEADER) if data.startswith(FILE_HEADER) else 0
    while at < len(data):
        size = checked_size(data, at)
        if not size:
            following = data.find(MARK, at + 1)
            following = len(data) if following < 0 else following
            tally.damaged_bytes += following - at
            at = following
            continue
        kind = kind_at(data, at)
        try:
            if kind == TRAFFIC_KIND:
                record = unpack_record(data, at, size)
                tally.records += 1
                yield record
            elif kind == TRIAL_KIND:
                trial_read(unpack_trial(data, at, size))
                tally.trials += 1
            else:
                tally.unknown_records += 1
        except BadRecord:
            tally.damaged_bytes += size
        at += size


def read_history(
    directory: Path, tally: ReadingTally, trial_read: Callable[[ShadowTrial], object] = _leave_out
) -> Iterator[TrafficRecord]:
    """Yield the traffic records of a traffic history, in the order in which they were written.

    Damaged bytes and files that cannot be opened are set aside with a warning. A gateway may write meanwhile: a file
    that it removes is left out.

    Args:
        directory: holds the files.
        tally: where to count.
        trial_read: called with each shadow trial between them.

    Raises:
        OSError: the directory cannot be read.
    """
    for path in history_files(directory):
        damaged_before = tally.damaged_bytes
        try:
            with path.open("rb") as file:
                data = file.read(MAX_READ_BYTES)
        except FileNotFoundError:
            continue
        except OSError as error:
            tally.unreadable_files += 1
            logger.warning("%s is left out: %s", path, error.strerror)
            continue
        tally.files += 1
        yield from records_in(data, tally, trial_read)
        damaged_bytes = tally.damaged_bytes - damaged_before
        if damaged_bytes:
            logger.warning("%s: %d bytes that belong to no sound record are left out", path, damaged_bytes)


def newest_trials(directory: Path, most: int) -> list[ShadowTrial]:
    """Return the newest shadow trials of a history, the oldest of them first; damaged parts are left out silently.

    Args:
        directory: holds the files; one that cannot be read has none.
        most: number of trials from which no further file is read, and of those that are returned.
    """
    found: list[ShadowTrial] = []
    with contextlib.suppress(OSError):
        for path in reversed(history_files(directory)):
            if len(found) >= most:
                break
            of_file: list[ShadowTrial] = []
            with contextlib.suppress(OSError), path.open("rb") as file:
                for _ in records_in(file.read(MAX_READ_BYTES), ReadingTally(), of_file.append):
                    pass
            found[:0] = of_file
    return found[-most:]


def read_events(directory: Path, tally: ReadingTally, most: int) -> Sequence[TrafficRecord | ShadowTrial]:
    """Return the traffic records and shadow trials of a history in the order in which they were written.

    Args:
        directory: holds the files.
        tally: where to count.
        most: number of events that are kept, the last ones.

    Raises:
        OSError: the directory cannot be read.
    """
    events: deque[TrafficRecord | ShadowTrial] = deque(maxlen=most)
    for record in read_history(directory, tally, events.append):
        events.append(record)
    return events
