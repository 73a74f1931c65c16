"""A transport that discards everything, for closed connections."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from gateway.connections.ports import Transport
from gateway.connections.socket_counts import NO_SOCKET_COUNTS, SocketCounts
from gateway.protocol.wire import Buffer


class _NullTransport:
    """The :class:`~gateway.connections.ports.Transport` of a closed connection."""

    __slots__ = ()

    def write(self, data: Buffer) -> None:
        """Do nothing."""

    def raw_write(self, data: Buffer, /) -> None:
        """Do nothing."""

    def writelines(self, buffers: Sequence[Buffer]) -> None:
        """Do nothing."""

    def ping(self, payload: bytes) -> None:
        """Do nothing."""

    def pause_reading(self) -> None:
        """Do nothing."""

    def resume_reading(self) -> None:
        """Do nothing."""

    def close(self, code: int, reason: str) -> None:
        """Do nothing."""

    def peer_address(self) -> str:
        """Return nothing: nobody is there."""
        return ""

    def waiting_bytes(self) -> int:
        """Return 0."""
        return 0

    def socket_counts(self) -> SocketCounts:
        """Return nothing: there is no socket."""
        return NO_SOCKET_COUNTS


NULL_TRANSPORT: Final[Transport] = _NullTransport()
"""The transport that all closed connections share."""
