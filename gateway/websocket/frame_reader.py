"""Frame reader: cuts complete, binary WebSocket messages (RFC 6455, 5.2) out of the bytes of one peer.

Nearly all bytes of both sides are of this form. Everything else (text, fragments, pings, closes, and frames that break
the rules) is handed to the WebSocket library frame by frame, and the library decides about it. A long frame goes
there in fragments, one for each read, because the library copies a frame as a whole when it is complete. It copies
each payload three times and takes 3 us a frame in Python: 1.4 against 2.4 GB/s with tensors of 64 KB (CPython 3.11,
EPYC 9005, November 2026, ``python -m benchmarks tensors``).

Pure: the caller reads the bytes from the socket.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from typing import Final, NamedTuple

from gateway.protocol.wire import ALIGNMENT, FRAME_START, Buffer
from gateway.websocket.alike_frames import ALIKE_FRAMES, JOIN_COST, MOST_FRAMES, PACKED_BYTES, join_alike
from gateway.websocket.headers import CONTINUATION, FINAL, LONG, MASKED, MEDIUM, OPCODE
from gateway.websocket.long_frame import LongFrame
from gateway.websocket.masking import MASK_BYTES, apply_mask, mask_into
from gateway.websocket.read_memory import DIRECT_BYTES, PEEK_BYTES, READ_BYTES, ReadMemory
from gateway.websocket.spare_memory import SpareMemory

_FINAL_BINARY = 0x82
_LENGTH_AT = 2
_SHORT_HEADER = 2
_MEDIUM_HEADER = 4
_LONGER_HEADERS = {MEDIUM: _MEDIUM_HEADER, LONG: 10}
_MEDIUM_LENGTH = struct.Struct("!H")
_LONG_LENGTH = struct.Struct("!Q")
_LAST_DATA_OPCODE = 0x02
_PING = 0x09
_PONG = 0x0A

LONG_BYTES: Final = 64 * 1024
"""Size from which the library gets the payload of a frame in fragments, as it comes."""

JOINED_MESSAGE_BYTES = 16 * 1024
"""Largest binary message that is joined with others of the same read."""

CUT_COST: Final = 256
"""Cost of the frames that are cut at once: a hundred microseconds or two, with all that the library does about them.
A binary message costs 1; many alike ones cost less (:data:`~gateway.websocket.alike_frames.JOIN_COST`)."""
QUIET_COST: Final = 16
"""Cost of a ping, a pong, or a fragment that completes nothing: 8 us in the library."""
TEXT_COST: Final = 128
"""Cost of any other frame for the library."""
TEXT_BYTES: Final = 128
"""Bytes of such a frame that cost 1 more: a text of 64 KiB may take a millisecond."""


class Foreign(NamedTuple):
    """Bytes for the WebSocket library; valid until the next read."""

    data: memoryview
    quiet_end: int = -1
    """End in the buffer of frames that complete nothing; -1 of others."""


class Placement(NamedTuple):
    """Memory of the receiver's own for the end of a message that is still on its way."""

    memory: memoryview
    """Writable bytes; the reader writes to them until the message is complete, or :meth:`FrameReader.end`."""
    filled: Callable[[], object]
    """Called when the message is complete, which the reader then does not return."""


Place = Callable[[memoryview, int], Placement | None]
"""Function that places a message of a known size, given its beginning, which is valid during the call; ``None``: the
message gets a buffer of the reader's."""


class FrameReader:
    """Reader that cuts the bytes of one peer into messages.

    Read into :meth:`buffer`, then call :meth:`receive` at once. While :attr:`more` is true, the reader has bytes that
    are not cut yet: call :meth:`go_on` for the next, and :meth:`keep` before anything else is read into the buffer.

    Args:
        max_frame_bytes: larger messages are left to the library, which refuses them.
        masked: whether the frames of the peer are masked: those of a client are, those of a server are not. Small
            messages of a client are joined; those of a server are not, so that none keeps the memory of others.
        memory: memory of the event loop, or of the thread, that reads.
        place: asked for each large message without a mask of which a read brings the beginning, once the caller has
            taken those before it.

    Attributes:
        more: whether there may be another complete frame.
    """

    __slots__ = (
        "_at",
        "_direct",
        "_end",
        "_filled",
        "_foreign_bytes",
        "_fragmented",
        "_library_only",
        "_long",
        "_mask",
        "_mask_bytes",
        "_masked",
        "_max_bytes",
        "_peek",
        "_place",
        "_placement",
        "_rest",
        "_shared",
        "_source",
        "_spare",
        "more",
    )

    def __init__(self, max_frame_bytes: int, memory: ReadMemory, *, masked: bool, place: Place | None = None) -> None:
        self._max_bytes = max_frame_bytes
        self._masked, self._mask_bytes = (MASKED, MASK_BYTES) if masked else (0, 0)
        self._shared = shared = memory.shared
        self._spare = memory.spare
        self._rest = b""
        """Beginning of a frame, from the read before."""
        self._direct: memoryview | None = None
        """Incomplete payload that has a buffer of its own."""
        self._filled = 0
        """Bytes of that payload that have been read."""
        self._mask = b""
        """Mask of that payload; empty if it has none."""
        self._place = place
        self._placement: Placement | None = None
        """Placement of that payload, if its buffer is the receiver's."""
        self._peek = False
        """True if the next read is one of :data:`~gateway.websocket.read_memory.PEEK_BYTES`."""
        self._foreign_bytes = 0
        """Bytes of the library's current frame that are still to be read."""
        self._long: LongFrame | None = None
        """The library's current frame, if it goes there in fragments."""
        self._fragmented = False
        self._library_only = False
        self._source = shared
        """Buffer whose bytes from ``_at`` to ``_end`` are not cut yet, while :attr:`more` is true."""
        self._at = 0
        self._end = 0
        self.more = False

    def buffer(self) -> memoryview:
        """Return the buffer for the next read."""
        if self._direct is not None:
            return self._direct[self._filled :]
        kept = len(self._rest)
        if kept:
            self._shared[:kept] = self._rest
        return self._shared[kept : kept + (PEEK_BYTES if self._peek else READ_BYTES)]

    def receive(self, nbytes: int) -> list[Buffer | Foreign]:
        """Take ``nbytes`` bytes, just read into :meth:`buffer`.

        Returns:
            Unmasked binary messages, whose bytes belong to the caller, and bytes for the library, in their order. Small
            messages of one frame each that follow each other are returned as one message.
        """
        direct = self._direct
        if direct is not None:
            self._filled += nbytes
            return self._end_direct(direct) if self._filled == len(direct) else []
        if self.more:
            self._append(nbytes)
            return self.go_on()
        total = len(self._rest) + nbytes
        self._rest = b""
        if self._library_only:
            return [Foreign(self._shared[:total])]
        only = self._only(total)
        if only is not None:
            return [only]
        found = self._cut(self._shared, 0, total)
        return _joined(found) if len(found) > 1 and self._mask_bytes else found

    def go_on(self) -> list[Buffer | Foreign]:
        """Cut more of the bytes that came, and return parts as :meth:`receive` does."""
        found = self._cut(self._source, self._at, self._end)
        return _joined(found) if len(found) > 1 and self._mask_bytes else found

    def keep(self) -> int:
        """Copy the bytes that are not cut yet out of the shared buffer; return their number."""
        if self._source is self._shared:
            self._source = memoryview(bytes(self._shared[self._at : self._end]))
            self._at, self._end = 0, len(self._source)
        return self._end - self._at

    def begin(self, data: bytes) -> int:
        """Put bytes that have been read already into the buffer of the first read; return their number."""
        self._shared[: len(data)] = data
        return len(data)

    def end(self) -> None:
        """Let go of the memory: nothing is read any more."""
        self._shared = self._source = memoryview(b"")
        self._spare = SpareMemory()
        self._direct = self._place = self._placement = None

    def _append(self, nbytes: int) -> None:
        kept = self._source[self._at : self._end]
        self._source = memoryview(b"".join((kept, self._shared[:nbytes])))
        self._at, self._end = 0, len(self._source)

    def _only(self, total: int) -> bytes | None:
        """Return the message of which the one small frame is all that has been read; most reads are like that."""
        shared, mask_bytes = self._shared, self._mask_bytes
        payload_at = mask_bytes + _SHORT_HEADER
        size = shared[1] ^ self._masked
        if size == MEDIUM:
            payload_at, size = mask_bytes + _MEDIUM_HEADER, shared[2] << 8 | shared[3]
        elif size > MEDIUM:
            return None
        if total != payload_at + size or shared[0] != _FINAL_BINARY or size > self._max_bytes:
            return None
        if self._foreign_bytes or self._fragmented:
            return None
        self._peek = False
        if not mask_bytes:
            return bytes(shared[payload_at:total])
        return apply_mask(shared[payload_at:total], bytes(shared[payload_at - mask_bytes : payload_at]))

    def _cut(self, shared: memoryview, at: int, total: int) -> list[Buffer | Foreign]:
        """Cut ``shared`` from ``at`` to ``total``, as far as :data:`CUT_COST` allows."""
        found: list[Buffer | Foreign] = []
        self._peek = self.more = False
        self._source = self._shared
        left, mask_bytes, tries_alike = CUT_COST, self._mask_bytes, self._mask_bytes > 0
        begun = min(self._foreign_bytes, total - at)
        if begun:
            self._go_on_with_foreign(found, shared[at : at + begun])
            at += begun
        while total - at >= _LENGTH_AT:
            if left <= 0:
                self._stop(shared, at, total)
                return found
            first, second = shared[at], shared[at + 1]
            if second & MASKED != self._masked:
                return self._leave_rest(found, shared[at:total])
            size = second & ~MASKED
            header = mask_bytes + (_SHORT_HEADER if size < MEDIUM else _LONGER_HEADERS[size])
            if total - at < header:
                break
            if size == MEDIUM:
                (size,) = _MEDIUM_LENGTH.unpack_from(shared, at + _LENGTH_AT)
            elif size == LONG:
                (size,) = _LONG_LENGTH.unpack_from(shared, at + _LENGTH_AT)
            if size > self._max_bytes:
                return self._leave_rest(found, shared[at:total])
            end = at + header + size
            if first != _FINAL_BINARY or self._fragmented:
                left -= self._hand_over(found, shared, at, at + header, end, total)
                at = min(end, total)
                continue
            left -= 1
            stride = end - at
            probe = at + (1 if size >= PACKED_BYTES else ALIKE_FRAMES - 1) * stride
            if probe + stride <= total and shared[probe] == first and shared[probe + 1] == second and tries_alike:
                known = min((total - at) // stride, MOST_FRAMES)
                alike = join_alike(shared, at, known, header, size)
                if alike:
                    found.append(alike)
                    left -= JOIN_COST + known // JOIN_COST  # all that were looked at
                    at += len(alike) // size * stride
                    continue
                tries_alike = False
            payload_at = at + header
            mask = bytes(shared[payload_at - mask_bytes : payload_at])
            if end <= total:
                found.append(apply_mask(shared[payload_at:end], mask) if mask else bytes(shared[payload_at:end]))
                at = end
                continue
            if size < DIRECT_BYTES:
                break
            if found and self._place is not None:  # its place may depend on the messages before it
                self._stop(shared, at, total)
            else:
                self._begin_direct(size, shared[payload_at:total], mask)
            return found
        self._rest = bytes(shared[at:total])
        return found

    def _go_on_with_foreign(self, found: list[Buffer | Foreign], data: memoryview) -> None:
        """Leave the next bytes of the library's current frame to it."""
        if not data:
            return
        self._foreign_bytes -= len(data)
        if self._long is not None:
            last = not self._foreign_bytes
            found.append(Foreign(self._long.header(len(data), last=last)))
            if last:
                self._long = None
        found.append(Foreign(data))

    def _stop(self, source: memoryview, at: int, total: int) -> None:
        """Leave bytes for :meth:`go_on`."""
        self._source, self._at, self._end = source, at, total
        self.more = True

    def _leave_rest(self, found: list[Buffer | Foreign], rest: memoryview) -> list[Buffer | Foreign]:
        """Leave a connection that breaks the rules to the library, which closes it."""
        self._library_only = True
        found.append(Foreign(rest))
        return found

    def _hand_over(
        self, found: list[Buffer | Foreign], shared: memoryview, at: int, payload_at: int, end: int, total: int
    ) -> int:
        """Leave the frame from ``at`` to ``end``, as far as it has come, to the library; return its cost.

        Frames that complete nothing go there together.
        """
        first = shared[at]
        self._note_fragments(first)
        if end - payload_at >= LONG_BYTES and first & ~FINAL <= _LAST_DATA_OPCODE:
            self._long = LongFrame(first, bytes(shared[payload_at - self._mask_bytes : payload_at]))
            self._foreign_bytes = end - payload_at
            self._go_on_with_foreign(found, shared[payload_at : min(end, total)])
            return TEXT_COST
        self._foreign_bytes = max(0, end - total)
        end = min(end, total)
        if first & FINAL and first & OPCODE not in (_PING, _PONG):
            found.append(Foreign(shared[at:end]))
            return TEXT_COST + (end - at) // TEXT_BYTES
        last = found[-1] if found else None
        if isinstance(last, Foreign) and last.quiet_end == at:
            found[-1] = Foreign(shared[at - len(last.data) : end], end)
        else:
            found.append(Foreign(shared[at:end], end))
        return QUIET_COST

    def _note_fragments(self, first: int) -> None:
        opcode = first & OPCODE
        if opcode <= _LAST_DATA_OPCODE:
            final = bool(first & FINAL)
            self._fragmented = not final if opcode != CONTINUATION else self._fragmented and not final

    def _begin_direct(self, size: int, beginning: memoryview, mask: bytes) -> None:
        place, placed = self._place, None
        if place is not None and not mask:
            placed = self._placement = place(beginning, size)
        direct = self._spare.take(size) if placed is None else placed.memory
        # Without the header, which the placement knows.
        begun = beginning[size - len(direct) :]
        direct[: len(begun)] = begun
        self._direct = direct
        self._filled = len(begun)
        self._mask = mask

    def _end_direct(self, direct: memoryview) -> list[Buffer | Foreign]:
        """Return a message whose buffer is full, unless its receiver has it already."""
        self._direct = None
        self._peek = True
        placement, self._placement = self._placement, None
        if placement is not None:
            placement.filled()
            return []
        if self._mask:
            mask_into(direct, direct, self._mask)
        return [direct]


def _joined(parts: list[Buffer | Foreign]) -> list[Buffer | Foreign]:
    """Return the same parts, with small binary messages of one frame that follow each other joined.

    Frames delimit themselves (spec section 2), so joining changes nothing unless a frame lies about its length, and a
    message with such a frame stays apart. With joining, a publisher that sends each message in a WebSocket message of
    its own costs little more than one that packs them (160 k/s without it, 270 k/s with it).
    """
    joined: list[Buffer | Foreign] = []
    small: list[Buffer] = []
    for part in parts:
        if not isinstance(part, Foreign) and ALIGNMENT <= len(part) <= JOINED_MESSAGE_BYTES:
            frame_bytes: int = FRAME_START.unpack_from(part)[0]
            # Repeats padded() without the call: 0.04 us a message instead of 0.08 (CPython 3.11, 2026-11).
            if frame_bytes >= FRAME_START.size and (frame_bytes + 7) & -8 == len(part):
                small.append(part)
                continue
        if small:
            joined.append(b"".join(small))
            small = []
        joined.append(part)
    if small:
        joined.append(b"".join(small))
    return joined
