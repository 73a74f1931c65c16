"""Frames in a WebSocket message: finding, checking and padding (spec section 2).

Knows the eight bytes that start every frame. Must not know the contents of frames.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final, NamedTuple

from gateway.errors import Code, InvalidArgument, ProtocolViolation
from gateway.protocol.wire import ALIGNMENT, FRAME_START, PADDING, Buffer

START_BYTES: Final = FRAME_START.size
"""Size of the start of every frame, and so the smallest ``frame_bytes``."""

_MAX_FRAME_BYTES: Final = 0xFFFF_FFFF


class Frame(NamedTuple):
    """Position of one frame in its WebSocket message, and the fields of its first eight bytes."""

    opcode: int
    flags: int
    meta_units: int
    start: int
    """Index of the first byte; a multiple of 8."""
    end: int
    """Index behind the last byte, padding not counted."""


def iter_frames(message: Buffer) -> Iterator[Frame]:
    """Yield the frames of one WebSocket message, in order (spec section 2).

    Every frame lies within the message, holds at least its first eight bytes, and starts where the one before it
    and its padding end. Padding is not looked at.

    Raises:
        ProtocolViolation: ``MALFORMED_FRAME``, when the iteration reaches the place; the frames before are valid.
    """
    size = len(message)
    if size % ALIGNMENT or not size:
        raise bad_size(size)
    unpack_from = FRAME_START.unpack_from
    new = tuple.__new__
    at = 0
    while at < size:
        # Repeats frame_at without the calls: 0.19 us a frame instead of 0.38 (CPython 3.11, 2026-11).
        frame_bytes, opcode, flags, meta_units = unpack_from(message, at)
        end = at + frame_bytes
        if frame_bytes < START_BYTES or end > size:
            raise bad_length(frame_bytes, at, size)
        yield new(Frame, (opcode, flags, meta_units, at, end))
        at = (end + 7) & -8


def only_frame(message: Buffer) -> Frame | None:
    """Return the frame of a WebSocket message that holds one valid frame and nothing else; ``None`` for any other."""
    size = len(message)
    if size < START_BYTES:
        return None
    frame_bytes, opcode, flags, meta_units = FRAME_START.unpack_from(message, 0)
    if (frame_bytes + 7) & -8 != size or frame_bytes < START_BYTES:
        return None
    return tuple.__new__(Frame, (opcode, flags, meta_units, 0, frame_bytes))


def frame_at(message: Buffer, at: int) -> Frame:
    """Return one frame, for a caller that does not walk through all of them (spec section 2).

    Args:
        message: of a size that is a multiple of 8.
        at: start of the frame, a multiple of 8 below that size.

    Raises:
        ProtocolViolation: ``MALFORMED_FRAME``.
    """
    frame_bytes, opcode, flags, meta_units = FRAME_START.unpack_from(message, at)
    end = at + frame_bytes
    if frame_bytes < START_BYTES or end > len(message):
        raise bad_length(frame_bytes, at, len(message))
    # As parse_data does: the named tuple's own __new__ takes longer.
    return tuple.__new__(Frame, (opcode, flags, meta_units, at, end))


def body_of(message: memoryview, frame: Frame) -> memoryview:
    """Return the bytes behind the start of a frame, for a JSON frame the object (spec section 2). No copy."""
    return message[frame.start + START_BYTES : frame.end]


def check_table(frame: Frame, table_bytes: int) -> None:
    """Refuse a binary frame that is shorter than its byte table; later versions may make it longer.

    Raises:
        ProtocolViolation: ``MALFORMED_FRAME``.
    """
    if frame.end - frame.start < table_bytes:
        raise _malformed(
            f"frame with opcode 0x{frame.opcode:02x} has {frame.end - frame.start} bytes, its table {table_bytes}"
        )


def bytes_of(buffers: Iterable[Buffer]) -> int:
    """Return the number of bytes in a list of buffers, counting memoryviews of any item size in bytes."""
    return sum([buffer.nbytes if isinstance(buffer, memoryview) else len(buffer) for buffer in buffers])


def with_payload(head: bytes, payload: Iterable[Buffer], frame_bytes: int) -> list[Buffer]:
    """Return a frame as the list of buffers to write: head, payload (not copied), padding (spec section 2)."""
    padding = PADDING[-frame_bytes % ALIGNMENT]
    return [head, *payload, padding] if padding else [head, *payload]


def check_frame_bytes(frame_bytes: int) -> None:
    """Refuse to write a frame whose length does not fit its field.

    Raises:
        InvalidArgument: the payload has to be chunked (spec section 6).
    """
    if frame_bytes > _MAX_FRAME_BYTES:
        raise InvalidArgument(f"a frame of {frame_bytes} bytes exceeds {_MAX_FRAME_BYTES}: send the payload in chunks")


def bad_size(size: int) -> ProtocolViolation:
    """Return the error for a WebSocket message that no frames can fill."""
    return _malformed(f"WebSocket message of {size} bytes must be a positive multiple of {ALIGNMENT}")


def bad_length(frame_bytes: int, at: int, size: int) -> ProtocolViolation:
    """Return the error for a frame that does not lie within its WebSocket message."""
    return _malformed(
        f"frame_bytes {frame_bytes} at offset {at} is below {START_BYTES} or past the WebSocket message of {size} bytes"
    )


def _malformed(message: str) -> ProtocolViolation:
    return ProtocolViolation(Code.MALFORMED_FRAME, message)
