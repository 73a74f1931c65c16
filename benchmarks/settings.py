"""Settings of a run: number of rounds, lengths, counts."""

from __future__ import annotations

from dataclasses import dataclass

from benchmarks.servers import GATEWAY


@dataclass(frozen=True, slots=True)
class Settings:
    """Settings of all benchmarks."""

    repeats: int = 5
    """Rounds of each measurement, interleaved between the servers."""
    seconds: float = 1.0
    """Length of a measurement that is not bounded by a count."""
    scale: float = 1.0
    """Factor on counts: bytes of tensors, samples of latency, idle connections."""
    gateway: tuple[str, ...] = GATEWAY
    """Command that starts the gateway."""

    def count(self, full: int) -> int:
        """Return ``full``, scaled, and at least 1."""
        return max(1, round(full * self.scale))
