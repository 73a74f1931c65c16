"""What consumers deliver and acknowledge as one: a message, a record batch or a large message (spec section 7.4)."""

from __future__ import annotations

from typing import Final

from gateway.connections.fanout.recode import frame_of
from gateway.connections.sessions.notices import Author
from gateway.protocol.extensions import Extensions
from gateway.protocol.frames import bytes_of
from gateway.protocol.wire import (
    ALIGNMENT,
    BATCH_BLOCK,
    DATA_HEADER,
    FLAG_ENCODED,
    FLAG_EXTENDED,
    Opcode,
)
from gateway.streams.large import LargeMessage
from gateway.streams.run import Run
from gateway.streams.span import held_bytes_of

OVERHEAD_BYTES: Final = 512
"""What a unit costs beside its bytes: its objects here and in every consumer."""


class AckUnit:
    """One unit of a stream, shared by all its consumers.

    Attributes:
        content: the bytes as they came; a run of one frame, or a large message that is whole.
        first: offset of the message, of a batch that of its first record.
        last: of a batch that of its last record.
        nbytes: size of the decoded payload, which it takes of a credit.
        size: what it costs in memory.
        publisher: the sender's peer.
        author: who that is; set by whoever keeps the unit.
        deadline_ns: not to be delivered after that, Unix time in ns; ``None``: whenever.
        timed: it has a deadline.
        holders: consumers that are not done with it.
    """

    __slots__ = ("author", "content", "deadline_ns", "first", "holders", "last", "nbytes", "publisher", "size", "timed")

    def __init__(
        self, content: Run | LargeMessage, first: int, count: int, nbytes: int, publisher: int, deadline_ns: int | None
    ) -> None:
        self.content = content
        self.first = first
        self.last = first + count - 1
        self.nbytes = nbytes
        self.size = OVERHEAD_BYTES + held_bytes_of(content)
        self.publisher = publisher
        self.deadline_ns = deadline_ns
        self.timed = deadline_ns is not None
        self.holders = 0
        self.author: Author | None = None

    @property
    def count(self) -> int:
        """How many messages it is."""
        return self.last - self.first + 1


def units_of(content: Run | LargeMessage) -> list[AckUnit]:
    """The units of a run, one for each frame; a large message that is whole, and has its offset, is one."""
    if isinstance(content, Run):
        return [_unit_of(single) for single in content.frames()]
    assert content.offset is not None
    nbytes = content.plan.payload_bytes
    return [AckUnit(content, content.offset, 1, nbytes, content.publisher, content.deadline_ns)]


def _unit_of(run: Run) -> AckUnit:
    identity = run.identity
    frame_bytes, opcode, flags, meta_units, _, publisher, _, _ = DATA_HEADER.unpack_from(run.buffers[0])
    if not flags & (FLAG_EXTENDED | FLAG_ENCODED) and identity is None:
        block_bytes = BATCH_BLOCK.size if opcode == Opcode.BATCH else 0
        nbytes = frame_bytes - DATA_HEADER.size - block_bytes - meta_units * ALIGNMENT
        return AckUnit(run, run.first, run.count, nbytes, publisher, None)
    frame = frame_of(run)
    nbytes = len(frame.payload) if frame.encoding is None else frame.encoding.decoded_bytes
    deadline_ns = None if frame.extensions is None else frame.extensions.deadline_ns
    if identity is not None or frame.extensions is not None:
        # What the publisher told the gateway is no business of the receivers; who it is lets them know it again.
        told = None if identity is None else Extensions(identity=identity)
        buffers = frame._replace(extensions=told).write()
        run = Run(run.source, run.first, run.count, tuple(buffers), bytes_of(buffers), 0, run.last_count)
    return AckUnit(run, run.first, run.count, nbytes, publisher, deadline_ns)
