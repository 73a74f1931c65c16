"""A transport in memory."""

from __future__ import annotations

from collections.abc import Sequence

from gateway.connections.sessions.session import Session
from gateway.connections.socket_counts import NO_SOCKET_COUNTS, SocketCounts
from gateway.protocol.wire import Buffer


class MemoryTransport:
    """A :class:`~gateway.connections.ports.Transport` whose peer reads everything at once, until it is told to stall.

    Attributes:
        session: whose it is; told when the transport is full and when it has drained.
        high_water: how much may wait before it is full.
        stalled: the peer does not read.
        waiting: bytes that it has not read.
        closed: code and reason, once the core has closed it.
        late: what was written after that: a breach of RFC 6455.
        reading: whether the gateway reads from the peer.
        pings: payloads of the pings that the peer has got and not answered.
        counts: what there would be to tell of the socket.
        lost: the peer is being lost, as yet untold: writing past the transport's guard raises.
    """

    def __init__(self, high_water: int = 16 * 1024) -> None:
        self.session: Session | None = None
        self.high_water = high_water
        self.stalled = False
        self.waiting = 0
        self.full = False
        self.closed: tuple[int, str] | None = None
        self.late: list[bytes] = []
        self.reading = True
        self.pings: list[bytes] = []
        self.counts = NO_SOCKET_COUNTS
        self.lost = False
        self.writes: list[bytes] = []

    def write(self, data: Buffer) -> None:
        if self.closed is not None:
            self.late.append(bytes(data))
            return
        self.writes.append(bytes(data))
        if self.stalled:
            self.waiting += len(data)
            if not self.full and self.waiting > self.high_water and self.session is not None:
                self.full = True
                self.session.connection.pause_writing()

    def raw_write(self, data: Buffer, /) -> None:
        if self.lost:
            raise RuntimeError("unable to perform operation; the handler is closed")
        self.write(data)

    def writelines(self, buffers: Sequence[Buffer]) -> None:
        self.write(b"".join(buffers))

    def ping(self, payload: bytes) -> None:
        self.pings.append(payload)

    def pause_reading(self) -> None:
        assert self.reading
        self.reading = False

    def resume_reading(self) -> None:
        assert not self.reading
        self.reading = True

    def close(self, code: int, reason: str) -> None:
        if self.closed is None:
            self.closed = (code, reason)

    def peer_address(self) -> str:
        return "192.0.2.7:4711"

    def waiting_bytes(self) -> int:
        return self.waiting

    def socket_counts(self) -> SocketCounts:
        return self.counts

    def is_reading(self) -> bool:
        """Whether the gateway reads from the peer; a method, because calls change it behind a type checker's back."""
        return self.reading

    # What the peer does.

    def fill_up(self) -> None:
        """The peer stops reading, and more than high water waits for it."""
        self.stalled = True
        self.waiting += self.high_water + 1
        if not self.full and self.session is not None:
            self.full = True
            self.session.connection.pause_writing()

    def empty(self) -> None:
        """The peer has read everything that waits, and goes on as before; it may be full again at once."""
        self.waiting = 0
        if self.full and self.session is not None:
            self.full = False
            self.session.connection.resume_writing()

    def read_on(self) -> None:
        """The peer reads everything from now on."""
        self.stalled = False
        while self.waiting or self.full:
            self.empty()
