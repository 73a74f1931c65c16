"""Idle clients: a process with thousands of WebSockets that greet, answer pings, and do nothing else.

They are plain sockets without a buffer or an object for each. They never ping by themselves, as a browser does not.
"""

from __future__ import annotations

import errno
import os
import select
import socket
import struct
import time
from dataclasses import dataclass
from multiprocessing.connection import Connection
from typing import Final

from benchmarks.machine import LOAD_CORE
from benchmarks.processes import bind_to
from benchmarks.slow.frames import control, websocket
from benchmarks.slow.raw_client import handshake
from gateway.protocol.wire import SUBPROTOCOL_BINARY, Opcode

CONNECTIONS_AN_ADDRESS: Final = 10_000
"""Connections from one address to one port: well below the number of ports that the system gives out."""
AT_ONCE: Final = 256
"""Connections whose greeting is not answered yet."""
RECEIVE_BYTES: Final = 1 << 16
GREETING_S: Final = 60.0
"""Longest time in which nothing comes of any greeting."""

_OPCODE_AT: Final = 4
"""Place of the opcode in a frame."""
_HEAD_END: Final = b"\r\n\r\n"
_PING: Final = 0x89
_CLOSE: Final = 0x88
_PONG: Final = 0x8A
_MASKED: Final = 0x80
_NO_MASK: Final = bytes(4)


@dataclass(frozen=True, slots=True)
class Opened:
    """Connections that a process has opened."""

    connections: int
    """Connections that stand."""
    seconds: float
    """Time from the first connect to the last WELCOME."""
    problem: str
    """Reason why there are not as many as were asked for; empty if there are."""


@dataclass(frozen=True, slots=True)
class Answered:
    """Pings since the last report."""

    pings: int
    most_a_tenth: int
    """Most pings that came in a tenth of a second."""
    lost: int
    """Connections that the gateway has closed."""


class IdleClients:
    """Sockets of one process.

    Args:
        port: the gateway's.
        first_address: number of the first address of 127.0.0.0/8 that they connect from.
    """

    def __init__(self, port: int, first_address: int) -> None:
        self._target = "127.0.0.1", port
        self._first_address = first_address
        self._sockets: dict[int, socket.socket] = {}
        self._greeting: set[int] = set()
        self._epoll = select.epoll()
        self._rest: dict[int, bytes] = {}
        """Beginning of a frame, by descriptor, where a read has cut one."""
        hello = control(Opcode.HELLO, versions=[1], client_type="agent", agent="idle")
        self._begin = handshake(SUBPROTOCOL_BINARY) + websocket(hello)
        self._reset()

    def _reset(self) -> None:
        self._pings = self._lost = self._most = 0
        self._tenth, self._in_tenth = 0, 0

    def open(self, count: int) -> Opened:
        """Open connections until there are ``count``, or no more can be."""
        begin_s = moved_s = time.monotonic()
        problem = ""
        opened = 0
        while not problem and (opened < count or self._greeting):
            while not problem and opened < count and len(self._greeting) < AT_ONCE:
                problem = self._connect(opened)
                opened += not problem
            greeting, lost = len(self._greeting), self._lost
            self.serve(1.0)
            if len(self._greeting) < greeting:
                moved_s = time.monotonic()
            if self._lost > lost:
                problem = problem or "the gateway has closed a connection"
            elif time.monotonic() - moved_s > GREETING_S:
                problem = problem or f"no WELCOME in {GREETING_S:.0f} s"
        while problem and self._greeting and time.monotonic() - moved_s < 1.0:
            self.serve(0.1)
        seconds = time.monotonic() - begin_s
        return Opened(len(self._sockets) - len(self._greeting), seconds, problem)

    def _connect(self, number: int) -> str:
        """Open one connection; return why it cannot be."""
        address = self._first_address + number // CONNECTIONS_AN_ADDRESS
        try:
            client = socket.socket()
        except OSError as error:
            return f"a client process: {os.strerror(error.errno or 0)}"
        try:
            # The port is chosen by connect: of each pair of addresses, and not of the source alone.
            client.setsockopt(socket.IPPROTO_IP, getattr(socket, "IP_BIND_ADDRESS_NO_PORT", 24), 1)
            client.bind((f"127.0.{address >> 8}.{address & 255}", 0))
            client.connect(self._target)
            client.setblocking(False)
            client.send(self._begin)
        except OSError as error:
            client.close()
            return f"connect: {os.strerror(error.errno or 0)}"
        descriptor = client.fileno()
        self._sockets[descriptor] = client
        self._greeting.add(descriptor)
        self._epoll.register(descriptor, select.EPOLLIN)
        return ""

    def serve(self, seconds: float) -> None:
        """Answer what comes, if anything does within the time."""
        for descriptor, _ in self._epoll.poll(seconds):
            client = self._sockets[descriptor]
            try:
                data = client.recv(RECEIVE_BYTES)
            except OSError as error:
                if error.errno in (errno.EAGAIN, errno.EINTR):
                    continue
                data = b""
            if not data or not self._take(descriptor, client, data):
                self._drop(descriptor)

    def _drop(self, descriptor: int) -> None:
        self._lost += 1
        self._greeting.discard(descriptor)
        self._rest.pop(descriptor, None)
        self._sockets.pop(descriptor).close()

    def _take(self, descriptor: int, client: socket.socket, data: bytes) -> bool:
        """Take what the gateway has sent to one client; return whether the connection stands."""
        data = self._rest.pop(descriptor, b"") + data
        at = 0
        if descriptor in self._greeting:
            if not data.startswith(b"HTTP/1.1 101 "[: len(data)]):
                return False
            end = data.find(_HEAD_END)
            if end < 0 or len(data) == end + len(_HEAD_END):
                self._rest[descriptor] = data
                return True
            at = end + len(_HEAD_END)
        while len(data) - at >= 2:
            size, header = data[at + 1], 2
            if size == 126 and len(data) - at >= 4:
                (size,), header = struct.unpack_from("!H", data, at + 2), 4
            if len(data) - at < header + size:
                break
            if data[at] == _CLOSE:
                return False
            if descriptor in self._greeting:
                if data[at + header + _OPCODE_AT] != Opcode.WELCOME:
                    return False
                self._greeting.discard(descriptor)
            if data[at] == _PING:
                self._count()
                client.send(bytes((_PONG, _MASKED | size)) + _NO_MASK + data[at + header : at + header + size])
            at += header + size
        if at < len(data):
            self._rest[descriptor] = data[at:]
        return True

    def _count(self) -> None:
        tenth = int(time.monotonic() * 10)
        self._in_tenth = self._in_tenth + 1 if tenth == self._tenth else 1
        self._tenth = tenth
        self._most = max(self._most, self._in_tenth)
        self._pings += 1

    def close(self) -> None:
        """Close all connections."""
        for client in self._sockets.values():
            client.close()
        self._epoll.close()

    def report(self) -> Answered:
        """Return what has happened since the last report."""
        answered = Answered(self._pings, self._most, self._lost)
        self._reset()
        return answered


def run_idle_clients(port: int, first_address: int, count: int, commands: Connection) -> None:
    """Open connections and keep them, to be called in a process of its own.

    The process sends :class:`Opened` first. Each command ``"report"`` is answered by :class:`Answered`, and ``None``
    ends it.
    """
    bind_to(LOAD_CORE)
    clients = IdleClients(port, first_address)
    commands.send(clients.open(count))
    while True:
        if commands.poll():
            if commands.recv() is None:
                return
            commands.send(clients.report())
        clients.serve(0.05)
