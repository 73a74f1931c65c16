"""Settings of a gateway, with their defaults."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from gateway.connections.core_settings import CoreSettings
from gateway.errors import InvalidArgument
from gateway.optimizer.settings import OptimizerSettings
from gateway.security.settings import SecuritySettings

MEMORY: Final = "memory"
_SQLITE: Final = "sqlite:"
_SQLITE_MEMORY: Final = ":memory:"
"""Name by which SQLite itself means no file."""
_MAX_PORT: Final = 65535
_HOST_NAME: Final = re.compile(r"\*|[\w-]+(?:\.[\w-]+)*\.?")


@dataclass(frozen=True, slots=True)
class Settings:
    """Settings of a gateway.

    Raises:
        InvalidArgument: a value is out of its range.
    """

    host: str = "127.0.0.1"
    """Address that both ports are bound to."""
    port: int = 8765
    """Port for WebSockets; 0 picks a free one."""
    admin_port: int | None = 8766
    """Port for the admin HTTP API; 0 picks a free one, ``None`` leaves it out."""
    admin_hosts: tuple[str, ...] = ()
    """Further names of the admin port, beside IP addresses and names without a dot; ``*``: all."""
    worker_threads: int = 2
    """Threads that encode large payloads."""
    drain_deadline_s: float = 10.0
    """Longest time that stopping takes, most of it to deliver queued messages."""
    store: str = MEMORY
    """Place of streams: ``memory``, or ``sqlite:PATH`` for streams that outlive the process."""
    core: CoreSettings = field(default_factory=CoreSettings)
    """Limits and times of connections."""
    optimizer: OptimizerSettings = field(default_factory=OptimizerSettings)
    """Settings of the optimizer."""
    security: SecuritySettings = field(default_factory=SecuritySettings)
    """Access control."""

    def __post_init__(self) -> None:
        for name, port in (("port", self.port), ("admin_port", self.admin_port)):
            if port is not None and not 0 <= port <= _MAX_PORT:
                raise InvalidArgument(f"{name} {port} is not from 0 to {_MAX_PORT}")
        for name in self.admin_hosts:
            if not _HOST_NAME.fullmatch(name):
                raise InvalidArgument(f"admin_hosts has {name!r}, which is no name of a host, such as frys.example.com")
        if self.worker_threads < 1:
            raise InvalidArgument(f"worker_threads {self.worker_threads} is below 1")
        _path_of(self.store)

    @property
    def store_path(self) -> Path | None:
        """File of the streams that outlive the process; ``None`` if all are kept in memory."""
        return _path_of(self.store)


def _path_of(store: str) -> Path | None:
    if store == MEMORY:
        return None
    path = store.removeprefix(_SQLITE)
    if path == store or path in ("", _SQLITE_MEMORY):
        raise InvalidArgument(f"store {store!r} is neither {MEMORY} nor {_SQLITE}PATH")
    try:
        return Path(path).expanduser()  # a shell leaves a ~ alone that stands behind a colon
    except RuntimeError as error:
        raise InvalidArgument(f"store {store!r}: {error}") from None
