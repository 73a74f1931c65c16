"""Outbound chunk: a part of a large message, encoded in a thread ahead of sending if need be (spec section 6.2)."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Iterator, Sequence
from itertools import islice
from typing import Final, NamedTuple, Self

from gateway.client.sending.content import Content
from gateway.client.workers import WORKERS
from gateway.protocol.dtypes import DTypeLike
from gateway.protocol.encoding import Chain, Encoding, encode
from gateway.protocol.transfers import ChunkPlan, split_payload
from gateway.protocol.wire import Buffer

INLINE_ENCODE_BYTES: Final = 64 * 1024
"""Payloads above this are encoded in a thread, and wait for room to write."""
READ_AHEAD: Final = 2
"""Chunks that are encoded while the one before them is sent."""


class OutboundChunk(NamedTuple):
    """A part of a payload, as it is sent."""

    encoding: Encoding | None
    """None: the bytes are sent as they are."""
    data: list[Buffer]
    """The bytes to be sent."""
    content: list[Buffer] | None
    """The bytes of the payload that they stand for, which nobody changes; None: the same bytes, which may change."""


def encoded_chunk(part: Sequence[Buffer], chain: Chain, element: DTypeLike) -> OutboundChunk:
    """Encode a part of a payload, or a small payload, that nobody changes: encoders read it several times."""
    payload = part[0] if len(part) == 1 else b"".join(part)
    encoded = encode(chain, payload, element)
    if encoded is None:
        return OutboundChunk(None, [payload], [payload])
    return OutboundChunk(encoded[0], [encoded[1]], [payload])


async def whole_encoded(content: Content, chain: Chain, name: str) -> OutboundChunk:
    """Encode a payload that is sent to ``name`` in one frame, in a thread if that takes long."""
    copy = [content.copied(bytearray(content.payload_bytes), name)]
    if content.payload_bytes <= INLINE_ENCODE_BYTES:
        return encoded_chunk(copy, chain, content.element)
    return await WORKERS.run(encoded_chunk, copy, chain, content.element)


class OutboundChunks:
    """The chunks of a payload, encoded, to be iterated. Threads encode :data:`READ_AHEAD` chunks ahead of sending.

    No asynchronous generator: those are closed when the loop ends, and a client that is left open sends until then.

    Args:
        content: has the payload.
        plan: cuts it.
        chain: encodes each chunk.
        first: first chunk that is wanted.
        unchanging: whether nobody changes the payload.
    """

    def __init__(self, content: Content, plan: ChunkPlan, chain: Chain, first: int, *, unchanging: bool) -> None:
        self._parts: Iterator[list[Buffer]] = islice(split_payload(content.buffers, plan.chunk_bytes), first, None)
        if chain.names and not unchanging:
            # Threads would copy in any order: the payload is compared with what is read from its end.
            self._parts = map(_copied, self._parts)
        self._unchanging = unchanging
        self._chain = chain
        self._element = content.element
        self._ahead: deque[asyncio.Future[OutboundChunk]] = deque()

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> OutboundChunk:
        if not self._chain.names:
            for part in self._parts:
                return OutboundChunk(None, part, part if self._unchanging else None)
            raise StopAsyncIteration
        for part in islice(self._parts, READ_AHEAD + 1 - len(self._ahead)):
            self._ahead.append(WORKERS.run(encoded_chunk, part, self._chain, self._element))
        if not self._ahead:
            raise StopAsyncIteration
        return await self._ahead.popleft()


def _copied(part: Sequence[Buffer]) -> list[Buffer]:
    return [b"".join(part)]
