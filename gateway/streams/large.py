"""Large message: a chunked message on its way through the gateway (spec section 6)."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from itertools import count
from typing import NamedTuple

import numpy as np

from gateway.protocol.data import DataFrame
from gateway.protocol.encoding import Chain, Encoding, decode_into
from gateway.protocol.extensions import Extensions
from gateway.protocol.transfers import ChunkPlan
from gateway.protocol.wire import Buffer
from gateway.streams.run import Source

_TRANSFERS = 2**32


class StoredChunk(NamedTuple):
    """Chunk as it is delivered: its encoding (``None``: plain) and its bytes."""

    encoding: Encoding | None
    data: Buffer


class TransferNumbers:
    """Numbers of the gateway for large messages (spec section 6.1). May be used from any thread.

    Args:
        first: drawn at random, so that a client that reconnects to a restarted gateway does not take another message
            for the one that it has a part of.
    """

    def __init__(self, first: int = 1) -> None:
        self._numbers = count(first)

    def next(self) -> int:
        """Return the next number; numbers wrap around after 2**32."""
        return next(self._numbers) % _TRANSFERS


@dataclass(slots=True, eq=False)
class LargeMessage:
    """Chunked message: its head, the chunks that have arrived, and its offset once it is complete.

    Chunks are passed on as they come (cut-through) and kept until every receiver has them; of a ``state`` stream the
    newest complete message is kept for late joiners.
    """

    source: Source
    """The stream or inbox."""
    opcode: int
    """MESSAGE, REQUEST or REPLY."""
    publisher: int
    """The sender's peer id."""
    timestamp_ns: int
    """The publisher's."""
    flags: int
    """Flags of the data frame."""
    meta: bytes
    """The meta block as received."""
    plan: ChunkPlan
    """Transfer number of the gateway, chunk and payload size."""
    offset: int | None = None
    """``None`` until the message is committed; of a request or reply the correlation, from the start."""
    end_timestamp_ns: int = 0
    """The publisher's, from END."""
    checksum: int | None = None
    """CRC-32 of the decoded payload, from END; ``None``: its sender has computed none."""
    chunks: list[StoredChunk] = field(default_factory=list)
    """Chunks as received, in the order of their indexes."""
    variants: dict[Chain, list[StoredChunk]] = field(default_factory=dict)
    """The same chunks encoded by another chain, for receivers that get them so."""
    extensions: Extensions | None = None
    """Metadata that goes out beside tensors and headers."""
    base_offset: int | None = None
    """Offset of the version that some variants are deltas to; ``None`` if there are none."""
    deadline_ns: int | None = None
    """Unix time in ns after which the message is not delivered any more; ``None``: it has no deadline."""

    @property
    def complete(self) -> bool:
        """True if every chunk has been received."""
        return len(self.chunks) == self.plan.chunk_count

    @property
    def received_bytes(self) -> int:
        """Bytes of the chunks that are held, as received."""
        return sum(len(chunk.data) for chunk in self.chunks)

    def frame(self, payload: Buffer = b"") -> DataFrame:
        """Return the message as one frame that has no chunk plan, with ``payload``, which is decoded."""
        return DataFrame(
            self.opcode,
            self.flags,
            self.source.id,
            self.publisher,
            self.offset or 0,
            self.timestamp_ns,
            meta=memoryview(self.meta),
            payload=memoryview(payload),
            extensions=self.extensions,
        )

    def copy_payload(self, out: memoryview) -> None:
        """Write the decoded payload to ``out``, which is flat, writable and of its size.

        Raises:
            RequestRefused: ``CORRUPT_PAYLOAD``.
        """
        at = 0
        # Unlike a memoryview, numpy copies without the interpreter's lock.
        whole = np.frombuffer(out, np.uint8)
        for encoding, data in self.chunks:
            end = at + (len(data) if encoding is None else encoding.decoded_bytes)
            if encoding is None:
                whole[at:end] = np.frombuffer(data, np.uint8)
            else:
                decode_into(encoding, data, out[at:end])
            at = end

    def as_resumed(self) -> LargeMessage:
        """Return its head for a receiver that has the beginning from an earlier connection (spec section 6.7)."""
        extensions = replace(self.extensions or Extensions(), resuming=True)
        return replace(self, chunks=[], variants={}, extensions=extensions)

    def as_delta(self) -> LargeMessage:
        """Return the message without its chunks as received, which receivers of its deltas would keep alive."""
        return replace(self, chunks=[], variants={})

    def form(self, chain: Chain | None) -> list[StoredChunk]:
        """Return the chunks as ``chain`` encodes them; ``None``: as received. The list grows while chunks arrive."""
        return self.chunks if chain is None else self.variants.setdefault(chain, [])
