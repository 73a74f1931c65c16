"""Acknowledgement unit: a message, record batch or large message, which is acknowledged as one (spec section 7.4)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from gateway.connections.fanout.recode import frame_of
from gateway.connections.sessions.notices import Author
from gateway.protocol.extensions import Extensions
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
"""Cost of a unit beside its bytes: its objects here and in each consumer."""


@dataclass(slots=True, eq=False)
class AckUnit:
    """One unit of a stream, shared by all its consumers."""

    content: Run | LargeMessage
    """Bytes as published: a run of one frame, or a complete large message."""
    first: int
    """Offset of the message; of a batch that of its first record."""
    last: int
    """Offset of the message; of a batch that of its last record."""
    nbytes: int
    """Size of the decoded payload, which a delivery takes from credits."""
    size: int
    """Cost in memory."""
    publisher: int
    """Peer number of the sender."""
    deadline_ns: int | None
    """Unix time in ns after which the unit is not delivered any more; ``None``: never."""
    holders: int = 0
    """Number of consumers that have not done with the unit."""
    author: Author | None = None
    """The publisher, to be told what became of the unit; set when the unit is kept."""

    @property
    def count(self) -> int:
        """Number of messages; more than 1 for a record batch."""
        return self.last - self.first + 1


def units_of(content: Run | LargeMessage) -> list[AckUnit]:
    """Return the units of a run, one for each frame; a complete large message, which has its offset, is one unit."""
    if isinstance(content, Run):
        return [_unit_of(single) for single in content.frames()]
    offset = content.offset
    assert offset is not None
    size = OVERHEAD_BYTES + held_bytes_of(content)
    nbytes = content.plan.payload_bytes
    return [AckUnit(content, offset, offset, nbytes, size, content.publisher, content.deadline_ns)]


def _unit_of(run: Run) -> AckUnit:
    identity = run.identity
    frame_bytes, opcode, flags, meta_units, _, publisher, _, _ = DATA_HEADER.unpack_from(run.buffers[0])
    if not flags & (FLAG_EXTENDED | FLAG_ENCODED) and identity is None:
        block_bytes = BATCH_BLOCK.size if opcode == Opcode.BATCH else 0
        nbytes = frame_bytes - DATA_HEADER.size - block_bytes - meta_units * ALIGNMENT
        return AckUnit(run, run.first, run.last, nbytes, OVERHEAD_BYTES + run.size, publisher, None)
    frame = frame_of(run)
    nbytes = len(frame.payload) if frame.encoding is None else frame.encoding.decoded_bytes
    deadline_ns = None if frame.extensions is None else frame.extensions.deadline_ns
    if identity is not None or frame.extensions is not None:
        # Receivers get only the publisher's identity, by which they recognize a message that was published twice.
        told = None if identity is None else Extensions(identity=identity)
        buffers = frame._replace(extensions=told).write()
        run = Run.of_frame(run.source, run.first, buffers, run.count)
    return AckUnit(run, run.first, run.last, nbytes, OVERHEAD_BYTES + run.size, publisher, deadline_ns)
