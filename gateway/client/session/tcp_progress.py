"""TCP progress: whether the other side takes bytes that this side has yet to send (Linux, tcp(7), TCP_INFO).

On a slow link the answer to a PING waits behind a large message for longer than a silent gateway is waited for.
"""

from __future__ import annotations

import socket
import struct
from typing import Final, NamedTuple, Protocol

_INFO_BYTES: Final = 148
_FIELDS: Final = struct.Struct("=24xI92xQ16xI")
"""tcpi_unacked, tcpi_bytes_acked and tcpi_notsent_bytes of ``struct tcp_info`` (linux/tcp.h)."""


class TcpSocket(Protocol):
    """Socket of a program or of an event loop."""

    def getsockopt(self, level: int, option: int, nbytes: int, /) -> bytes:
        """Return the value of an option."""


class TcpState(NamedTuple):
    """Bytes on the way out of one socket."""

    acknowledged_bytes: int
    """Bytes that the system of the other side has taken so far."""
    waiting: bool
    """Whether the system has others that are not taken."""

    @classmethod
    def of(cls, tcp_socket: TcpSocket | None) -> TcpState | None:
        """Return the state of a socket; ``None`` if the system does not tell it, or the socket is gone."""
        option = getattr(socket, "TCP_INFO", None)
        if option is None or tcp_socket is None:
            return None
        try:
            info = tcp_socket.getsockopt(socket.IPPROTO_TCP, option, _INFO_BYTES)
        except OSError:
            return None
        if len(info) < _INFO_BYTES:  # an old kernel
            return None
        unacknowledged, acknowledged_bytes, unsent_bytes = _FIELDS.unpack(info)
        return cls(acknowledged_bytes, bool(unacknowledged or unsent_bytes))


class TcpProgress:
    """Progress of one connection from one look to the next."""

    __slots__ = ("_acknowledged_bytes",)

    def __init__(self) -> None:
        self._acknowledged_bytes = 0

    def made(self, tcp_socket: TcpSocket | None, unsent_bytes: int) -> bool:
        """Return whether bytes wait, and the other side has taken some since the last call.

        Args:
            tcp_socket: the socket; ``None``: it is gone.
            unsent_bytes: bytes that wait in this process.
        """
        state = TcpState.of(tcp_socket)
        if state is None:
            return False
        before, self._acknowledged_bytes = self._acknowledged_bytes, state.acknowledged_bytes
        return (state.waiting or unsent_bytes > 0) and state.acknowledged_bytes > before
