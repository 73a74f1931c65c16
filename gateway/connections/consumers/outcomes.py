"""Outcomes of units at one consumer: plain values that the fan-out of the stream acts on."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from gateway.connections.consumers.ack_unit import AckUnit


class Released(NamedTuple):
    """Units that were processed, that their receiver has given up, or that cannot be delivered to it."""

    units: Sequence[AckUnit]


class Expired(NamedTuple):
    """Units whose deadline passed before they were delivered; the consumer has done with them."""

    units: Sequence[AckUnit]


class Retried(NamedTuple):
    """A unit that the receiver did not process, and that is delivered again when the consumer is pumped."""

    unit: AckUnit


class Buried(NamedTuple):
    """A unit that becomes a dead letter; the consumer has done with it when the dead letter is published."""

    unit: AckUnit
    tries: int
    """Deliveries that were in vain."""
    reason: str


UnitOutcome = Released | Expired | Retried | Buried


class OutcomeLog:
    """Outcomes that a consumer has not returned yet; they outlast a method that fails."""

    __slots__ = ("_single", "expired", "released")

    def __init__(self) -> None:
        self.released: list[AckUnit] = []
        self.expired: list[AckUnit] = []
        self._single: list[Retried | Buried] = []

    def add(self, outcome: Retried | Buried) -> None:
        """Add the outcome of a single unit."""
        self._single.append(outcome)

    def take(self) -> list[UnitOutcome]:
        """Remove and return all outcomes."""
        outcomes: list[UnitOutcome] = []
        if self.released:
            outcomes.append(Released(self.released))
            self.released = []
        if self.expired:
            outcomes.append(Expired(self.expired))
            self.expired = []
        if self._single:
            outcomes += self._single
            self._single = []
        return outcomes
