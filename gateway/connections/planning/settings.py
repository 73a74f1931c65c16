"""Settings of plans."""

from __future__ import annotations

import enum
from dataclasses import dataclass


class PlanMode(enum.StrEnum):
    """Effect that plans have."""

    ON = "on"
    """Settings are tried, and kept or rolled back."""
    ADVISE = "advise"
    """Plans are made and shown; nothing is set."""
    OFF = "off"
    """No plan is made."""


@dataclass(frozen=True, slots=True)
class PlanSettings:
    """Settings of plans."""

    mode: PlanMode = PlanMode.ON
    """``on``, ``advise`` (plans are made and shown, and nothing is set), or ``off``."""
