"""How thoroughly to measure."""

from __future__ import annotations

from dataclasses import dataclass

from benchmarks.servers import GATEWAY


@dataclass(frozen=True, slots=True)
class Settings:
    """Common to all benchmarks."""

    repeats: int = 5
    """How often each measurement is taken, interleaved between peers."""
    seconds: float = 1.0
    """Length of one measurement where it is not given by a count."""
    scale: float = 1.0
    """Factor on counts: bytes of tensors, samples of latency, idle connections."""
    gateway: tuple[str, ...] = GATEWAY
    """The command that starts the gateway."""

    def count(self, full: int) -> int:
        """``full``, scaled."""
        return max(1, round(full * self.scale))
