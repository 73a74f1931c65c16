"""Everything that a gateway can be told, with its defaults."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from gateway.connections.core import CoreSettings


@dataclass(frozen=True, slots=True)
class Settings:
    """Everything that a gateway can be told."""

    host: str = "127.0.0.1"
    """Address of both ports."""
    port: int = 8765
    """For WebSockets; 0 picks a free one."""
    admin_port: int | None = 8766
    """For the admin HTTP API; 0 picks a free one, ``None`` leaves it out."""
    worker_threads: int = 2
    """Threads that encode large payloads."""
    drain_deadline_s: float = 10.0
    """How long a stopping gateway delivers what is queued."""
    store_path: Path | None = None
    """File for streams that outlive the process; ``None``: streams live in memory."""
    core: CoreSettings = field(default_factory=CoreSettings)
    """Limits and times of connections."""
