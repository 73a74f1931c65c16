"""TCP progress: whether the other side takes bytes that stand before the last PING (Linux, tcp(7), TCP_INFO, SIOCOUTQ).

On a slow link a PING, and so its answer, waits behind a large message for longer than a silent gateway is waited for.
Bytes behind the PING say nothing: the system of the other side takes them, although its program may hang.
"""

from __future__ import annotations

import socket
import struct
import sys
from typing import Final, NamedTuple, Protocol

if sys.platform == "linux":
    import fcntl
    import termios

_INFO_BYTES: Final = 128
_ACKNOWLEDGED: Final = struct.Struct("=120xQ")
"""tcpi_bytes_acked of ``struct tcp_info`` (linux/tcp.h)."""
_QUEUED: Final = struct.Struct("i")


class TcpSocket(Protocol):
    """Socket of a program or of an event loop."""

    def fileno(self) -> int:
        """Return the number of its file descriptor; -1 if it is closed."""

    def getsockopt(self, level: int, option: int, nbytes: int, /) -> bytes:
        """Return the value of an option."""


class TcpState(NamedTuple):
    """Bytes on the way out of one socket."""

    acknowledged_bytes: int
    """Bytes that the system of the other side has taken so far."""
    queued_bytes: int
    """Bytes that this system has taken, and the other has not."""

    @classmethod
    def of(cls, tcp_socket: TcpSocket | None) -> TcpState | None:
        """Return the state of a socket; ``None`` if the system does not tell it, or the socket is gone."""
        if sys.platform != "linux" or tcp_socket is None:
            return None
        try:
            info = tcp_socket.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _INFO_BYTES)
            queued = fcntl.ioctl(tcp_socket.fileno(), termios.TIOCOUTQ, bytes(_QUEUED.size))
        except OSError:
            return None
        if len(info) < _INFO_BYTES:  # an old kernel
            return None
        return cls(*_ACKNOWLEDGED.unpack(info), *_QUEUED.unpack(queued))


class TcpProgress:
    """Progress of one connection from one look to the next."""

    __slots__ = ("_acknowledged_bytes", "_asked_bytes")

    def __init__(self) -> None:
        self._acknowledged_bytes = 0
        self._asked_bytes = 0
        """Bytes of the connection up to the last PING."""

    def asked(self, tcp_socket: TcpSocket | None, unsent_bytes: int) -> None:
        """Note that a PING has been written.

        Args:
            tcp_socket: the socket; ``None``: it is gone.
            unsent_bytes: bytes that wait in this process, the PING among them.
        """
        state = TcpState.of(tcp_socket)
        if state is not None:
            self._asked_bytes = state.acknowledged_bytes + state.queued_bytes + unsent_bytes

    def made(self, tcp_socket: TcpSocket | None) -> bool:
        """Return whether the other side has taken bytes since the last call, and has not taken the last PING."""
        state = TcpState.of(tcp_socket)
        if state is None:
            return False
        before, self._acknowledged_bytes = self._acknowledged_bytes, state.acknowledged_bytes
        return before < state.acknowledged_bytes < self._asked_bytes
