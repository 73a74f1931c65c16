"""The small binary frames: ACK, GAP, END, ABORT, PING, PONG (spec sections 6.3, 6.4, 7 and 9).

Each is one struct of :mod:`gateway.protocol.wire`. ``parse`` raises ``ProtocolViolation`` (``MALFORMED_FRAME``) for a
frame shorter than its table and skips what a later version may add behind it; ``write`` gives the whole frame, whose
length is a multiple of 8 and so needs no padding.
"""

from __future__ import annotations

from dataclasses import dataclass

from gateway.protocol.frames import Frame, check_table
from gateway.protocol.wire import (
    ABORT_FRAME,
    ACK_FRAME,
    END_FRAME,
    GAP_FRAME,
    PING_FRAME,
    PONG_FRAME,
    Buffer,
    Opcode,
)


@dataclass(frozen=True, slots=True)
class Ack:
    """The server has given offsets to a run of messages (spec section 7.1)."""

    alias: int
    count: int
    """How many sequences it covers."""
    sequence: int
    """The last of them."""
    offset: int
    """The offset of that one; those before it have the offsets before it."""

    @classmethod
    def parse(cls, message: Buffer, frame: Frame) -> Ack:
        """Reads the frame; see the module for errors."""
        check_table(frame, ACK_FRAME.size)
        _, _, _, _, alias, count, sequence, offset = ACK_FRAME.unpack_from(message, frame.start)
        return cls(alias, count, sequence, offset)

    def write(self) -> bytes:
        """The whole frame, 32 bytes."""
        return ACK_FRAME.pack(ACK_FRAME.size, Opcode.ACK, 0, 0, self.alias, self.count, self.sequence, self.offset)


@dataclass(frozen=True, slots=True)
class Gap:
    """Messages that this receiver will not get (spec section 7.2)."""

    stream: int
    code: int
    """Why; a number of :class:`gateway.errors.Code`, or one that this version does not know."""
    first: int
    """First offset that is left out."""
    last: int
    """Last one."""

    @classmethod
    def parse(cls, message: Buffer, frame: Frame) -> Gap:
        """Reads the frame; see the module for errors."""
        check_table(frame, GAP_FRAME.size)
        _, _, _, _, stream, code, first, last = GAP_FRAME.unpack_from(message, frame.start)
        return cls(stream, code, first, last)

    def write(self) -> bytes:
        """The whole frame, 32 bytes."""
        return GAP_FRAME.pack(GAP_FRAME.size, Opcode.GAP, 0, 0, self.stream, self.code, self.first, self.last)


@dataclass(frozen=True, slots=True)
class End:
    """All chunks of a large message are sent (spec section 6.3)."""

    transfer: int
    offset: int
    """The message's offset; for a request or reply its correlation; 0 from a client that publishes."""
    timestamp_ns: int
    """When the sender sent it, Unix time in ns by the server's clock."""

    @classmethod
    def parse(cls, message: Buffer, frame: Frame) -> End:
        """Reads the frame; see the module for errors."""
        check_table(frame, END_FRAME.size)
        _, _, _, _, transfer, _, offset, timestamp_ns = END_FRAME.unpack_from(message, frame.start)
        return cls(transfer, offset, timestamp_ns)

    def write(self) -> bytes:
        """The whole frame, 32 bytes."""
        return END_FRAME.pack(END_FRAME.size, Opcode.END, 0, 0, self.transfer, 0, self.offset, self.timestamp_ns)


@dataclass(frozen=True, slots=True)
class Abort:
    """The rest of a large message will not come (spec section 6.4)."""

    transfer: int
    code: int
    """Why; a number of :class:`gateway.errors.Code`, or one that this version does not know."""

    @classmethod
    def parse(cls, message: Buffer, frame: Frame) -> Abort:
        """Reads the frame; see the module for errors."""
        check_table(frame, ABORT_FRAME.size)
        _, _, _, _, transfer, code = ABORT_FRAME.unpack_from(message, frame.start)
        return cls(transfer, code)

    def write(self) -> bytes:
        """The whole frame, 16 bytes."""
        return ABORT_FRAME.pack(ABORT_FRAME.size, Opcode.ABORT, 0, 0, self.transfer, self.code)


@dataclass(frozen=True, slots=True)
class Ping:
    """Are you there, and what time is it (spec section 9)."""

    t0: int
    """When it left, by the sender's clock: Unix time in ns."""

    @classmethod
    def parse(cls, message: Buffer, frame: Frame) -> Ping:
        """Reads the frame; see the module for errors."""
        check_table(frame, PING_FRAME.size)
        return cls(PING_FRAME.unpack_from(message, frame.start)[4])

    def write(self) -> bytes:
        """The whole frame, 16 bytes."""
        return PING_FRAME.pack(PING_FRAME.size, Opcode.PING, 0, 0, self.t0)


@dataclass(frozen=True, slots=True)
class Pong:
    """The answer to PING (spec section 9); all times are Unix times in ns."""

    t0: int
    """As received in PING."""
    t1: int
    """When PING arrived, by the answering side's clock."""
    t2: int
    """When PONG left, by the answering side's clock."""

    @classmethod
    def parse(cls, message: Buffer, frame: Frame) -> Pong:
        """Reads the frame; see the module for errors."""
        check_table(frame, PONG_FRAME.size)
        _, _, _, _, t0, t1, t2 = PONG_FRAME.unpack_from(message, frame.start)
        return cls(t0, t1, t2)

    def write(self) -> bytes:
        """The whole frame, 32 bytes."""
        return PONG_FRAME.pack(PONG_FRAME.size, Opcode.PONG, 0, 0, self.t0, self.t1, self.t2)
