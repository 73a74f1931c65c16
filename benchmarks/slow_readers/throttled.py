"""Slow readers: sockets that are read at a bounded rate, all in one process and thread."""

from __future__ import annotations

import ctypes
import itertools
import os
import selectors
import socket
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from multiprocessing.connection import Connection
from typing import Final, NamedTuple
from urllib.parse import urlsplit

from websockets.client import ClientProtocol
from websockets.frames import Frame as WebSocketFrame
from websockets.frames import Opcode as WebSocketOpcode
from websockets.protocol import State
from websockets.typing import Subprotocol
from websockets.uri import parse_uri

from benchmarks.processes import VerificationFailed, bind_to
from gateway.ids import ClientId
from gateway.protocol.codecs import CODEC_NAMES, FILTER_NAMES
from gateway.protocol.data import parse_data
from gateway.protocol.frames import Frame, iter_frames
from gateway.protocol.messages import ClientType, Hello, SessionMessage, Subscribe
from gateway.protocol.session_body import write_session
from gateway.protocol.signals import Done, End, Ping, Pong
from gateway.protocol.wire import SUBPROTOCOL_BINARY, Opcode

RECEIVE_BYTES: Final = 256 * 1024
"""Size of a read and of the socket's buffer; the gateway does not hold the bytes in that buffer."""
TICK_S: Final = 0.005
PATIENCE_S: Final = 10.0
_numbers: Final = itertools.count()


class Slowness(NamedTuple):
    """Command to the process: read slowly, until the next command."""

    pattern: str
    readers: int
    speed: float
    """Fraction of the published bytes that each reader may read."""
    acknowledges: bool
    """True if the readers send DONE when they have read a message."""


class ThrottledReader:
    """Subscriber that reads slowly.

    Args:
        url: URL of the gateway.
        client_id: its client id.
        acknowledges: send DONE when a message was read.
    """

    def __init__(self, url: str, client_id: str, *, acknowledges: bool) -> None:
        address = urlsplit(url)
        self._protocol = ClientProtocol(parse_uri(url), subprotocols=[Subprotocol(SUBPROTOCOL_BINARY)], max_size=None)
        self._seen: list[int] = []
        self._acknowledges = acknowledges
        self._streams: dict[int, int] = {}
        """Streams of incomplete large messages, by transfer."""
        self.received_bytes = 0
        self.closed = False
        self.socket = socket.socket()
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVE_BYTES)
        self.socket.settimeout(PATIENCE_S)
        self.socket.connect((address.hostname, address.port))
        self._protocol.send_request(self._protocol.connect())
        self._flush()
        self._wait_until(lambda: self._protocol.state is State.OPEN)
        self._say(Hello((1,), ClientType.AGENT, ClientId(client_id), codecs=CODEC_NAMES, filters=FILTER_NAMES))
        self._wait_until(lambda: Opcode.WELCOME in self._seen)

    def subscribe(self, pattern: str) -> None:
        """Subscribe, and wait for the answer; later bytes are read at the bounded rate."""
        self._say(Subscribe(1, 1, pattern))
        self._wait_until(lambda: Opcode.SUBSCRIBED in self._seen)
        self.socket.setblocking(False)
        self.received_bytes = 0

    def read(self, room: int) -> bool:
        """Read at most ``room`` bytes, and answer PINGs; return whether there were any bytes."""
        try:
            data = self.socket.recv(min(room, RECEIVE_BYTES))
        except BlockingIOError:
            return False
        except ConnectionError:
            data = b""
        self.received_bytes += len(data)
        self.closed = not data
        self._take(data)
        return not self.closed

    def _take(self, data: bytes) -> None:
        self._protocol.receive_data(data)
        for event in self._protocol.events_received():
            if isinstance(event, WebSocketFrame):
                if event.opcode is WebSocketOpcode.BINARY:
                    self._message_received(memoryview(event.data))
                elif event.opcode is WebSocketOpcode.CLOSE:
                    self.closed = True
        self._flush()

    def _message_received(self, message: memoryview) -> None:
        for frame in iter_frames(message):
            self._seen.append(frame.opcode)
            self._frame_received(message, frame)
        del self._seen[:-8]

    def _frame_received(self, message: memoryview, frame: Frame) -> None:
        if frame.opcode == Opcode.PING:
            now_ns = time.time_ns()
            self._send(Pong(Ping.parse(message, frame).t0, now_ns, now_ns).write())
        elif not self._acknowledges:
            return
        elif frame.opcode in (Opcode.MESSAGE, Opcode.BATCH):
            data = parse_data(message, frame)
            if data.plan is not None:
                self._streams[data.plan.transfer] = data.stream
            else:
                self._send(Done(data.stream, 0, data.offset, data.offset + data.count - 1).write())
        elif frame.opcode == Opcode.END:
            end = End.parse(message, frame)
            self._send(Done(self._streams.pop(end.transfer), 0, end.offset, end.offset).write())

    def _wait_until(self, ready: Callable[[], bool]) -> None:
        while not ready():
            data = self.socket.recv(RECEIVE_BYTES)
            if not data:
                raise VerificationFailed("the gateway closed a slow reader that has not begun yet")
            self._take(data)

    def _say(self, message: SessionMessage) -> None:
        self._send(write_session(message))

    def _send(self, frame: bytes) -> None:
        if self._protocol.state is not State.OPEN:
            return  # the gateway has closed the slow reader, as it may
        self._protocol.send_binary(frame)
        self._flush()

    def _flush(self) -> None:
        for data in self._protocol.data_to_send():
            # An answer that cannot be sent is lost: it, too, comes from a slow reader.
            with suppress(BlockingIOError, ConnectionError):
                self.socket.send(data)


@contextmanager
def _reading(url: str, wanted: Slowness) -> Iterator[list[ThrottledReader]]:
    readers: list[ThrottledReader] = []
    try:
        for _ in range(wanted.readers):
            # A client id of its own, so that it does not get the unacknowledged messages of earlier readers.
            reader = ThrottledReader(url, f"slow-{next(_numbers)}", acknowledges=wanted.acknowledges)
            readers.append(reader)
            reader.subscribe(wanted.pattern)
        yield readers
    finally:
        for reader in readers:
            reader.socket.close()


def run_readers(url: str, core: int, published_bytes: ctypes.c_uint64, commands: Connection) -> None:
    """Run the program of a process: read as each :class:`Slowness` says, until the next command; ``None`` ends it.

    Args:
        url: URL of the gateway.
        core: core of the process.
        published_bytes: counter of published bytes, which the publisher increments.
        commands: pipe for commands and answers.
    """
    bind_to(core)
    # Real slow readers are on other machines: here they get only the idle time of a core.
    os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))
    while (wanted := commands.recv()) is not None:
        with _reading(url, wanted) as readers:
            commands.send(None)
            _read_slowly(readers, wanted.speed, published_bytes, commands)
            commands.recv()
            commands.send([(reader.received_bytes, reader.closed) for reader in readers])


def _read_slowly(
    readers: Sequence[ThrottledReader], speed: float, published_bytes: ctypes.c_uint64, commands: Connection
) -> None:
    begin = published_bytes.value
    with selectors.DefaultSelector() as selector:
        for each in readers if speed else ():
            selector.register(each.socket, selectors.EVENT_READ, each)
        while not commands.poll(TICK_S):
            allowed = int((published_bytes.value - begin) * speed)
            for key, _ in selector.select(0):
                reader: ThrottledReader = key.data
                while allowed > reader.received_bytes and reader.read(allowed - reader.received_bytes):
                    pass
                if reader.closed:
                    selector.unregister(reader.socket)
