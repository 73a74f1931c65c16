"""Formats: encoders of messages into the bytes of one kind of connection, such as binary frames or JSON text.

Connections of the same kind share one format where possible, so that a message is encoded once for all of them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final, Literal, Protocol

from gateway.connections.ports import Steps
from gateway.connections.sliced_workers import taken_at_once
from gateway.protocol.data import write_data
from gateway.protocol.messages import SessionMessage
from gateway.protocol.session_body import write_session
from gateway.protocol.signals import End, Signal
from gateway.protocol.transfers import write_chunk
from gateway.protocol.wire import Buffer
from gateway.streams.large import LargeMessage, StoredChunk
from gateway.streams.run import Run

Sendable = SessionMessage | Signal

FLUSH_BYTES = 256 * 1024
"""Small runs of one turn are joined into one buffer and WebSocket message of this size at most."""

ALONE_BYTES = 64 * 1024
"""Larger runs go out alone, and their buffers are not copied: handing several to each member is cheaper by then."""


class MessageFormat(Protocol):
    """The part of a format that does not depend on how it writes large messages."""

    @property
    def name(self) -> str:
        """The subprotocol, or ``local``."""

    @property
    def answers_pings(self) -> bool:
        """Whether PINGs measure how fast bulk is read."""

    @property
    def acknowledges(self) -> bool:
        """Whether receivers say what they have processed (DONE); others have processed what was written to them."""

    def signal(self, message: Sendable) -> bytes:
        """Return one session message or signal; empty if such clients are not told of it."""

    def runs(self, runs: Sequence[Run], /) -> list[Buffer]:
        """Return runs, in one WebSocket message if the format joins messages."""

    def forget(self, stream: int) -> None:
        """Forget a stream, by the id of its messages, that the connection does not receive any more."""


class ChunkedFormat(MessageFormat, Protocol):
    """A format that writes large messages chunk by chunk, as they come."""

    @property
    def takes_chunks(self) -> Literal[True]:
        """Mark that tells the type from :class:`UnchunkedFormat`."""

    def head(self, message: LargeMessage) -> bytes:
        """Return the data frame of a large message."""

    def chunk(self, message: LargeMessage, chunk: StoredChunk, index: int) -> list[Buffer]:
        """Return one chunk of a large message; the data is not copied."""

    def end(self, message: LargeMessage) -> bytes:
        """Return the END of a large message."""


class UnchunkedFormat(MessageFormat, Protocol):
    """A format that writes a large message in one piece, when all its chunks are there."""

    @property
    def takes_chunks(self) -> Literal[False]:
        """Mark that tells the type from :class:`ChunkedFormat`."""

    def writing(self, message: Run | LargeMessage, /) -> Steps[Run]:
        """Return the steps that write messages as text; their result is a run of that text.

        Args:
            message: a run, or a complete large message.

        Raises:
            RequestRefused: a large request cannot be written.
        """


Format = ChunkedFormat | UnchunkedFormat


class BinaryFormat:
    """``frys.v1``: frames of spec section 2 behind a message header; a :class:`ChunkedFormat`.

    Args:
        name: name of the format.
        message_header: returns the header of a WebSocket message for a number of payload bytes; empty for connections
            in memory.
        answers_pings: see :class:`MessageFormat`.
    """

    takes_chunks: Final[Literal[True]] = True
    acknowledges = True

    def __init__(self, name: str, message_header: Callable[[int], bytes], *, answers_pings: bool = True) -> None:
        self.name = name
        self.answers_pings = answers_pings
        self._header = message_header

    def signal(self, message: Sendable) -> bytes:
        """Return one session message or signal."""
        frame = message.write() if isinstance(message, Signal) else write_session(message)
        return self._header(len(frame)) + frame

    def runs(self, runs: Sequence[Run], /) -> list[Buffer]:
        """Return runs in one WebSocket message; their buffers are not copied."""
        if len(runs) == 1:
            run = runs[0]
            return [self._header(run.size), *run.buffers]
        buffers: list[Buffer] = [self._header(sum([run.size for run in runs]))]
        for run in runs:
            buffers += run.buffers
        return buffers

    def forget(self, stream: int) -> None:
        """Do nothing: frames name streams by their ids."""

    def head(self, message: LargeMessage) -> bytes:
        """Return the data frame of a large message."""
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
        """Return one chunk of a large message; the data is not copied."""
        frame, *payload = write_chunk(message.plan.transfer, index, (chunk.data,), chunk.encoding)
        size = len(frame) + sum([len(buffer) for buffer in payload])
        return [self._header(size) + frame, *payload]

    def end(self, message: LargeMessage) -> bytes:
        """Return the END of a large message."""
        return self.signal(End(message.plan.transfer, message.offset or 0, message.end_timestamp_ns, message.checksum))


def written(form: Format, runs: Sequence[Run]) -> Sequence[Run]:
    """Return runs as several receivers of one format are to get them: written as text, if that is the format."""
    return runs if form.takes_chunks else texts_of(form.writing, runs)


def texts_of(writing: Callable[[Run], Steps[Run]], runs: Sequence[Run]) -> list[Run]:
    """Return runs as text, those written now that are none yet.

    Args:
        writing: see :meth:`UnchunkedFormat.writing`.
        runs: the runs, which take a fraction of a millisecond.
    """
    return [run if run.is_text else taken_at_once(writing(run)) for run in runs]


def framed(form: Format, runs: Sequence[Run]) -> list[Buffer]:
    """Return runs as a transport writes them: small ones joined up to :data:`FLUSH_BYTES`, large ones alone."""
    if len(runs) == 1 and runs[0].size <= ALONE_BYTES:
        return [b"".join(form.runs(runs))]
    return _grouped(form, runs)


def _grouped(form: Format, runs: Sequence[Run]) -> list[Buffer]:
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
        if size + run.size > FLUSH_BYTES:
            buffers.append(b"".join(form.runs(group)))
            group, size = [], 0
        group.append(run)
        size += run.size
    if group:
        buffers.append(b"".join(form.runs(group)))
    return buffers
