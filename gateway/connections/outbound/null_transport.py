"""Where the words go that are still said to a peer that is gone."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from gateway.connections.ports import Transport
from gateway.protocol.wire import Buffer


class _NullTransport:
    """The :class:`~gateway.connections.ports.Transport` of a connection that is over."""

    __slots__ = ()

    def write(self, data: Buffer) -> None:
        """Nothing."""

    def writelines(self, buffers: Sequence[Buffer]) -> None:
        """Nothing."""

    def ping(self) -> None:
        """Nothing."""

    def pause_reading(self) -> None:
        """Nothing."""

    def resume_reading(self) -> None:
        """Nothing."""

    def close(self, code: int, reason: str) -> None:
        """Nothing."""

    def waiting_bytes(self) -> int:
        """Nothing waits."""
        return 0


NULL_TRANSPORT: Final[Transport] = _NullTransport()
"""The one that all such connections share."""
