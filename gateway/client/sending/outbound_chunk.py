"""Outbound chunk: a part of a large message, encoded in a thread ahead of sending if need be (spec section 6.2)."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, Sequence
from itertools import islice
from typing import Final, NamedTuple

from gateway.client.sending.content import Content
from gateway.client.workers import WORKERS
from gateway.protocol.encoding import Chain, Encoding, encode
from gateway.protocol.transfers import ChunkPlan, split_payload
from gateway.protocol.wire import Buffer

READ_AHEAD: Final = 2
"""Chunks that are encoded while the one before them is sent."""


class OutboundChunk(NamedTuple):
    """A part of a payload, as it is sent."""

    encoding: Encoding | None
    """None: the bytes are sent as they are."""
    data: list[Buffer]
    """The bytes to be sent."""
    content: list[Buffer]
    """The bytes of the payload that they stand for."""


def encoded_chunk(part: Sequence[Buffer], chain: Chain, itemsize: int) -> OutboundChunk:
    """Encode a part of a payload, or a small payload, from a copy: encoders read the same bytes several times."""
    copy = b"".join(part)
    encoded = encode(chain, copy, itemsize)
    if encoded is None:
        return OutboundChunk(None, [copy], [copy])
    return OutboundChunk(encoded[0], [encoded[1]], [copy])


async def chunks_of(content: Content, plan: ChunkPlan, chain: Chain, first: int) -> AsyncGenerator[OutboundChunk, None]:
    """Yield the chunks from ``first`` on, encoded. Threads encode :data:`READ_AHEAD` chunks ahead of sending."""
    parts = islice(split_payload(content.buffers, plan.chunk_bytes), first, None)
    if not chain.names:
        for part in parts:
            yield OutboundChunk(None, part, part)
        return
    ahead: deque[asyncio.Future[OutboundChunk]] = deque()
    for part in parts:
        ahead.append(WORKERS.run(encoded_chunk, part, chain, content.itemsize))
        if len(ahead) > READ_AHEAD:
            yield await ahead.popleft()
    while ahead:
        yield await ahead.popleft()
