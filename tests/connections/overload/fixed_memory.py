"""Memory of a process, as a test sets it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass
class FixedMemory:
    """:class:`~gateway.connections.ports.Memory` of these numbers."""

    available: float
    resident: int = 0

    def resident_bytes(self) -> int:
        return self.resident

    def available_bytes(self) -> float:
        return self.available
