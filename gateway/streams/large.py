"""A large message on its way through the gateway, chunk by chunk (spec section 6)."""

from __future__ import annotations

from dataclasses import replace
from itertools import count
from typing import NamedTuple

from gateway.protocol.encoding import Chain, Encoding
from gateway.protocol.extensions import Extensions
from gateway.protocol.transfers import ChunkPlan
from gateway.protocol.wire import Buffer
from gateway.streams.run import Source

_TRANSFERS = 2**32


class StoredChunk(NamedTuple):
    """One chunk as it is delivered: its encoding (``None``: plain) and its bytes."""

    encoding: Encoding | None
    data: Buffer


class TransferNumbers:
    """The gateway's own numbers for large messages (spec section 6.1). May be used from any thread.

    Args:
        first: drawn at random, so that a client that comes back to a gateway which was restarted meanwhile does not
            take another message for the one that it knows.
    """

    def __init__(self, first: int = 1) -> None:
        self._numbers = count(first)

    def next(self) -> int:
        """A number that no other large message has had for a long time."""
        return next(self._numbers) % _TRANSFERS


class LargeMessage:
    """A chunked message: what its head said, the chunks that have arrived, and its offset once it is whole.

    Chunks are passed on as they come (cut-through) and kept until every receiver has them; of a ``state`` stream the
    newest whole message is kept for late joiners.

    Attributes:
        opcode: MESSAGE, REQUEST or REPLY.
        publisher: the sender's peer id.
        timestamp_ns: the publisher's.
        flags: of the data frame.
        meta: the meta block as received.
        plan: transfer number of the gateway, chunk and payload size.
        offset: the offset, ``None`` until END; of a request or reply the correlation, from the start.
        end_timestamp_ns: the publisher's, from END.
        checksum: CRC-32 of the decoded payload, from END; ``None``: its sender has computed none.
        chunks: as received, index by index.
        variants: the same chunks encoded by another chain, for receivers that get them so.
        extensions: what goes out beside tensors and headers.
        base_offset: of the version that some variants are deltas to; ``None`` if there are none.
        deadline_ns: not to be delivered after that, Unix time in ns; ``None``: whenever.
    """

    __slots__ = (
        "base_offset",
        "checksum",
        "chunks",
        "deadline_ns",
        "end_timestamp_ns",
        "extensions",
        "flags",
        "meta",
        "offset",
        "opcode",
        "plan",
        "publisher",
        "source",
        "timestamp_ns",
        "variants",
    )

    def __init__(
        self, source: Source, opcode: int, publisher: int, timestamp_ns: int, flags: int, meta: bytes, plan: ChunkPlan
    ) -> None:
        self.source = source
        self.opcode = opcode
        self.publisher = publisher
        self.timestamp_ns = timestamp_ns
        self.flags = flags
        self.meta = meta
        self.plan = plan
        self.offset: int | None = None
        self.end_timestamp_ns = 0
        self.checksum: int | None = None
        self.chunks: list[StoredChunk] = []
        self.variants: dict[Chain, list[StoredChunk]] = {}
        self.extensions: Extensions | None = None
        self.base_offset: int | None = None
        self.deadline_ns: int | None = None

    @property
    def whole(self) -> bool:
        """Whether every chunk has come."""
        return len(self.chunks) == self.plan.chunk_count

    @property
    def received_bytes(self) -> int:
        """Bytes of the chunks that are held, as received."""
        return sum(len(chunk.data) for chunk in self.chunks)

    def as_resumed(self) -> LargeMessage:
        """What its head says to a receiver that has the beginning from an earlier connection (spec section 6.7)."""
        head = LargeMessage(
            self.source, self.opcode, self.publisher, self.timestamp_ns, self.flags, self.meta, self.plan
        )
        head.offset = self.offset
        head.extensions = replace(self.extensions or Extensions(), resuming=True)
        return head

    def as_delta(self) -> LargeMessage:
        """What a receiver of its deltas needs of it: everything but the chunks as they came, which would stay alive."""
        delta = LargeMessage(
            self.source, self.opcode, self.publisher, self.timestamp_ns, self.flags, self.meta, self.plan
        )
        delta.offset = self.offset
        delta.base_offset = self.base_offset
        delta.end_timestamp_ns = self.end_timestamp_ns
        delta.checksum = self.checksum
        delta.extensions = self.extensions
        return delta

    def form(self, chain: Chain | None) -> list[StoredChunk]:
        """The chunks as ``chain`` encodes them; ``None``: as received. Grows while the message is under way."""
        return self.chunks if chain is None else self.variants.setdefault(chain, [])
