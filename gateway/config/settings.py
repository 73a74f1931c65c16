"""Everything that a gateway can be told, with its defaults."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from gateway.connections.core import CoreSettings
from gateway.errors import InvalidArgument
from gateway.protocol.durability import Durability

MEMORY: Final = "memory"
_SQLITE: Final = "sqlite:"
_MAX_PORT: Final = 65535


@dataclass(frozen=True, slots=True)
class Settings:
    """Everything that a gateway can be told.

    Raises:
        InvalidArgument: a value that cannot be.
    """

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
    store: str = MEMORY
    """Where streams are kept: ``memory``, or ``sqlite:PATH`` for those that outlive the process."""
    core: CoreSettings = field(default_factory=CoreSettings)
    """Limits and times of connections."""

    def __post_init__(self) -> None:
        for name, port in (("port", self.port), ("admin_port", self.admin_port)):
            if port is not None and not 0 <= port <= _MAX_PORT:
                raise InvalidArgument(f"{name} {port} is not from 0 to {_MAX_PORT}")
        if self.worker_threads < 1:
            raise InvalidArgument(f"worker_threads {self.worker_threads} is below 1")
        _path_of(self.store)

    def check(self) -> None:
        """Whether the values go together.

        Raises:
            InvalidArgument: streams are configured to outlive the process, and there is nowhere to keep them.
        """
        if self.store_path is not None:
            return
        for pattern, config in self.core.rules.rules:
            if config.durability not in (None, Durability.MEMORY):
                problem = f"streams {pattern.text} have durability {config.durability}, and streams are kept in memory"
                raise InvalidArgument(f"{problem}: set store to sqlite:PATH")

    @property
    def store_path(self) -> Path | None:
        """The file for streams that outlive the process; ``None``: there are none."""
        return _path_of(self.store)


def _path_of(store: str) -> Path | None:
    if store == MEMORY:
        return None
    path = store.removeprefix(_SQLITE)
    if path == store or not path:
        raise InvalidArgument(f"store {store!r} is neither {MEMORY} nor {_SQLITE}PATH")
    return Path(path)
