"""``frys.v1.json`` on the way out: what is delivered and answered, as text (spec section 14)."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import replace

from gateway.connections.outbound.formats import Sendable
from gateway.connections.ports import Clock
from gateway.connections.sessions.pool import Pool
from gateway.errors import Code, RequestRefused, name_of
from gateway.protocol.data import DataFrame, parse_data
from gateway.protocol.encoding import decode
from gateway.protocol.frames import iter_frames
from gateway.protocol.json_message import DataType, JsonMessage, render_batch, render_message, write_message
from gateway.protocol.json_text import (
    JsonAck,
    JsonRange,
    write_ack,
    write_cancel,
    write_pong,
    write_range,
    write_session_text,
)
from gateway.protocol.messages import Error, StreamInfo
from gateway.protocol.meta import parse_meta
from gateway.protocol.signals import Ack, Cancel, Gap, Pong, Replay, Signal
from gateway.protocol.wire import FLAG_FAILED, FLAG_MORE, SUBPROTOCOL_JSON, Buffer, Opcode
from gateway.streams.derived import DerivedStream
from gateway.streams.large import LargeMessage, StoredChunk
from gateway.streams.run import Run, Source
from gateway.streams.stream import Stream

logger = logging.getLogger(__name__)

_TYPES: dict[int, DataType] = {
    Opcode.MESSAGE: "message",
    Opcode.BATCH: "message",
    Opcode.REQUEST: "request",
    Opcode.REPLY: "reply",
}


class TextFormat:
    """The :class:`~gateway.connections.outbound.formats.Format` of one JSON connection.

    What is delivered does not depend on the connection and is shared; answers do: they name streams where binary ones
    name aliases, and the ``id`` of what they answer where those name sequences.

    Args:
        message_header: gives the header of a text message of so many bytes.
        pool: knows the publishers.
        clock: for timestamps.
        max_bytes: the longest text.
    """

    name = SUBPROTOCOL_JSON
    takes_chunks = False
    acknowledges = False
    answers_pings = False

    def __init__(self, message_header: Callable[[int], bytes], pool: Pool, clock: Clock, max_bytes: int) -> None:
        self._header = message_header
        self._pool = pool
        self._clock = clock
        self._max_bytes = max_bytes
        self._streams: dict[int, tuple[str, int | None]] = {}
        """By id the name; and the id again, if it is a view's."""
        self.expected: dict[tuple[int, int], tuple[int | None, str]] = {}
        """Publishes on their way in: by (alias, sequence) the ``id`` and the stream."""
        self.answering: int | None = None
        """The ``id`` of the message that is being handled."""
        self.opening = False
        """Whether the bridge opens an alias of its own accord, so that nobody waits for the STREAM."""

    def signal(self, message: Sendable) -> bytes:
        """See :class:`~gateway.connections.outbound.formats.Format`; empty for what a JSON client is not told."""
        now = self._clock.time_ns() / 1e9
        match message:
            case Ack():
                request, stream = self.expected.pop((message.alias, message.sequence), (None, ""))
                text = write_ack(JsonAck(request, stream, message.offset, message.durability), timestamp=now)
            case Gap() | Replay():
                stream, view = self._streams.get(message.stream, ("", None))
                messages = JsonRange(message.opcode, stream, message.code, message.first, message.last, view)
                text = write_range(messages, timestamp=now)
            case Pong():
                text = write_pong(message, timestamp=now)
            case Cancel():
                text = write_cancel(message, timestamp=now)
            case StreamInfo() if self.opening and message.alias is not None:
                return b""
            case StreamInfo():
                if message.id is not None:
                    self._streams[message.id] = message.stream, None if message.subscription is None else message.id
                text = write_session_text(message, timestamp=now)
            case Error():
                text = write_session_text(self._own_words(message), timestamp=now)
            case Signal():  # about chunks, or a heartbeat that text does not have
                return b""
            case _:
                text = write_session_text(message, timestamp=now)
        return self._header(len(text)) + text

    def runs(self, runs: Sequence[Run]) -> list[Buffer]:
        """See :class:`~gateway.connections.outbound.formats.Format`: a text message for each message."""
        for run in runs:
            if run.text is None:
                run.text = b"".join([self._header(len(text)) + text for text in self._texts(run)])
        return [run.text for run in runs if run.text is not None]

    def head(self, message: LargeMessage) -> bytes:
        """Not used: the format takes no chunks."""
        raise AssertionError("text goes out in one piece")

    def chunk(self, message: LargeMessage, chunk: StoredChunk, index: int) -> list[Buffer]:
        """Not used: the format takes no chunks."""
        raise AssertionError("text goes out in one piece")

    def end(self, message: LargeMessage) -> bytes:
        """Not used: the format takes no chunks."""
        raise AssertionError("text goes out in one piece")

    def whole(self, message: LargeMessage) -> bytes:
        """See :class:`~gateway.connections.outbound.formats.Format`."""
        offset = message.offset or 0
        frame = DataFrame(
            message.opcode,
            message.flags,
            message.source.id,
            message.publisher,
            offset,
            message.timestamp_ns,
            1,
            memoryview(message.meta),
            None,
            None,
            memoryview(b""),
            message.extensions,
        )
        try:
            self._check_size(message.plan.payload_bytes)
            chunks = [
                chunk.data if chunk.encoding is None else decode(chunk.encoding, chunk.data) for chunk in message.chunks
            ]
            envelope = self._envelope(message.source, frame)
            text = render_message(envelope, parse_meta(message.meta), b"".join(chunks), max_bytes=self._max_bytes)
        except RequestRefused as refusal:
            if message.opcode == Opcode.REQUEST:
                raise
            text = self._instead(message.source, frame, refusal)
        return self._header(len(text)) + text if text else b""

    def _texts(self, run: Run) -> list[bytes]:
        message = memoryview(run.buffers[0] if len(run.buffers) == 1 else b"".join(run.buffers))
        texts: list[bytes] = []
        for frame in iter_frames(message):
            parsed = parse_data(message, frame)
            try:
                texts += self._render(run.source, parsed)
            except RequestRefused as refusal:
                if parsed.opcode == Opcode.REQUEST:
                    self.refuse_request(parsed.publisher, parsed.offset, refusal)
                else:
                    texts.append(self._instead(run.source, parsed, refusal))
        return texts

    def refuse_request(self, asker_peer: int, correlation: int, refusal: RequestRefused) -> None:
        """See :class:`~gateway.connections.outbound.formats.Format`."""
        asker = self._pool.get(asker_peer)
        request = None if asker is None else asker.desk.asked.get(correlation)
        # Another member of the group may have it meanwhile, and be able to read it.
        if request is not None and request.replier.connection.format is self:
            request.refuse(refusal)

    def _render(self, source: Source, parsed: DataFrame) -> list[bytes]:
        envelope = self._envelope(source, parsed)
        meta = parse_meta(parsed.meta)
        payload: Buffer = parsed.payload
        if parsed.encoding is not None:
            payload = decode(parsed.encoding, payload)
        if parsed.opcode == Opcode.BATCH:
            return list(render_batch(envelope, meta, payload, parsed.count, max_bytes=self._max_bytes))
        return [render_message(envelope, meta, payload, max_bytes=self._max_bytes)]

    def _envelope(self, source: Source, parsed: DataFrame) -> JsonMessage:
        publisher = self._pool.get(parsed.publisher)
        message_type = _TYPES[parsed.opcode]
        direct = message_type != "message"
        return JsonMessage(
            message_type,
            id=None if direct else parsed.offset,
            stream=None if message_type == "reply" else source.name,
            kind=source.kind if isinstance(source, Stream) else None,
            correlation=parsed.offset if direct else None,
            failed=bool(parsed.flags & FLAG_FAILED),
            more=bool(parsed.flags & FLAG_MORE),
            peer=parsed.publisher,
            timestamp=parsed.timestamp_ns / 1e9,
            offset=None if direct else parsed.offset,
            epoch=source.epoch if isinstance(source, Stream) else None,
            view=source.id if isinstance(source, DerivedStream) else None,
            quantized=None if parsed.extensions is None else parsed.extensions.quantized,
            client_id=None if publisher is None else publisher.peer.client_id,
            client_type=None if publisher is None else publisher.peer.client_type.value,
        )

    def _instead(self, source: Source, parsed: DataFrame, refusal: RequestRefused) -> bytes:
        """What goes out for a message that cannot be written."""
        if parsed.opcode == Opcode.REPLY:
            envelope = self._envelope(source, parsed._replace(flags=parsed.flags | FLAG_FAILED))
            reply = JsonMessage(
                "reply",
                correlation=envelope.correlation,
                failed=True,
                peer=envelope.peer,
                headers={"error": refusal.message},
            )
            return write_message(reply)
        last = parsed.offset + parsed.count - 1
        view = source.id if isinstance(source, DerivedStream) else None
        return write_range(JsonRange(Opcode.GAP, source.name, refusal.code, parsed.offset, last, view))

    def _check_size(self, payload_bytes: int) -> None:
        """Before a payload is decoded: it may be a thousand times larger than what came."""
        if payload_bytes > self._max_bytes:
            problem = f"payload of {payload_bytes} bytes exceeds {self._max_bytes} bytes of text"
            raise RequestRefused(Code.MESSAGE_TOO_BIG, problem)

    def _own_words(self, error: Error) -> Error:
        if error.alias is None or error.sequence is None:
            return error if error.request is not None else replace(error, request=self.answering)
        request, stream = self.expected.pop((error.alias, error.sequence), (None, None))
        return Error(error.code, name_of(error.code), error.message, request=request, stream=stream)
