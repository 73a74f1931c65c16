"""Summary of a traffic history: its records by stream, delivery class and chain."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import NamedTuple

from gateway.optimizer.history.record import TrafficRecord


class SummaryKey(NamedTuple):
    """Decision whose records are added up."""

    stream: str
    view: str
    format: str
    codecs: tuple[str, ...]
    chain: str


@dataclass(slots=True)
class Mean:
    """Mean of the values that are known."""

    total: float = 0.0
    """Sum of the values."""
    count: int = 0
    """Number of the values."""

    def add(self, value: float | None) -> None:
        """Add a value; one that is not known does not count."""
        if value is not None:
            self.total += value
            self.count += 1

    @property
    def value(self) -> float | None:
        """The mean; ``None``: no value is known."""
        return self.total / self.count if self.count else None


@dataclass(slots=True, eq=False)
class DecisionSummary:
    """Records of one decision, added up."""

    newest: TrafficRecord
    """The record of the latest time."""
    records: int = 0
    """Number of records."""
    messages: int = 0
    """Messages while they were open."""
    published_bytes: int = 0
    """Sizes before encoding, of the records that have an outcome."""
    sent_bytes: int = 0
    """Sizes behind it."""
    receivers: int = 0
    """Most receivers at once."""
    first_ns: int = 0
    """Time of the earliest record."""
    encode_s: Mean = field(default_factory=Mean)
    arrival_interval_s: Mean = field(default_factory=Mean)
    burstiness: Mean = field(default_factory=Mean)
    cpu_headroom: Mean = field(default_factory=Mean)
    rtt_s: Mean = field(default_factory=Mean)
    goodput_bytes_per_s: Mean = field(default_factory=Mean)
    queue_delay_s: Mean = field(default_factory=Mean)
    decode_s_per_byte: Mean = field(default_factory=Mean)

    @property
    def ratio(self) -> float | None:
        """Bytes sent over bytes published; ``None``: no outcome is known."""
        return self.sent_bytes / self.published_bytes if self.published_bytes else None

    def add(self, record: TrafficRecord) -> None:
        """Add a record."""
        self.first_ns = min(self.first_ns, record.time_ns) if self.records else record.time_ns
        if record.time_ns >= self.newest.time_ns:
            self.newest = record
        self.records += 1
        self.messages += record.messages
        if record.published_bytes is not None and record.sent_bytes is not None:
            self.published_bytes += record.published_bytes
            self.sent_bytes += record.sent_bytes
        self.receivers = max(self.receivers, record.receivers)
        for mean, value in (
            (self.encode_s, record.encode_s),
            (self.arrival_interval_s, record.arrival_interval_s),
            (self.burstiness, record.burstiness),
            (self.cpu_headroom, record.cpu_headroom),
            (self.rtt_s, record.rtt_s),
            (self.goodput_bytes_per_s, record.goodput_bytes_per_s),
            (self.queue_delay_s, record.queue_delay_s),
            (self.decode_s_per_byte, record.decode_s_per_byte),
        ):
            mean.add(value)


def summarize(records: Iterable[TrafficRecord]) -> dict[SummaryKey, DecisionSummary]:
    """Return the summary of each decision, sorted by stream, view, class and chain."""
    found: dict[SummaryKey, DecisionSummary] = {}
    for record in records:
        key = SummaryKey(record.stream, record.view, record.format, record.codecs, record.chain)
        summary = found.get(key)
        if summary is None:
            summary = found[key] = DecisionSummary(record)
        summary.add(record)
    return dict(sorted(found.items()))
