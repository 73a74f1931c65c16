"""Client without the SDK: writes any bytes, and reads only if it likes."""

from __future__ import annotations

import select
import socket
import time
from collections.abc import Iterator
from contextlib import suppress
from typing import Final

from benchmarks.slow.frames import control, ping, split, websocket
from gateway.protocol.frames import iter_frames
from gateway.protocol.wire import SUBPROTOCOL_BINARY, SUBPROTOCOL_JSON, Opcode

PATIENCE_S: Final = 30.0
RECEIVE_BYTES: Final = 1 << 18
_CLOSE: Final = 8


def connected(port: int, receive_bytes: int | None = None) -> socket.socket:
    """Return a TCP connection to a port of this machine.

    Args:
        port: the port.
        receive_bytes: size of its buffer; ``None``: as the system likes.
    """
    client = socket.socket()
    if receive_bytes is not None:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_bytes)
    client.settimeout(PATIENCE_S)
    try:
        client.connect(("127.0.0.1", port))
    except OSError:
        client.close()
        raise
    return client


def handshake(subprotocol: str) -> bytes:
    """Return the request for a WebSocket."""
    return (
        "GET / HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
        f"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Protocol: {subprotocol}\r\n\r\n"
    ).encode()


class RawClient:
    """WebSocket whose handshake is done.

    Args:
        port: the gateway's.
        text: speak JSON.
        greets: send HELLO and wait for WELCOME; a client that speaks JSON does so itself.
        receive_bytes: size of the socket's buffer.
        reads: read what comes while something is sent; otherwise nothing is read unless it is asked for.
        client_type: field of HELLO.
        hello: fields of HELLO beside those that must be.
    """

    def __init__(
        self,
        port: int,
        *,
        text: bool = False,
        greets: bool = True,
        receive_bytes: int | None = None,
        reads: bool = True,
        client_type: str = "agent",
        **hello: object,
    ) -> None:
        self.socket = connected(port, receive_bytes)
        self._received = bytearray()
        self._reads = reads
        self._opcode = 1 if text else 2
        self.send_bytes(handshake(SUBPROTOCOL_JSON if text else SUBPROTOCOL_BINARY))
        while b"\r\n\r\n" not in self._received:
            self.receive()
        del self._received[: self._received.index(b"\r\n\r\n") + 4]
        if greets and not text:
            self.send(
                control(Opcode.HELLO, versions=[1], client_type=client_type, codecs=["zstd"], filters=[], **hello)
            )
            self.wait_for(Opcode.WELCOME)

    def send(self, *frames: bytes) -> None:
        """Send frames in one WebSocket message."""
        self.send_bytes(websocket(b"".join(frames), opcode=self._opcode))

    def send_bytes(self, data: bytes) -> None:
        """Send bytes as they are.

        Raises:
            OSError: the gateway has closed the connection, or takes nothing for too long.
        """
        view = memoryview(data)
        while view:
            readable, writable, _ = select.select([self.socket] if self._reads else [], [self.socket], [], PATIENCE_S)
            if readable:
                self.receive()
            if writable:
                view = view[self.socket.send(view[:RECEIVE_BYTES], socket.MSG_DONTWAIT) :]
            elif not readable:
                raise TimeoutError("the gateway takes nothing")

    def drop(self) -> None:
        """Drop what has come.

        Raises:
            OSError: the gateway has closed the connection.
        """
        while select.select([self.socket], [], [], 0)[0]:
            self.receive()
            for _ in self.messages():
                pass

    def receive(self) -> None:
        """Read once.

        Raises:
            OSError: the gateway has closed the connection, or sends nothing for too long.
        """
        data = self.socket.recv(RECEIVE_BYTES)
        if not data:
            raise ConnectionResetError("the gateway closed the connection")
        self._received += data

    def messages(self) -> Iterator[bytes]:
        """Yield the complete binary messages that were read.

        Raises:
            OSError: the gateway has closed the WebSocket.
        """
        for opcode, data in split(self._received):
            if opcode == _CLOSE:
                raise ConnectionResetError("the gateway closed the WebSocket")
            if opcode == 2:
                yield data

    def read_some(self, size: int) -> None:
        """Read at most some bytes, if there are any, and drop them: nothing can be waited for after that."""
        with suppress(BlockingIOError, ConnectionError):
            self.socket.recv(size, socket.MSG_DONTWAIT)

    def wait_for(self, opcode: Opcode, count: int = 1) -> None:
        """Read until so many frames of a type have come.

        Raises:
            OSError: the gateway has closed the connection, or sends nothing for too long.
        """
        deadline_s = time.monotonic() + PATIENCE_S
        while count > 0:
            for data in self.messages():
                count -= sum(frame.opcode == opcode for frame in iter_frames(memoryview(data)))
            if count > 0:
                if time.monotonic() > deadline_s:
                    raise TimeoutError(f"no {opcode.name} in {PATIENCE_S:g} s")
                self.receive()

    def settle(self) -> None:
        """Wait until the gateway has handled all that was sent, for a client that has parsed all that it has read."""
        self.send(ping())
        self.wait_for(Opcode.PONG)

    def close(self) -> None:
        """Close without a word."""
        self.socket.close()
