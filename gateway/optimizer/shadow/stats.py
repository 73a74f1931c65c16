"""Counts of shadow trials, and the streams that were tried, as values for monitoring."""

from __future__ import annotations

from dataclasses import dataclass

from gateway.optimizer.decisions.stats import JudgedDecision
from gateway.optimizer.history.record import ShadowTrial, TrafficRecord


@dataclass(frozen=True, slots=True, kw_only=True)
class ShadowTrialStats:
    """Counts of the shadow trials of a gateway since its start."""

    cpu_share: float
    """Share of a core that trials may take."""
    cpu_s: float
    """CPU time that they have taken."""
    tried: int
    """Trials that were made."""
    probed: int
    """Trials among these of a few cheap candidates alone; a model was asked for the others."""
    failed: int
    """Trials that have failed in their process, for example because it has no memory left."""
    lost: int
    """Samples that were with a process when it ended."""
    dropped: int
    """Samples that were wanted and found no free place, or could not be decoded."""
    drifts: int
    """Changes that were seen in the features of streams, or in the ratio of their encodings."""
    streams: int
    """Streams in the table."""
    worker_starts: int
    """Number of times that the process was started."""
    working: bool
    """Whether the process runs."""
    failure: str
    """Reason for which the last trial has failed, or a chain in it; empty: nothing has."""


@dataclass(frozen=True, slots=True)
class TriedTraffic:
    """Stream that was tried."""

    trial: ShadowTrial
    """The last trial."""
    classes: tuple[TrafficRecord, ...]
    """Last record of each delivery class."""
    probed: bool = False
    """Whether that was one of a few cheap candidates alone."""
    decisions: tuple[JudgedDecision, ...] = ()
    """Decisions for its receivers, if the gateway learns."""
