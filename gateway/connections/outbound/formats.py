"""How what is delivered becomes bytes for one kind of connection.

A format is shared by all connections of its kind, so that what it makes of a message is made once and shared.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

from gateway.errors import Code, RequestRefused
from gateway.protocol.data import write_data
from gateway.protocol.messages import SessionMessage
from gateway.protocol.session_body import write_session
from gateway.protocol.signals import End, Gap, Signal
from gateway.protocol.transfers import write_chunk
from gateway.protocol.wire import Buffer
from gateway.streams.large import LargeMessage, StoredChunk
from gateway.streams.run import Run

Sendable = SessionMessage | Signal

JOIN_BYTES = 256 * 1024
"""Small runs are joined into one buffer and WebSocket message of this size at most."""

ALONE_BYTES = 64 * 1024
"""Larger runs go out alone, and their buffers are not copied: handing several to each member is cheaper by then."""


class Format(Protocol):
    """Turns messages into the framed bytes that a transport writes."""

    @property
    def name(self) -> str:
        """The subprotocol, or ``local``."""

    @property
    def takes_chunks(self) -> bool:
        """Whether large messages go out chunk by chunk; otherwise :meth:`whole` is used."""

    @property
    def answers_pings(self) -> bool:
        """Whether PINGs measure how fast bulk is read."""

    @property
    def acknowledges(self) -> bool:
        """Whether receivers say what they have processed (DONE); for others that is what was written to them."""

    def signal(self, message: Sendable) -> bytes:
        """One session message or signal."""

    def runs(self, runs: Sequence[Run]) -> list[Buffer]:
        """Runs, in one WebSocket message where the format has such."""

    def head(self, message: LargeMessage) -> bytes:
        """The data frame of a large message."""

    def chunk(self, message: LargeMessage, chunk: StoredChunk, index: int) -> list[Buffer]:
        """One of its chunks; the data is not copied."""

    def end(self, message: LargeMessage) -> bytes:
        """Its END."""

    def whole(self, message: LargeMessage) -> bytes:
        """A large message in one piece. Slow: called in a worker thread.

        Raises:
            RequestRefused: a REQUEST cannot be written; see :meth:`refuse_request`.
        """

    def refuse_request(self, asker_peer: int, correlation: int, refusal: RequestRefused) -> None:
        """Tell an asker that its request cannot be written for the one who should reply."""


class BinaryFormat:
    """``frys.v1``: frames of spec section 2 behind a message header.

    Args:
        name: of the format.
        message_header: gives the header of a WebSocket message of so many bytes; empty in memory.
        answers_pings: see :class:`Format`.
    """

    takes_chunks = True
    acknowledges = True

    def __init__(self, name: str, message_header: Callable[[int], bytes], *, answers_pings: bool = True) -> None:
        self.name = name
        self.answers_pings = answers_pings
        self._header = message_header

    def signal(self, message: Sendable) -> bytes:
        """See :class:`Format`."""
        frame = message.write() if isinstance(message, Signal) else write_session(message)
        return self._header(len(frame)) + frame

    def runs(self, runs: Sequence[Run]) -> list[Buffer]:
        """See :class:`Format`."""
        if len(runs) == 1:
            run = runs[0]
            return [self._header(run.size), *run.buffers]
        buffers: list[Buffer] = [self._header(sum([run.size for run in runs]))]
        for run in runs:
            buffers += run.buffers
        return buffers

    def head(self, message: LargeMessage) -> bytes:
        """See :class:`Format`."""
        frame = b"".join(
            write_data(
                message.opcode,
                stream=message.source.id,
                publisher=message.publisher,
                # Deltas count their distance from here; otherwise it says nothing until END (spec sections 6.1 and 10).
                offset=(message.offset or 0) if message.base_offset is None else message.base_offset + 1,
                timestamp_ns=message.timestamp_ns,
                flags=message.flags,
                meta=message.meta,
                plan=message.plan,
                extensions=message.extensions,
            )
        )
        return self._header(len(frame)) + frame

    def chunk(self, message: LargeMessage, chunk: StoredChunk, index: int) -> list[Buffer]:
        """See :class:`Format`."""
        frame, *payload = write_chunk(message.plan.transfer, index, (chunk.data,), chunk.encoding)
        size = len(frame) + sum([len(buffer) for buffer in payload])
        return [self._header(size) + frame, *payload]

    def end(self, message: LargeMessage) -> bytes:
        """See :class:`Format`."""
        return self.signal(End(message.plan.transfer, message.offset or 0, message.end_timestamp_ns, message.checksum))

    def whole(self, message: LargeMessage) -> bytes:
        """Not used: the format takes chunks."""
        raise AssertionError("a binary format takes large messages chunk by chunk")

    def refuse_request(self, asker_peer: int, correlation: int, refusal: RequestRefused) -> None:
        """Not used: what was taken can be written."""
        raise AssertionError(f"request {correlation} cannot be written: {refusal}")


def in_one_piece(form: Format, message: Run | LargeMessage) -> Run | Gap:
    """A message as a format that takes no chunks writes it. Slow where it is large: work for a thread.

    Raises:
        RequestRefused: see :meth:`Format.whole`.
    """
    if isinstance(message, Run):
        form.runs((message,))  # which keeps the text
        return message
    offset = message.offset or 0
    text = form.whole(message)
    if not text:
        return Gap(message.source.id, Code.MESSAGE_TOO_BIG, offset, offset)
    run = Run(message.source, offset, 1, (text,), len(text), 0, 1)
    run.text = text
    return run


def framed(form: Format, runs: Sequence[Run]) -> list[Buffer]:
    """Runs as a transport writes them, small ones joined."""
    buffers: list[Buffer] = []
    group: list[Run] = []
    size = 0
    for run in runs:
        if run.size > ALONE_BYTES:
            if group:
                buffers.append(b"".join(form.runs(group)))
                group, size = [], 0
            buffers += form.runs((run,))
            continue
        if size + run.size > JOIN_BYTES:
            buffers.append(b"".join(form.runs(group)))
            group, size = [], 0
        group.append(run)
        size += run.size
    if group:
        buffers.append(b"".join(form.runs(group)))
    return buffers
