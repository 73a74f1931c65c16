"""Cursor: position in a large message on its way to a receiver that lags."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from gateway.streams.large import LargeMessage, StoredChunk


class ChunkReceiver(Protocol):
    """Connection as a cursor needs it."""

    @property
    def bulk_open(self) -> bool:
        """Whether the link takes another chunk (:mod:`gateway.connections.outbound.bulk_window`)."""

    def write_head(self, message: LargeMessage) -> None:
        """Send the data frame of a large message."""

    def write_chunk(self, message: LargeMessage, chunk: StoredChunk, index: int) -> None:
        """Send one chunk."""


@dataclass(slots=True, eq=False)
class Cursor:
    """Position in a large message on its way to this receiver."""

    message: LargeMessage
    form: list[StoredChunk]
    """The chunks in an encoding that the receiver can decode; grows while the message comes in."""
    sent: int
    """Number of chunks that were sent."""
    started: bool
    """The receiver has got the head."""
    size: int = 0
    """Bytes by which the queue counts the message; the size of the payload by default."""

    def __post_init__(self) -> None:
        self.size = self.size or self.message.plan.payload_bytes

    @property
    def caught_up(self) -> bool:
        """Whether every chunk that has come was sent."""
        return self.started and self.sent == len(self.form)

    @property
    def lacks_only_end(self) -> bool:
        """Whether END is next: the message has its offset, and the receiver has got the head and every chunk."""
        return self.started and self.message.offset is not None and self.sent == self.message.plan.chunk_count

    def advance(self, receiver: ChunkReceiver) -> bool:
        """Send the head or the next chunk. Return False if there is none yet, or the link takes none."""
        if not receiver.bulk_open:
            return False
        if not self.started:
            self.started = True
            receiver.write_head(self.message.as_resumed() if self.sent else self.message)
            return True
        if self.sent == len(self.form):
            return False
        index = self.sent
        self.sent += 1
        receiver.write_chunk(self.message, self.form[index], index)
        return True
