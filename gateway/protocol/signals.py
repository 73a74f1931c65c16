"""Signals: the small binary frames ACK, GAP, END, ABORT, PING, PONG and those of delivery (spec sections 6.3 to 9).

Each is one struct of :mod:`gateway.protocol.wire`: the frame start, then the fields of the class in their order. Only
ACK, END and PING, which have flags, and REPORT, which may have a list behind its fields, have a ``parse`` and ``write``
of their own. No signal needs padding: the length of each is a multiple of 8.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from operator import attrgetter
from struct import Struct
from typing import ClassVar, NamedTuple, Self, TypeVar, dataclass_transform

from gateway.errors import Code, ProtocolViolation
from gateway.protocol.durability import Durability
from gateway.protocol.frames import Frame, check_table
from gateway.protocol.wire import (
    ABORT_FRAME,
    ACK_DURABILITY,
    ACK_FRAME,
    ACK_REPEATED,
    CANCEL_FRAME,
    CONFLATED_FRAME,
    CREDIT_FRAME,
    END_CHECKSUM,
    END_FRAME,
    FRAME_START,
    IN_PROGRESS_FRAME,
    MAX_POSITIONS,
    PING_FRAME,
    PING_REPORT,
    PONG_FRAME,
    RANGE_FRAME,
    REPORT_COUNT,
    REPORT_FRAME,
    REPORT_POSITION,
    RESUME_FRAME,
    Buffer,
    Opcode,
)


@dataclass(frozen=True, slots=True)
class Signal:
    """A value that is one frame of fixed length, but for the list of REPORT."""

    opcode: ClassVar[Opcode]
    table_bytes: ClassVar[int]
    """Length of the frame in this version, without a list."""
    _fields: ClassVar[Struct]
    """The fields, with the frame start skipped."""

    write: ClassVar[Callable[[object], bytes]]
    """Return the complete frame."""

    @classmethod
    def parse(cls, message: Buffer, frame: Frame) -> Self:
        """Read a frame of this opcode; bytes that a later version may add behind the fields are skipped.

        Raises:
            ProtocolViolation: ``MALFORMED_FRAME``, the frame is shorter than its table.
        """
        if frame.end - frame.start < cls.table_bytes:
            check_table(frame, cls.table_bytes)
        return cls(*cls._fields.unpack_from(message, frame.start))


_S = TypeVar("_S", bound=Signal)


@dataclass_transform(frozen_default=True)
def _signal(opcode: Opcode, layout: Struct) -> Callable[[type[_S]], type[_S]]:
    """Declare a signal without flags: a frozen dataclass with the fields of ``layout`` behind the frame start."""

    def declare(cls: type[_S]) -> type[_S]:
        declared = dataclass(frozen=True, slots=True)(cls)
        declared.opcode = opcode
        declared.table_bytes = layout.size
        declared._fields = Struct("<8x" + layout.format.removeprefix(FRAME_START.format))
        declared.write = _writer(opcode, layout, declared.__slots__)
        return declared

    return declare


def _writer(opcode: Opcode, layout: Struct, names: tuple[str, ...]) -> Callable[[object], bytes]:
    """Return the method ``write`` of a signal; as quick as one that names each field."""
    pack = partial(layout.pack, layout.size, int(opcode), 0, 0)
    values = attrgetter(*names)
    if len(names) == 1:
        return lambda signal: pack(values(signal))
    return lambda signal: pack(*values(signal))


@dataclass(frozen=True, slots=True)
class Ack(Signal):
    """Offsets that the server has given to a run of messages (spec section 7.1)."""

    opcode = Opcode.ACK
    table_bytes = ACK_FRAME.size

    alias: int
    count: int
    """Number of sequences that are acknowledged."""
    sequence: int
    """The last one."""
    offset: int
    """Offset of ``sequence``; the sequences before it have the offsets before it."""
    durability: Durability = Durability.MEMORY
    """Durability of the messages by now."""
    repeated: bool = False
    """True if the messages had been published before; the offsets are those of the first time."""

    @classmethod
    def parse(cls, message: Buffer, frame: Frame) -> Ack:
        """Read an ACK; errors as :meth:`Signal.parse`."""
        check_table(frame, cls.table_bytes)
        _, _, flags, _, alias, count, sequence, offset = ACK_FRAME.unpack_from(message, frame.start)
        durability = Durability.of_level(flags & ACK_DURABILITY)
        return cls(alias, count, sequence, offset, durability, bool(flags & ACK_REPEATED))

    def write(self) -> bytes:
        """Return the complete frame, 32 bytes."""
        flags = self.durability.level | (ACK_REPEATED if self.repeated else 0)
        return ACK_FRAME.pack(ACK_FRAME.size, Opcode.ACK, flags, 0, self.alias, self.count, self.sequence, self.offset)


@dataclass(frozen=True, slots=True)
class End(Signal):
    """End of a large message: all of its chunks are sent (spec section 6.3)."""

    opcode = Opcode.END
    table_bytes = END_FRAME.size

    transfer: int
    offset: int
    """The message's offset; of a request or reply the correlation; 0 from a client that publishes."""
    timestamp_ns: int
    """Departure of END: Unix time in ns by the server's clock."""
    checksum: int | None = None
    """CRC-32 of the complete decoded payload (``zlib.crc32``), if the sender has computed one."""

    @classmethod
    def parse(cls, message: Buffer, frame: Frame) -> End:
        """Read an END; errors as :meth:`Signal.parse`."""
        check_table(frame, cls.table_bytes)
        _, _, flags, _, transfer, checksum, offset, timestamp_ns = END_FRAME.unpack_from(message, frame.start)
        return cls(transfer, offset, timestamp_ns, checksum if flags & END_CHECKSUM else None)

    def write(self) -> bytes:
        """Return the complete frame, 32 bytes."""
        flags = 0 if self.checksum is None else END_CHECKSUM
        checksum = self.checksum or 0
        return END_FRAME.pack(
            END_FRAME.size, Opcode.END, flags, 0, self.transfer, checksum, self.offset, self.timestamp_ns
        )


@_signal(Opcode.GAP, RANGE_FRAME)
class Gap(Signal):
    """Messages that this receiver will not get, and the reason (spec section 7.2)."""

    stream: int
    code: int
    """A number of :class:`gateway.errors.Code`, or one that this version does not know."""
    first: int
    """First offset."""
    last: int
    """Last offset."""


@_signal(Opcode.REPLAY, RANGE_FRAME)
class Replay(Signal):
    """Messages that this receiver has not got and that follow from the stream's history (spec section 7.3)."""

    stream: int
    code: int
    """Reason why the messages were not sent when they were published; 0: the receiver asked for them."""
    first: int
    """First offset."""
    last: int
    """Last offset."""


@_signal(Opcode.DONE, RANGE_FRAME)
class Done(Signal):
    """Messages that the receiver's program has finished (spec section 7.4)."""

    stream: int
    code: int
    """0: the messages are processed; another code: they are not, and are to be delivered again."""
    first: int
    """First offset."""
    last: int
    """Last offset."""


@_signal(Opcode.IN_PROGRESS, IN_PROGRESS_FRAME)
class InProgress(Signal):
    """Messages that the receiver still has and has not answered: its program works on them (spec section 7.8)."""

    stream: int
    first: int
    """First offset."""
    last: int
    """Last offset."""


@_signal(Opcode.CONFLATED, CONFLATED_FRAME)
class Conflated(Signal):
    """Versions of a state that the receiver's library conflated, because its program is slow (spec section 7.9)."""

    stream: int
    count: int
    """Number of these messages since the last such frame."""


class ProgramPosition(NamedTuple):
    """Position of the receiver's program in one stream (spec section 7.10)."""

    stream: int
    """Number of the stream on the connection."""
    behind: int
    """Offsets from ``offset`` up to the last message that the receiver has got; 0: the program has taken all."""
    offset: int
    """The program has taken every message before it."""


@dataclass(frozen=True, slots=True)
class ReceiverReport(Signal):
    """Cost of what the receiver has got, and messages that wait for its program (spec section 7.10)."""

    opcode = Opcode.REPORT
    table_bytes = REPORT_FRAME.size

    decoded_bytes: int
    """Bytes of payloads, decoded, that the receiver has decoded since its last report."""
    decode_ns: int
    """Time that this took, in all threads together."""
    unread_bytes: int
    """Received bytes that the program has not taken yet."""
    unread_ns: int
    """Age of the oldest message among them; 0 if there is none."""
    positions: tuple[ProgramPosition, ...] = ()
    """Streams in which the program is behind, or has caught up, as far as that has changed."""

    @classmethod
    def parse(cls, message: Buffer, frame: Frame) -> ReceiverReport:
        """Read a REPORT, also of a client that knows no positions.

        Raises:
            ProtocolViolation: ``MALFORMED_FRAME``, the frame is shorter than its table or its positions, or has more
                than :data:`~gateway.protocol.wire.MAX_POSITIONS`.
        """
        check_table(frame, cls.table_bytes)
        _, _, _, _, decoded_bytes, decode_ns, unread_bytes, unread_ns = REPORT_FRAME.unpack_from(message, frame.start)
        positions = _positions_of(message, frame)
        return cls(decoded_bytes, decode_ns, unread_bytes, unread_ns, positions)

    def write(self) -> bytes:
        """Return the complete frame: 40 bytes, and with positions 8 and 16 for each more."""
        parts = [REPORT_POSITION.pack(*position) for position in self.positions]
        if parts:
            parts.insert(0, REPORT_COUNT.pack(len(parts)))
        sums = self.decoded_bytes, self.decode_ns, self.unread_bytes, self.unread_ns
        frame_bytes = REPORT_FRAME.size + sum(map(len, parts))
        return b"".join([REPORT_FRAME.pack(frame_bytes, Opcode.REPORT, 0, 0, *sums), *parts])


def _positions_of(message: Buffer, frame: Frame) -> tuple[ProgramPosition, ...]:
    """Return the positions behind the fields of a REPORT; their number is checked before anything is made of them."""
    at = frame.start + REPORT_FRAME.size + REPORT_COUNT.size
    if frame.end < at:
        return ()
    (count,) = REPORT_COUNT.unpack_from(message, at - REPORT_COUNT.size)
    end = at + count * REPORT_POSITION.size
    if count > MAX_POSITIONS or end > frame.end:
        problem = f"REPORT of {frame.end - frame.start} bytes names {count} positions"
        raise ProtocolViolation(Code.MALFORMED_FRAME, f"{problem}: at most {MAX_POSITIONS}, of 16 bytes each")
    return tuple(map(ProgramPosition._make, REPORT_POSITION.iter_unpack(memoryview(message)[at:end])))


@_signal(Opcode.ABORT, ABORT_FRAME)
class Abort(Signal):
    """Notice that the rest of a large message will not come (spec section 6.4)."""

    transfer: int
    code: int
    """The reason: a number of :class:`gateway.errors.Code`, or one that this version does not know."""


@_signal(Opcode.RESUME, RESUME_FRAME)
class Resume(Signal):
    """Request to continue a large message of which the server has a part from before (spec section 6.5)."""

    transfer: int
    """The client's number for the message, on this connection."""
    index: int
    """The first chunk that is missing."""


@_signal(Opcode.CREDIT, CREDIT_FRAME)
class Credit(Signal):
    """Messages and bytes that the receiver takes in addition for one of its subscriptions (spec section 7.5)."""

    subscription: int
    messages: int
    nbytes: int


@_signal(Opcode.CANCEL, CANCEL_FRAME)
class Cancel(Signal):
    """Notice that the asker does not want the answer any more (spec section 8.1)."""

    peer: int
    """Peer of the asker, from the server; 0 from the asker."""
    correlation: int


@dataclass(frozen=True, slots=True)
class Ping(Signal):
    """Heartbeat: asks the other side for PONG (spec section 9)."""

    opcode = Opcode.PING
    table_bytes = PING_FRAME.size

    t0: int
    """Departure of PING by the sender's clock: Unix time in ns."""
    report: bool = False
    """Whether the client is to report the messages that it still has, before its PONG (spec section 7.8)."""

    @classmethod
    def parse(cls, message: Buffer, frame: Frame) -> Ping:
        """Read a PING; errors as :meth:`Signal.parse`."""
        check_table(frame, cls.table_bytes)
        _, _, flags, _, t0 = PING_FRAME.unpack_from(message, frame.start)
        return cls(t0, bool(flags & PING_REPORT))

    def write(self) -> bytes:
        """Return the complete frame, 16 bytes."""
        return PING_FRAME.pack(PING_FRAME.size, Opcode.PING, PING_REPORT if self.report else 0, 0, self.t0)


@_signal(Opcode.PONG, PONG_FRAME)
class Pong(Signal):
    """Answer to PING; all times are Unix times in ns (spec section 9)."""

    t0: int
    """The ``t0`` of PING."""
    t1: int
    """Arrival of PING by the answering side's clock."""
    t2: int
    """Departure of PONG by the answering side's clock."""
