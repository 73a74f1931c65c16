"""Submission: a message from text as the binary frames that a client of ``frys.v1`` would send."""

from __future__ import annotations

from collections.abc import Sequence

from gateway.connections.dispatcher import Dispatcher
from gateway.connections.sessions.session import Session
from gateway.protocol.data import write_data
from gateway.protocol.extensions import Extensions
from gateway.protocol.frames import bytes_of
from gateway.protocol.signals import End
from gateway.protocol.transfers import ChunkPlan, split_payload, write_chunk
from gateway.protocol.wire import Buffer


def submit(
    dispatcher: Dispatcher,
    session: Session,
    opcode: int,
    *,
    stream: int,
    offset: int,
    timestamp_ns: int,
    flags: int,
    meta: bytes,
    payload: Sequence[Buffer],
    chunk_bytes: int,
    extensions: Extensions | None = None,
) -> None:
    """Hand a complete message to the dispatcher, in chunks if it is large.

    Args:
        dispatcher: takes the frames.
        session: of the client that sends the message.
        opcode: MESSAGE, REQUEST or REPLY.
        stream: the alias; of a reply the asker's peer.
        offset: the sequence; of a request or reply the correlation.
        timestamp_ns: Unix time.
        flags: of the data frame.
        meta: the meta block.
        payload: its buffers, which are copied.
        chunk_bytes: a larger payload is sent in chunks of this size.
        extensions: the extension block.
    """
    payload_bytes = bytes_of(payload)

    def send(*, plan: ChunkPlan | None, payload: Sequence[Buffer]) -> None:
        frame = write_data(
            opcode,
            stream=stream,
            offset=offset,
            timestamp_ns=timestamp_ns,
            flags=flags,
            meta=meta,
            plan=plan,
            payload=payload,
            extensions=extensions,
        )
        dispatcher.receive(session, b"".join(frame))

    if payload_bytes <= chunk_bytes:
        send(plan=None, payload=payload)
        return
    transfer = max(session.transfers, default=0) + 1
    send(plan=ChunkPlan(transfer, chunk_bytes, payload_bytes), payload=())
    for index, data in enumerate(split_payload(payload, chunk_bytes)):
        dispatcher.receive(session, b"".join(write_chunk(transfer, index, data)))
    dispatcher.receive(session, End(transfer, 0, timestamp_ns).write())
