"""Run: consecutive small messages of one stream, in the bytes in which they are delivered.

The router patches a publisher's frames in place and passes them on as one object, so that the cost of routing, queueing
and writing is per run, not per message.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from operator import is_
from typing import NamedTuple, Protocol, cast

from gateway.protocol.extensions import Identity
from gateway.protocol.frames import bytes_of
from gateway.protocol.messages import Kind
from gateway.protocol.signals import Cancel
from gateway.protocol.wire import BATCH_BLOCK, DATA_HEADER, FRAME_START, Buffer, Opcode

PIN_FACTOR = 4
"""A slice is copied before it is kept if the buffer that it keeps alive is more than this many times larger."""


class Source(Protocol):
    """Stream or inbox that a message belongs to."""

    @property
    def kind(self) -> Kind:
        """The delivery contract."""

    @property
    def id(self) -> int:
        """The number in the ``stream`` field of delivered frames."""

    @property
    def name(self) -> str:
        """The name, for people and for the JSON subprotocol."""

    @property
    def preferred(self) -> bool:
        """Whether a receiver that lags gets its small messages before those of other sources."""


class Origin(NamedTuple):
    """Producer and sequences of published messages, which tell when they are published again (spec section 7.1)."""

    first: int
    """Offset of the first message."""
    count: int  # type: ignore[assignment]  # hides tuple.count, which nobody calls
    producer: int
    sequence: int
    """Sequence of the first message."""


class Run:
    """Messages ``first .. first + count - 1`` of a source, in frames.

    Attributes:
        source: the stream or inbox.
        first: offset of the first message.
        count: number of messages (records of a batch counted one by one).
        buffers: frames with their padding, in order. Immutable, and shared by all receivers.
        size: sum of the lengths of ``buffers``, a multiple of 8.
        last_at: index in ``buffers[0]`` at which the last frame starts; 0 if there is only one frame.
        last_count: number of messages in the last frame.
        identity: of the first message, by which receivers recognize it whatever its offset; the others have the next
            sequences.
        is_text: whether the buffers are framed text for receivers of the JSON subprotocol instead of frames.
        is_delta: whether it is a delta to the message before (spec section 10).
        keyframe: of a delta, the same message for receivers that do not hold its base.
    """

    __slots__ = (
        "_newest",
        "_pins",
        "_unpinned",
        "buffers",
        "count",
        "first",
        "identity",
        "is_delta",
        "is_text",
        "keyframe",
        "last_at",
        "last_count",
        "size",
        "source",
    )

    def __init__(
        self,
        source: Source,
        first: int,
        count: int,
        buffers: tuple[Buffer, ...],
        size: int,
        last_at: int,
        last_count: int,
    ) -> None:
        self.source = source
        self.first = first
        self.count = count
        self.buffers = buffers
        self.size = size
        self.last_at = last_at
        self.last_count = last_count
        self.is_text = False
        self.is_delta = False
        self.keyframe: Run | None = None
        self.identity: Identity | None = None
        self._newest: Run | None = None
        self._unpinned: Run | None = None
        self._pins = True
        """The run may keep much larger buffers alive; False once they were looked at."""

    @staticmethod
    def of_frame(source: Source, offset: int, buffers: Sequence[Buffer], count: int = 1) -> Run:
        """Return a run of one frame.

        Args:
            source: the stream or inbox.
            offset: of the message, or of the first record.
            buffers: the frame with its padding.
            count: records of a batch.
        """
        return Run(source, offset, count, tuple(buffers), bytes_of(buffers), 0, count)

    @staticmethod
    def of_frames(source: Source, first: int, frames: Sequence[tuple[bytes, int]]) -> Run:
        """Return frames as one run in one buffer.

        Args:
            source: the stream or inbox.
            first: offset of the first message.
            frames: each frame with its padding, and its number of messages.
        """
        last, last_count = frames[-1]
        joined = b"".join([frame for frame, _ in frames]) if len(frames) > 1 else last
        count = sum([count for _, count in frames])
        return Run(source, first, count, (joined,), len(joined), len(joined) - len(last), last_count)

    @property
    def last(self) -> int:
        """Offset of the last message."""
        return self.first + self.count - 1

    def joined(self) -> memoryview:
        """Return the frames in one buffer; they are copied if they are in several."""
        return memoryview(self.buffers[0] if len(self.buffers) == 1 else b"".join(self.buffers))

    def newest(self) -> Run:
        """Return the last frame as a run of its own; copied where it would keep much larger buffers alive."""
        if self._newest is not None:
            return self._newest
        if not self._pins and not self.last_at:
            return self
        whole = self.buffers
        cut = (memoryview(whole[0])[self.last_at :], *whole[1:]) if self.last_at else whole
        kept = tuple([_unpin(buffer) for buffer in cut])
        if not self.last_at and all(map(is_, kept, whole)):
            self._pins = False
            return self
        first = self.first + self.count - self.last_count
        self._newest = Run(self.source, first, self.last_count, kept, self.size - self.last_at, 0, self.last_count)
        return self._newest

    def alone(self) -> Run:
        """Return a delta without its keyframe, which it would keep alive while it waits in a queue."""
        delta = Run(self.source, self.first, self.count, self.buffers, self.size, self.last_at, self.last_count)
        delta.is_delta = self.is_delta
        return delta

    def unpinned(self) -> Run:
        """Return the run to keep for a while: itself, or a copy where it would keep much larger buffers alive."""
        if not self._pins:
            return self
        if self._unpinned is not None:
            return self._unpinned
        kept = tuple([_unpin(buffer) for buffer in self.buffers])
        if all(map(is_, kept, self.buffers)):
            self._pins = False
            return self
        self._unpinned = Run(self.source, self.first, self.count, kept, self.size, self.last_at, self.last_count)
        return self._unpinned

    def frames(self) -> Iterator[Run]:
        """Yield each frame as a run of its own; of several frames copies, as one alone must not keep all alive."""
        if not self.last_at:
            single = self.unpinned()
            single.identity = self.identity
            yield single
            return
        data = memoryview(self.buffers[0])
        offset, at = self.first, 0
        # As _places does: a second generator costs 10 % of this, which messages that are acknowledged take one by one.
        while at < self.size:
            frame_bytes, opcode, _, _ = FRAME_START.unpack_from(data, at)
            count = BATCH_BLOCK.unpack_from(data, at + DATA_HEADER.size)[0] if opcode == Opcode.BATCH else 1
            end = (at + frame_bytes + 7) & -8
            single = Run(self.source, offset, count, (bytes(data[at:end]),), end - at, 0, count)
            if self.identity is not None:
                producer, sequence = self.identity
                single.identity = Identity(producer, sequence + offset - self.first)
            yield single
            offset, at = offset + count, end

    def part(self, first: int, last: int) -> Run:
        """Return the frames that hold the offsets ``first .. last``, as a new run over the same bytes.

        A record batch that straddles a border is not cut.

        Args:
            first: at most the last offset of this run.
            last: at least ``first`` and the first offset of this run.
        """
        if not self.last_at or (first <= self.first and last >= self.last):
            return Run(self.source, self.first, self.count, self.buffers, self.size, self.last_at, self.last_count)
        offset = self.first
        start, start_offset = -1, 0
        for at, end, count in self._places():  # noqa: B007 - its end is needed behind the loop
            offset += count
            if start < 0 and offset > first:
                start, start_offset = at, offset - count
            if offset > last:
                break
        cut = (memoryview(self.buffers[0])[start:end],)
        return Run(self.source, start_offset, offset - start_offset, cut, end - start, at - start, count)

    def starts(self) -> Iterator[int]:
        """Yield the index in ``buffers[0]`` at which each frame of a run of several starts."""
        for at, _, _ in self._places():
            yield at

    def _places(self) -> Iterator[tuple[int, int, int]]:
        """Yield for each frame in the one buffer its start, its end with padding, and its number of messages."""
        data = self.buffers[0]
        at = 0
        while at < self.size:
            frame_bytes, opcode, _, _ = FRAME_START.unpack_from(data, at)
            count = BATCH_BLOCK.unpack_from(data, at + DATA_HEADER.size)[0] if opcode == Opcode.BATCH else 1
            end = (at + frame_bytes + 7) & -8
            yield at, end, count
            at = end


class TextRun(Run):
    """Messages as framed text.

    Args:
        source: the stream or inbox.
        first: offset of the first message.
        count: number of messages.
        pieces: the text in order, with the headers of its WebSocket messages.
        newest: the text of the last frame, if there are several.
        messages: messages that were written as text, not those that a gap stands for.
        payload_bytes: bytes of their payloads, decoded.

    Attributes:
        messages, payload_bytes: the same.
    """

    __slots__ = ("messages", "payload_bytes")

    def __init__(
        self,
        source: Source,
        first: int,
        count: int,
        pieces: Sequence[bytes],
        newest: TextRun | None = None,
        *,
        messages: int = 0,
        payload_bytes: int = 0,
    ) -> None:
        super().__init__(source, first, count, tuple(pieces), bytes_of(pieces), 0, count)
        self.is_text = True
        self._pins = False
        self._newest = newest
        self.messages = messages
        self.payload_bytes = payload_bytes


class RequestText(TextRun):
    """Framed text of one request, which may be withdrawn while it waits for its replier.

    Args:
        source: the mailbox of the request.
        first: offset of the run that was written as text.
        pieces: the text in order, with the header of its WebSocket message.
        cancel: names the asker and the correlation, which cannot be told from the text.

    Attributes:
        cancel: the same.
    """

    __slots__ = ("cancel",)

    def __init__(self, source: Source, first: int, pieces: Sequence[bytes], cancel: Cancel) -> None:
        super().__init__(source, first, 1, pieces)
        self.cancel = cancel


def _unpin(buffer: Buffer) -> Buffer:
    """Return the buffer; a copy if it is a slice that would keep a much larger buffer alive."""
    if not isinstance(buffer, memoryview):
        return buffer
    whole = buffer.obj
    whole_bytes = len(whole) if isinstance(whole, bytes | bytearray) else memoryview(cast(bytes, whole)).nbytes
    return buffer if buffer.nbytes * PIN_FACTOR >= whole_bytes else bytes(buffer)
