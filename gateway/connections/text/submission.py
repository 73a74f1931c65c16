"""Submission: a message from text as the binary frames that a client of ``frys.v1`` would send."""

from __future__ import annotations

from collections.abc import Iterator

from gateway.connections.dispatcher import Dispatcher
from gateway.connections.sessions.session import Session
from gateway.protocol.data import DataFrame
from gateway.protocol.limits import Limits
from gateway.protocol.signals import End
from gateway.protocol.transfers import FRAME_ROOM_BYTES, ChunkPlan, split_payload, travels_whole, write_chunk


def submit(dispatcher: Dispatcher, session: Session, message: DataFrame, limits: Limits) -> Iterator[None] | None:
    """Hand a complete message to the dispatcher, in chunks if it is large.

    Args:
        dispatcher: takes the frames.
        session: of the client that sends the message.
        message: a MESSAGE, REQUEST or REPLY as the client numbers it; its payload is copied.
        limits: size of a frame, and of the chunks.

    Returns:
        The steps of a large message, none of which is taken yet; ``None`` if the dispatcher has the message.
    """
    room = limits.max_frame_bytes - len(message.meta) - FRAME_ROOM_BYTES
    if not travels_whole(len(message.payload), limits.chunk_bytes, room):
        return _submit_chunks(dispatcher, session, message, limits.chunk_bytes)
    dispatcher.handle(session, b"".join(message.write()))
    return None


def _submit_chunks(dispatcher: Dispatcher, session: Session, message: DataFrame, chunk_bytes: int) -> Iterator[None]:
    payload = message.payload
    transfer = max(session.transfers, default=0) + 1
    head = message._replace(plan=ChunkPlan(transfer, chunk_bytes, len(payload)), payload=payload[:0])
    dispatcher.handle(session, b"".join(head.write()))
    for index, data in enumerate(split_payload((payload,), chunk_bytes)):
        yield
        dispatcher.handle(session, b"".join(write_chunk(transfer, index, data)))
    dispatcher.handle(session, End(transfer, 0, message.timestamp_ns).write())
