"""One message on its way into the gateway from its own process, written as the frames that a client would send.

Knows the frames of spec sections 5 and 6 and nothing of who takes them.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from gateway.errors import Code, ConnectionClosed, RequestRefused
from gateway.ids import Epoch, Offset, StreamName
from gateway.protocol.data import write_data
from gateway.protocol.messages import Kind, StreamInfo
from gateway.protocol.signals import Abort, End
from gateway.protocol.transfers import ChunkPlan, write_chunk
from gateway.protocol.wire import FLAG_ACK, Buffer, Opcode


@dataclass(frozen=True, slots=True)
class PublishReceipt:
    """A message was published: where it stands now."""

    stream: StreamName
    kind: Kind
    epoch: Epoch
    offset: Offset


Outcome = PublishReceipt | RequestRefused | ConnectionClosed
"""What becomes of a message."""


class PublicationTarget(Protocol):
    """What a publication needs of its connection."""

    chunk_bytes: int
    """Larger payloads go in chunks of this size."""

    def send(self, frames: bytes) -> None:
        """Hand whole frames to the gateway, which may keep them."""

    def time_ns(self) -> int:
        """Unix time in ns."""

    def next_transfer(self) -> int:
        """A number for a large message."""


class OpenAlias:
    """A stream opened for publishing; one message at a time goes through it (spec section 6).

    Attributes:
        number: the alias.
        info: what the gateway said of the stream; ``None`` before.
        next_sequence: of the next message.
        refused: the stream was not opened: the alias is of no use.
        publication: the message that is under way.
    """

    __slots__ = ("info", "next_sequence", "number", "publication", "refused")

    def __init__(self, number: int) -> None:
        self.number = number
        self.next_sequence = 1
        self.info: StreamInfo | None = None
        self.refused = False
        self.publication: Publication | None = None


class Publication:
    """A message whose payload comes in pieces.

    A payload above ``chunk_bytes`` goes on chunk by chunk as it comes (spec section 6), a smaller one in one frame when
    it is whole. No more than one chunk is held here.

    Args:
        outlet: where the frames go.
        alias: where the message goes, open or being opened.
        meta: its meta block.
        payload_bytes: what the meta block says.
        done: called once with the outcome; never after :meth:`abort`.

    Attributes:
        received_bytes: how much of the payload has come.
        outcome: ``None`` while it is open. A refused message takes no more bytes: whoever has them may stop.
    """

    __slots__ = (
        "_alias",
        "_checksum",
        "_done",
        "_index",
        "_meta",
        "_outlet",
        "_pieces",
        "_room",
        "_transfer",
        "outcome",
        "payload_bytes",
        "received_bytes",
    )

    def __init__(
        self,
        outlet: PublicationTarget,
        alias: OpenAlias,
        meta: bytes,
        payload_bytes: int,
        done: Callable[[Outcome], object],
    ) -> None:
        self._outlet = outlet
        self._alias = alias
        self._meta = meta
        self._done = done
        self._pieces: list[Buffer] = []
        self._index = 0
        self._checksum = 0
        chunked = payload_bytes > outlet.chunk_bytes
        self._room = outlet.chunk_bytes if chunked else payload_bytes
        self._transfer = outlet.next_transfer() if chunked else 0
        self.payload_bytes = payload_bytes
        self.received_bytes = 0
        self.outcome: Outcome | None = None
        alias.publication = self

    def begin(self) -> None:
        """Send the head of a large message; called once, when OPEN has been sent."""
        if self._transfer and self.outcome is None:
            self._send_message(ChunkPlan(self._transfer, self._outlet.chunk_bytes, self.payload_bytes))

    def write(self, data: Buffer) -> None:
        """Take the next bytes of the payload, which must not change until :meth:`end`.

        Raises:
            RequestRefused: ``SIZE_MISMATCH``, more than dtype and shape say; the message is aborted.
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
        """The payload is whole: the outcome follows, as a rule before this returns.

        Raises:
            RequestRefused: ``SIZE_MISMATCH``, less than dtype and shape say; the message is aborted.
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
            self._outlet.send(End(self._transfer, 0, self._outlet.time_ns(), self._checksum).write())

    def abort(self, code: int = Code.TRANSFER_ABORTED) -> None:
        """The rest will not come: whoever has a part of it is told. Nobody is called back."""
        if self.outcome is None:
            self._release(RequestRefused(code, f"aborted after {self.received_bytes} of {self.payload_bytes} bytes"))
            if self._transfer:
                self._outlet.send(Abort(self._transfer, code).write())

    def settle(self, outcome: Outcome) -> None:
        """The gateway has answered."""
        if self.outcome is None:
            self._release(outcome)
            self._done(outcome)

    def _release(self, outcome: Outcome) -> None:
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
            timestamp_ns=self._outlet.time_ns(),
            flags=FLAG_ACK,
            meta=self._meta,
            plan=plan,
            payload=payload,
        )
        # The one copy: the gateway keeps what it is given, and the pieces belong to the caller.
        self._outlet.send(b"".join(frame))

    def _send_chunk(self) -> None:
        frame = b"".join(write_chunk(self._transfer, self._index, self._pieces))
        for piece in self._pieces:
            self._checksum = zlib.crc32(piece, self._checksum)
        self._index += 1
        self._pieces = []
        self._room = self._outlet.chunk_bytes
        self._outlet.send(frame)
