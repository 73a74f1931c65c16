"""Publication of one message from within the gateway's process, as the frames that a client would send.

It knows the frames of spec sections 5 and 6, and nothing of their receiver.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from gateway.errors import Code, ConnectionClosed, RequestRefused
from gateway.ids import Epoch, Offset, StreamName
from gateway.protocol.checksum import checksum_of
from gateway.protocol.data import write_data
from gateway.protocol.durability import Durability
from gateway.protocol.messages import Kind, StreamInfo
from gateway.protocol.signals import Abort, End
from gateway.protocol.transfers import FRAME_ROOM_BYTES, ChunkPlan, travels_whole, write_chunk
from gateway.protocol.wire import FLAG_ACK, Buffer, Opcode


@dataclass(frozen=True, slots=True)
class PublishReceipt:
    """Position of a message that was published."""

    stream: StreamName
    kind: Kind
    epoch: Epoch
    offset: Offset
    durability: Durability


PublishOutcome = PublishReceipt | RequestRefused | ConnectionClosed
"""Outcome of a publication."""


class PublicationTarget(Protocol):
    """Connection that a publication sends its frames by."""

    chunk_bytes: int
    """Size of a chunk."""
    max_frame_bytes: int
    """Size of the largest frame."""

    def send(self, frames: bytes) -> None:
        """Hand complete frames to the gateway, which may keep them."""

    def time_ns(self) -> int:
        """Return Unix time in ns."""

    def next_transfer(self) -> int:
        """Return a number for a large message."""


@dataclass(slots=True, eq=False)
class OpenAlias:
    """A stream opened for publishing; one message at a time goes through it (spec section 6)."""

    number: int
    """The alias."""
    next_sequence: int = 1
    """Sequence of the next message."""
    info: StreamInfo | None = None
    """The gateway's answer to OPEN; ``None`` before it has come."""
    refused: bool = False
    """Whether the gateway has refused to open the stream."""
    publication: Publication | None = None
    """The message that is under way."""


@dataclass(slots=True, eq=False)
class Publication:
    """A message whose payload comes in pieces.

    A large payload is sent chunk by chunk as it comes (spec section 6), a smaller one in one frame when it is complete.
    No more than that frame, or one chunk, is held here.
    """

    _target: PublicationTarget
    """Connection that the frames go to."""
    _alias: OpenAlias
    """The stream, open or being opened."""
    _meta: bytes
    """Meta block of the message."""
    payload_bytes: int
    """Size of the payload according to the meta block."""
    _done: Callable[[PublishOutcome], object]
    """Called once with the outcome; never after :meth:`abort`."""
    received_bytes: int = field(default=0, init=False)
    """Bytes of the payload that have come."""
    outcome: PublishOutcome | None = field(default=None, init=False)
    """``None`` while the message is open. A refused message takes no more bytes, so its source may stop."""
    _pieces: list[Buffer] = field(default_factory=list, init=False)
    _room: int = field(init=False)
    """Bytes that the chunk, or the only frame, still takes."""
    _transfer: int = field(default=0, init=False)
    """Number of a large message; 0: the message goes in one frame."""
    _index: int = field(default=0, init=False)
    _checksum: int = field(default=0, init=False)

    def __post_init__(self) -> None:
        self._room = self.payload_bytes
        target = self._target
        room = target.max_frame_bytes - len(self._meta) - FRAME_ROOM_BYTES
        if not travels_whole(self.payload_bytes, target.chunk_bytes, room):
            self._room = target.chunk_bytes
            self._transfer = target.next_transfer()
        self._alias.publication = self

    def begin(self) -> None:
        """Send the head of a large message; called once, when OPEN has been sent."""
        if self._transfer and self.outcome is None:
            self._send_message(ChunkPlan(self._transfer, self._target.chunk_bytes, self.payload_bytes))

    def write(self, data: Buffer) -> None:
        """Take the next bytes of the payload, which must not change until :meth:`end`.

        Raises:
            RequestRefused: ``SIZE_MISMATCH``, more bytes than dtype and shape say; the message is aborted.
        """
        view = memoryview(data).cast("B")
        if self.outcome is None and self.received_bytes + len(view) > self.payload_bytes:
            raise self._mismatch(self.received_bytes + len(view))
        while len(view) and self.outcome is None:
            piece = view[: self._room]
            view = view[len(piece) :]
            self._pieces.append(piece)
            self._room -= len(piece)
            self.received_bytes += len(piece)
            if self._transfer and not self._room:
                self._send_chunk()

    def end(self) -> None:
        """Complete the payload. The outcome follows, as a rule before this method returns.

        Raises:
            RequestRefused: ``SIZE_MISMATCH``, fewer bytes than dtype and shape say; the message is aborted.
        """
        if self.outcome is not None:
            return
        if self.received_bytes != self.payload_bytes:
            raise self._mismatch(self.received_bytes)
        if not self._transfer:
            self._send_message(payload=self._pieces)
            return
        if self._pieces:
            self._send_chunk()
        if self.outcome is None:
            self._target.send(End(self._transfer, 0, self._target.time_ns(), self._checksum).write())

    def abort(self, code: int = Code.TRANSFER_ABORTED) -> None:
        """Give the message up: receivers that have a part of it are told. ``done`` is not called."""
        if self.outcome is None:
            self._release(RequestRefused(code, f"aborted after {self.received_bytes} of {self.payload_bytes} bytes"))
            if self._transfer:
                self._target.send(Abort(self._transfer, code).write())

    def settle(self, outcome: PublishOutcome) -> None:
        """Record the gateway's answer and call ``done``."""
        if self.outcome is None:
            self._release(outcome)
            self._done(outcome)

    def _release(self, outcome: PublishOutcome) -> None:
        self.outcome = outcome
        self._pieces = []
        self._alias.publication = None

    def _mismatch(self, size: int) -> RequestRefused:
        self.abort(Code.SIZE_MISMATCH)
        return RequestRefused(Code.SIZE_MISMATCH, f"payload of {size} bytes, dtype and shape say {self.payload_bytes}")

    def _send_message(self, plan: ChunkPlan | None = None, payload: Sequence[Buffer] = ()) -> None:
        alias = self._alias
        sequence = alias.next_sequence
        alias.next_sequence += 1
        frame = write_data(
            Opcode.MESSAGE,
            stream=alias.number,
            offset=sequence,
            timestamp_ns=self._target.time_ns(),
            flags=FLAG_ACK,
            meta=self._meta,
            plan=plan,
            payload=payload,
        )
        # The one copy: the gateway keeps what it is given, and the pieces belong to the caller.
        self._target.send(b"".join(frame))

    def _send_chunk(self) -> None:
        frame = b"".join(write_chunk(self._transfer, self._index, self._pieces))
        self._checksum = checksum_of(self._pieces, self._checksum)
        self._index += 1
        self._pieces = []
        self._room = self._target.chunk_bytes
        self._target.send(frame)
