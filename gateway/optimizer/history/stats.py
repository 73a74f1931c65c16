"""Counts of a traffic history, as a value for monitoring."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class TrafficHistoryStats:
    """Counts of the traffic history of a gateway since its start."""

    directory: str
    """Directory of the files."""
    sample_interval_s: float
    """Interval in which each stream is recorded once."""
    recorded: int
    """Records that were made."""
    written: int
    """Records in files; the oldest files may have been removed since."""
    waiting: int
    """Records that wait for the writing process, or are with it."""
    dropped: int
    """Records dropped before they were written, because too many waited for the writing process."""
    failed: int
    """Records that could not be written to their file."""
    lost: int
    """Records that were with a writing process when it ended."""
    unsampled_messages: int
    """Large messages of streams for which no record could be opened, because so many are open."""
    held_bytes: int
    """Size of all files, as the writing process has told it last."""
    writer_starts: int
    """Number of times that the writing process was started."""
    writing: bool
    """Whether the writing process runs."""
    failure: str
    """Reason for which records cannot be written now; empty: they can."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PayloadStoreStats:
    """Counts of the payloads that a gateway has stored since its start."""

    directory: str
    """Directory of the files."""
    taken: int
    """Samples of payloads that were copied, to be stored."""
    written: int
    """Samples in files; the oldest files may have been removed since."""
    unwritten: int
    """Samples that could not be written, or were with a writing process when it ended."""
    unreadable: int
    """Payloads of which no sample could be taken."""
    held_bytes: int
    """Size of all files, as the writing process has told it last."""
    failure: str
    """Reason for which samples cannot be written now; empty: they can."""
