"""Large messages: chunk plan, chunks, and their assembly (spec section 6).

Knows one transfer at a time. Must not know the transfers of a connection, nor their timeouts.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from gateway.errors import Code, InvalidArgument, RequestRefused
from gateway.protocol.encoding import Encoding, decode_into, parse_encoding
from gateway.protocol.frames import Frame, bytes_of, check_frame_bytes, check_table, with_payload
from gateway.protocol.limits import Limits
from gateway.protocol.wire import (
    ALIGNMENT,
    CHUNK_BYTES_MULTIPLE,
    CHUNK_HEADER,
    CHUNK_PLAN,
    ENCODING_BLOCK,
    FLAG_ENCODED,
    MAX_CHUNK_BYTES,
    MIN_CHUNK_BYTES,
    Buffer,
    Opcode,
)

_DEFAULT_MAX_MESSAGE_BYTES: Final = Limits().max_message_bytes


@dataclass(frozen=True, slots=True)
class ChunkPlan:
    """Plan by which a payload is cut into chunks (spec section 6.1).

    Raises:
        InvalidArgument: ``chunk_bytes`` or ``payload_bytes`` breaks the rule of the field.
    """

    transfer: int
    chunk_bytes: int
    """Decoded size of every chunk but the last."""
    payload_bytes: int
    """Decoded size of all chunks together, at least 1."""

    def __post_init__(self) -> None:
        if not MIN_CHUNK_BYTES <= self.chunk_bytes <= MAX_CHUNK_BYTES or self.chunk_bytes % CHUNK_BYTES_MULTIPLE:
            raise InvalidArgument(
                f"chunk_bytes {self.chunk_bytes} is not a multiple of {CHUNK_BYTES_MULTIPLE} "
                f"from {MIN_CHUNK_BYTES} to {MAX_CHUNK_BYTES}"
            )
        if self.payload_bytes < 1:
            raise InvalidArgument(f"payload_bytes {self.payload_bytes} of a chunked message is below 1")

    @property
    def chunk_count(self) -> int:
        """Number of chunks, at least 1."""
        return -(-self.payload_bytes // self.chunk_bytes)

    def chunk_size(self, index: int) -> int:
        """Return the decoded size of chunk ``index``; 0 if there is no such chunk."""
        return max(0, min(self.chunk_bytes, self.payload_bytes - index * self.chunk_bytes))

    def write(self) -> bytes:
        """Return the 16 bytes of the plan."""
        return CHUNK_PLAN.pack(self.transfer, self.chunk_bytes, self.payload_bytes)


def parse_plan(buffer: Buffer, at: int) -> ChunkPlan:
    """Read the chunk plan at index ``at``, where at least 16 bytes are (spec section 6.1).

    Raises:
        RequestRefused: ``BROKEN_TRANSFER``, sizes break the rules of the plan. The caller has to compare
            ``payload_bytes`` with the descriptors.
    """
    transfer, chunk_bytes, payload_bytes = CHUNK_PLAN.unpack_from(buffer, at)
    try:
        return ChunkPlan(transfer, chunk_bytes, payload_bytes)
    except InvalidArgument as error:
        raise RequestRefused(Code.BROKEN_TRANSFER, f"transfer {transfer}: {error}") from None


WHOLE_CHUNKS: Final = 2
"""Chunks up to which a payload travels in one frame (spec section 6): a head, two chunks and END take the gateway 1.6
times as long as one frame (1 MB, EPYC family 25, November 2026, ``python -m benchmarks tensors``)."""
WHOLE_BYTES: Final = 1024 * 1024
"""Largest such payload that is larger than a chunk: every client takes a frame of it."""
FRAME_ROOM_BYTES: Final = 1024
"""Room in a frame for everything but its payload and its meta block."""


def travels_whole(payload_bytes: int, chunk_bytes: int, frame_bytes: int) -> bool:
    """Return whether a payload is small enough for one frame (spec section 6).

    Args:
        payload_bytes: its decoded size.
        chunk_bytes: size of a chunk.
        frame_bytes: largest payload that one frame may carry.
    """
    return payload_bytes <= min(max(chunk_bytes, min(WHOLE_CHUNKS * chunk_bytes, WHOLE_BYTES)), frame_bytes)


def split_payload(buffers: Sequence[Buffer], chunk_bytes: int) -> Iterator[list[Buffer]]:
    """Cut a payload into chunks without copying a byte of it.

    Args:
        buffers: the payload; C-contiguous, of any item size. They must not change while the slices are in use.
        chunk_bytes: size of every chunk but the last.

    Yields:
        the byte slices of each chunk, in order; an empty payload yields no chunk.
    """
    chunk: list[Buffer] = []
    room = chunk_bytes
    for buffer in buffers:
        view = memoryview(buffer)
        if not view.nbytes:
            continue
        view = view.cast("B")
        at = 0
        while at < len(view):
            part = view[at : at + room]
            chunk.append(part)
            at += len(part)
            room -= len(part)
            if not room:
                yield chunk
                chunk, room = [], chunk_bytes
    if chunk:
        yield chunk


@dataclass(slots=True)  # frozen would make one three times as dear
class Chunk:
    """One chunk as on the wire (spec section 6.2)."""

    transfer: int
    index: int
    encoding: Encoding | None
    data: memoryview
    """Bytes of the chunk, encoded if ``encoding`` is present; a slice of the WebSocket message."""


def parse_chunk(message: memoryview, frame: Frame) -> Chunk:
    """Read a CHUNK frame without copying or decoding its data (spec section 6.2).

    Raises:
        ProtocolViolation: ``MALFORMED_FRAME``, the frame is shorter than its table.
        RequestRefused: ``UNKNOWN_CODEC``, from the encoding block.
    """
    check_table(frame, CHUNK_HEADER.size)
    _, _, _, _, transfer, index = CHUNK_HEADER.unpack_from(message, frame.start)
    at = frame.start + CHUNK_HEADER.size
    encoding = None
    if frame.flags & FLAG_ENCODED:
        check_table(frame, CHUNK_HEADER.size + ENCODING_BLOCK.size)
        encoding = parse_encoding(message, at)
        at += ENCODING_BLOCK.size
    return Chunk(transfer, index, encoding, message[at : frame.end])


def begun_chunk(beginning: memoryview, size: int) -> tuple[int, int, int] | None:
    """Read the beginning of a WebSocket message of ``size`` bytes that is a CHUNK frame with plain data, and no more.

    Returns:
        Number of the transfer, index of the chunk, and bytes of its data, which end the message; ``None``: it is
        another message, or too little of it has come.
    """
    if len(beginning) < CHUNK_HEADER.size:
        return None
    frame_bytes, opcode, flags, _, transfer, index = CHUNK_HEADER.unpack_from(beginning)
    if opcode != Opcode.CHUNK or flags & FLAG_ENCODED or frame_bytes != size or size % ALIGNMENT:
        return None
    return transfer, index, size - CHUNK_HEADER.size


def write_chunk(transfer: int, index: int, data: Sequence[Buffer], encoding: Encoding | None = None) -> list[Buffer]:
    """Return a CHUNK frame as the list of buffers to write; ``data`` is passed on, not copied (spec section 6.2).

    Raises:
        InvalidArgument: more than a frame can hold.
    """
    block = b"" if encoding is None else encoding.write()
    frame_bytes = CHUNK_HEADER.size + len(block) + bytes_of(data)
    check_frame_bytes(frame_bytes)
    flags = 0 if encoding is None else FLAG_ENCODED
    head = CHUNK_HEADER.pack(frame_bytes, Opcode.CHUNK, flags, 0, transfer, index) + block
    return with_payload(head, data, frame_bytes)


def new_memory(size: int) -> memoryview:
    """Return a new buffer of any content: unlike a bytearray, it is not zeroed."""
    return np.empty(size, np.uint8).data


class Assembler:
    """Assembly of the chunks of one transfer in one buffer of the size of the payload (spec section 6).

    Each chunk is decoded straight into its place, so that memory is bounded by the payload's size and one chunk. After
    :meth:`receive` has raised, the transfer is over and the assembler refuses every other chunk.

    Args:
        plan: plan from the data frame; the caller has compared ``payload_bytes`` with the descriptors.
        max_message_bytes: size of the largest payload to allocate (spec section 13).
        memory: returns the buffer, given its size; raises ``MemoryError``.

    Raises:
        RequestRefused: ``MESSAGE_TOO_BIG``, the payload exceeds the limit or the memory of the machine.
    """

    __slots__ = ("_next_index", "_out", "plan", "received_bytes")

    def __init__(
        self,
        plan: ChunkPlan,
        *,
        max_message_bytes: int = _DEFAULT_MAX_MESSAGE_BYTES,
        memory: Callable[[int], memoryview] = new_memory,
    ) -> None:
        if plan.payload_bytes > max_message_bytes:
            raise RequestRefused(
                Code.MESSAGE_TOO_BIG,
                f"payload of {plan.payload_bytes} bytes exceeds max_message_bytes={max_message_bytes}:"
                " raise it, or split the tensor",
            )
        try:
            self._out = memory(plan.payload_bytes)
        except MemoryError:
            raise RequestRefused(
                Code.MESSAGE_TOO_BIG, f"the machine has no memory for a payload of {plan.payload_bytes} bytes"
            ) from None
        self._next_index = 0
        self.plan = plan
        self.received_bytes = 0
        """Decoded bytes so far, to show progress."""

    @property
    def complete(self) -> bool:
        """True if the last chunk has been received."""
        return self.received_bytes == self.plan.payload_bytes

    def receive(self, chunk: Chunk, *, base: Buffer | None = None) -> None:
        """Take the next chunk; the chunk's data is not needed afterwards.

        Args:
            chunk: next chunk; the caller has checked that its encoding was agreed on.
            base: complete payload that a delta refers to (spec section 10).

        Raises:
            RequestRefused: ``BROKEN_TRANSFER``, the chunk is of another transfer, not the next one, or of the wrong
                decoded size; ``CORRUPT_PAYLOAD``, it does not decode to its declared size.
        """
        plan, index = self.plan, chunk.index
        expected, self._next_index = self._next_index, -1
        size = plan.chunk_size(index)
        if chunk.transfer != plan.transfer or index != expected or not size:
            wanted = f"chunk {expected} of {plan.chunk_count}" if expected >= 0 else "no further chunk"
            raise RequestRefused(
                Code.BROKEN_TRANSFER,
                f"chunk {index} of transfer {chunk.transfer}: transfer {plan.transfer} expects {wanted}",
            )
        encoding, data = chunk.encoding, chunk.data
        decoded_bytes = len(data) if encoding is None else encoding.decoded_bytes
        if decoded_bytes != size:
            raise RequestRefused(
                Code.BROKEN_TRANSFER,
                f"chunk {index} of transfer {plan.transfer} has {decoded_bytes} bytes, its plan says {size}",
            )
        at = index * plan.chunk_bytes
        out = self._out[at : at + size]
        if encoding is None:
            out[:] = data
        else:
            decode_into(encoding, data, out, base=None if base is None else memoryview(base)[at : at + size])
        self.received_bytes += size
        self._next_index = index + 1

    def room(self, index: int, size: int) -> memoryview | None:
        """Return the memory of a plain chunk, to be written from outside; ``None`` if it is not the next, or not whole.

        Args:
            index: of the chunk.
            size: bytes of its data.
        """
        if index != self._next_index or size != self.plan.chunk_size(index):
            return None
        at = index * self.plan.chunk_bytes
        return self._out[at : at + size]

    def filled(self, index: int) -> None:
        """Take the next chunk, whose data stands in its :meth:`room`."""
        assert index == self._next_index
        self.received_bytes += self.plan.chunk_size(index)
        self._next_index = index + 1

    def received(self) -> memoryview:
        """Return the bytes received so far, read-only: the beginning of the buffer, which does not change any more."""
        return self._out[: self.received_bytes].toreadonly()

    def payload(self) -> memoryview:
        """Return the complete payload, read-only: the buffer itself, no copy.

        Raises:
            RequestRefused: ``BROKEN_TRANSFER``, chunks are missing (END came too early, spec section 6.3).
        """
        if not self.complete:
            raise RequestRefused(
                Code.BROKEN_TRANSFER,
                f"transfer {self.plan.transfer} ended after {self.received_bytes} of {self.plan.payload_bytes} bytes",
            )
        return self._out.toreadonly()
