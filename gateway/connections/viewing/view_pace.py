"""View pace: lowest interval between two versions of any view, for all views of the gateway."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(slots=True)
class ViewPace:
    """Pace that views of states keep whatever rate their receivers ask for."""

    least_interval_s: float = 0.0
    """Seconds between two versions, at least; 0: each view has its own rate."""
