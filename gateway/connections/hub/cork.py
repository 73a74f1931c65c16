"""Cork: joins what is written to a transport in one go, so that many small frames cost one system call."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from gateway.connections.outbound.connection import Connection
from gateway.connections.socket_counts import SocketCounts
from gateway.protocol.wire import Buffer

CORKED_BYTES: Final = 64 * 1024
"""Bytes that are held back; then they are written, so that a transport which is full says so."""


class Cork:
    """The :class:`~gateway.connections.ports.Transport` that stands in for that of a connection, for a moment.

    A context manager. Behind it, a cork that is still held by others writes straight to the transport.

    Args:
        connection: its transport gets everything, in order.
    """

    __slots__ = ("_buffers", "_connection", "_size", "_transport")

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._transport = connection.transport
        self._buffers: list[Buffer] | None = None
        self._size = 0

    def __enter__(self) -> None:
        """Hold back everything that is written to the connection."""
        self._buffers = []
        self._connection.transport = self

    def __exit__(self, *exc_info: object) -> None:
        """Write everything."""
        if self._connection.transport is self:  # otherwise it was closed meanwhile
            self._connection.transport = self._transport
        self._flush()
        self._buffers = None

    def write(self, data: Buffer) -> None:
        """Hold bytes back, but not very many."""
        if self._buffers is None or len(data) > CORKED_BYTES:
            self._flush()
            self._transport.write(data)
            return
        self._buffers.append(data)
        self._size += len(data)
        if self._size > CORKED_BYTES:
            self._flush()

    raw_write = write

    def writelines(self, buffers: Sequence[Buffer]) -> None:
        """Hold several buffers back."""
        for data in buffers:
            self.write(data)

    def ping(self, payload: bytes) -> None:
        """Make the peer's transport show a sign of life."""
        self._transport.ping(payload)

    def pause_reading(self) -> None:
        """Take nothing from the peer."""
        self._transport.pause_reading()

    def resume_reading(self) -> None:
        """Take bytes from the peer again."""
        self._transport.resume_reading()

    def close(self, code: int, reason: str) -> None:
        """Write everything, then close."""
        self._flush()
        self._transport.close(code, reason)

    def peer_address(self) -> str:
        """Return the address of the peer."""
        return self._transport.peer_address()

    def waiting_bytes(self) -> int:
        """Return the bytes that are held back, and those that the transport has not sent."""
        return self._size + self._transport.waiting_bytes()

    def socket_counts(self) -> SocketCounts:
        """Return the counts of the socket."""
        return self._transport.socket_counts()

    def _flush(self) -> None:
        if self._buffers:
            buffers, self._buffers, self._size = self._buffers, [], 0
            # Copied, so that they cost one system call: at most twice the bound.
            self._transport.write(b"".join(buffers) if len(buffers) > 1 else buffers[0])
