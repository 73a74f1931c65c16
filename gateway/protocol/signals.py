"""The small binary frames: ACK, GAP, END, ABORT, PING, PONG and those of delivery (spec sections 6.3 to 9).

Each is one struct of :mod:`gateway.protocol.wire`. ``parse`` raises ``ProtocolViolation`` (``MALFORMED_FRAME``) for a
frame shorter than its table and skips what a later version may add behind it; ``write`` gives the whole frame, whose
length is a multiple of 8 and so needs no padding.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Self

from gateway.protocol.durability import Durability
from gateway.protocol.frames import Frame, check_table
from gateway.protocol.wire import (
    ABORT_FRAME,
    ACK_DURABILITY,
    ACK_FRAME,
    ACK_REPEATED,
    CANCEL_FRAME,
    CREDIT_FRAME,
    END_CHECKSUM,
    END_FRAME,
    PING_FRAME,
    PONG_FRAME,
    RANGE_FRAME,
    RESUME_FRAME,
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
    durability: Durability = Durability.MEMORY
    """How safe they are by now."""
    repeated: bool = False
    """They had been published before; these are the offsets that they got then."""

    @classmethod
    def parse(cls, message: Buffer, frame: Frame) -> Ack:
        """Reads the frame; see the module for errors."""
        check_table(frame, ACK_FRAME.size)
        _, _, flags, _, alias, count, sequence, offset = ACK_FRAME.unpack_from(message, frame.start)
        durability = Durability.of_level(flags & ACK_DURABILITY)
        return cls(alias, count, sequence, offset, durability, bool(flags & ACK_REPEATED))

    def write(self) -> bytes:
        """The whole frame, 32 bytes."""
        flags = self.durability.level | (ACK_REPEATED if self.repeated else 0)
        return ACK_FRAME.pack(ACK_FRAME.size, Opcode.ACK, flags, 0, self.alias, self.count, self.sequence, self.offset)


@dataclass(frozen=True, slots=True)
class _Range:
    """A code, and the messages ``first .. last`` of a stream that it is about."""

    opcode: ClassVar[Opcode]

    stream: int
    code: int
    """A number of :class:`gateway.errors.Code`, or one that this version does not know."""
    first: int
    """First offset."""
    last: int
    """Last one."""

    @classmethod
    def parse(cls, message: Buffer, frame: Frame) -> Self:
        """Reads the frame; see the module for errors."""
        check_table(frame, RANGE_FRAME.size)
        _, _, _, _, stream, code, first, last = RANGE_FRAME.unpack_from(message, frame.start)
        return cls(stream, code, first, last)

    def write(self) -> bytes:
        """The whole frame, 32 bytes."""
        return RANGE_FRAME.pack(RANGE_FRAME.size, self.opcode, 0, 0, self.stream, self.code, self.first, self.last)


class Gap(_Range):
    """Messages that this receiver will not get, and why (spec section 7.2)."""

    __slots__ = ()
    opcode = Opcode.GAP


class Replay(_Range):
    """Messages that this receiver has not got follow from the stream's history (spec section 7.3).

    The code says why they were not sent when they were published; 0: the receiver asked for them.
    """

    __slots__ = ()
    opcode = Opcode.REPLAY


class Done(_Range):
    """The receiver's program is through with messages (spec section 7.4).

    With code 0 they are processed; with another they are not, and are to be delivered again.
    """

    __slots__ = ()
    opcode = Opcode.DONE


@dataclass(frozen=True, slots=True)
class End:
    """All chunks of a large message are sent (spec section 6.3)."""

    transfer: int
    offset: int
    """The message's offset; for a request or reply its correlation; 0 from a client that publishes."""
    timestamp_ns: int
    """When the sender sent it, Unix time in ns by the server's clock."""
    checksum: int | None = None
    """CRC-32 of the whole decoded payload (``zlib.crc32``), if the sender has computed one."""

    @classmethod
    def parse(cls, message: Buffer, frame: Frame) -> End:
        """Reads the frame; see the module for errors."""
        check_table(frame, END_FRAME.size)
        _, _, flags, _, transfer, checksum, offset, timestamp_ns = END_FRAME.unpack_from(message, frame.start)
        return cls(transfer, offset, timestamp_ns, checksum if flags & END_CHECKSUM else None)

    def write(self) -> bytes:
        """The whole frame, 32 bytes."""
        flags = 0 if self.checksum is None else END_CHECKSUM
        checksum = self.checksum or 0
        return END_FRAME.pack(
            END_FRAME.size, Opcode.END, flags, 0, self.transfer, checksum, self.offset, self.timestamp_ns
        )


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


@dataclass(frozen=True, slots=True)
class Resume:
    """The server has a part of a large message from before: go on behind it (spec section 6.5)."""

    transfer: int
    """The client's number for it, on this connection."""
    index: int
    """The first chunk that is missing."""

    @classmethod
    def parse(cls, message: Buffer, frame: Frame) -> Resume:
        """Reads the frame; see the module for errors."""
        check_table(frame, RESUME_FRAME.size)
        _, _, _, _, transfer, index = RESUME_FRAME.unpack_from(message, frame.start)
        return cls(transfer, index)

    def write(self) -> bytes:
        """The whole frame, 16 bytes."""
        return RESUME_FRAME.pack(RESUME_FRAME.size, Opcode.RESUME, 0, 0, self.transfer, self.index)


@dataclass(frozen=True, slots=True)
class Credit:
    """The receiver takes so much more for one of its subscriptions (spec section 7.5)."""

    subscription: int
    messages: int
    nbytes: int

    @classmethod
    def parse(cls, message: Buffer, frame: Frame) -> Credit:
        """Reads the frame; see the module for errors."""
        check_table(frame, CREDIT_FRAME.size)
        _, _, _, _, subscription, messages, size = CREDIT_FRAME.unpack_from(message, frame.start)
        return cls(subscription, messages, size)

    def write(self) -> bytes:
        """The whole frame, 24 bytes."""
        return CREDIT_FRAME.pack(CREDIT_FRAME.size, Opcode.CREDIT, 0, 0, self.subscription, self.messages, self.nbytes)


@dataclass(frozen=True, slots=True)
class Cancel:
    """The asker does not want the answer any more (spec section 8.1)."""

    peer: int
    """From the server the asker's; from the asker 0."""
    correlation: int

    @classmethod
    def parse(cls, message: Buffer, frame: Frame) -> Cancel:
        """Reads the frame; see the module for errors."""
        check_table(frame, CANCEL_FRAME.size)
        _, _, _, _, peer, _, correlation = CANCEL_FRAME.unpack_from(message, frame.start)
        return cls(peer, correlation)

    def write(self) -> bytes:
        """The whole frame, 24 bytes."""
        return CANCEL_FRAME.pack(CANCEL_FRAME.size, Opcode.CANCEL, 0, 0, self.peer, 0, self.correlation)
