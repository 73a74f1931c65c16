"""Messages of streams and inboxes as text of ``frys.v1.json`` (spec section 14), rendered once for all receivers."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from typing import Final

from gateway.connections.fanout.recode import THREAD_BYTES
from gateway.connections.outbound.formats import texts_of
from gateway.connections.outbound.inbox_source import InboxSource
from gateway.connections.ports import Steps
from gateway.connections.sessions.pool import Pool
from gateway.errors import Code, RequestRefused
from gateway.protocol.data import DataFrame, parse_data
from gateway.protocol.encoding import decode
from gateway.protocol.frames import iter_frames
from gateway.protocol.json_message import DataType, JsonMessage
from gateway.protocol.json_text import JsonRange, write_range
from gateway.protocol.message_text import (
    BASE64_BYTES,
    MessageText,
    render_batch,
    render_message,
    render_records,
    write_message,
)
from gateway.protocol.messages import Kind
from gateway.protocol.meta import parse_meta
from gateway.protocol.signals import Cancel
from gateway.protocol.wire import FLAG_FAILED, FLAG_MORE, Buffer, Opcode
from gateway.streams.derived import DerivedStream
from gateway.streams.large import LargeMessage
from gateway.streams.observed import ObservedStream
from gateway.streams.run import RequestText, Run, Source, TextRun
from gateway.streams.stream import Stream

_TYPES: dict[int, DataType] = {
    Opcode.MESSAGE: "message",
    Opcode.BATCH: "message",
    Opcode.REQUEST: "request",
    Opcode.REPLY: "reply",
}


JOINED_BYTES: Final = 64 * 1024
"""Texts are joined to pieces of this size, which the transport writes without copying them again."""

STEP_US: Final = 200
"""Microseconds that a step takes, by the estimates below (CPython 3.11, 2026-11)."""
MESSAGE_US: Final = 10
TENSOR_US: Final = 2
PART_US: Final = 1
RECORD_US: Final = 1
FIELD_BYTES_A_US: Final = 80
BYTES_A_US: Final = 1000


class TextRenderer:
    """Renderer of messages for all JSON connections.

    Args:
        message_header: gives the header of a text message of so many bytes.
        pool: knows the publishers.
        max_bytes: bound on the length of a text.
    """

    def __init__(self, message_header: Callable[[int], bytes], pool: Pool, max_bytes: int) -> None:
        self.message_header = message_header
        self._pool = pool
        self._max_bytes = max_bytes

    def runs(self, runs: Sequence[Run]) -> list[Buffer]:
        """Return runs as framed text, a text message for each message; write those that are not text yet."""
        return [buffer for text in texts_of(self.writing, runs) for buffer in text.buffers]

    def writing(self, message: Run | LargeMessage) -> Steps[Run]:
        """Return the steps that write messages as framed text, a text message for each message.

        A message that cannot be written is replaced by a gap, a reply by one that failed; a request is refused.

        Args:
            message: a run, or a complete large message.

        Raises:
            RequestRefused: a large request cannot be written.
        """
        return self._writing(message) if isinstance(message, Run) else self._writing_large(message)

    def _writing(self, run: Run) -> Steps[Run]:
        data = run.joined()
        text = _FramedText(self.message_header)
        newest_at = spent_us = messages = payload_bytes = 0
        before = (0, 0)
        for frame in iter_frames(data):
            if run.last_at and frame.start == run.last_at:
                newest_at, before = text.seal(), (messages, payload_bytes)
            parsed = parse_data(data, frame)
            try:
                payload: Buffer = parsed.payload
                encoding = parsed.encoding
                if encoding is not None:
                    decoding = partial(decode, encoding, payload)
                    payload = decoding() if encoding.decoded_bytes <= THREAD_BYTES else (yield decoding)
                for took_us in self._write(run.source, parsed, payload, text):
                    spent_us += took_us
                    if spent_us >= STEP_US:
                        spent_us = 0
                        yield None
                messages += parsed.count
                payload_bytes += len(payload)
            except RequestRefused as refusal:
                if parsed.opcode == Opcode.REQUEST:
                    assert isinstance(run.source, InboxSource)
                    run.source.refuse(parsed.publisher, parsed.offset, refusal)
                else:
                    text.add(self._instead(run.source, parsed, refusal))
                    yield None
        text.seal()
        if parsed.opcode == Opcode.REQUEST and text.pieces:
            assert not run.last_at, "each request comes to its mailbox alone"
            return RequestText(run.source, run.first, text.pieces, Cancel(parsed.publisher, parsed.offset))
        newest = None
        if newest_at:
            newest = TextRun(
                run.source,
                run.last - run.last_count + 1,
                run.last_count,
                text.pieces[newest_at:],
                messages=messages - before[0],
                payload_bytes=payload_bytes - before[1],
            )
        return TextRun(
            run.source, run.first, run.count, text.pieces, newest, messages=messages, payload_bytes=payload_bytes
        )

    def _writing_large(self, message: LargeMessage) -> Steps[Run]:
        text = _FramedText(self.message_header)
        payload = bytearray()
        messages = 0
        try:
            self._check_size(message.plan.payload_bytes)
            for chunk in message.chunks:
                data = chunk.data
                if chunk.encoding is not None:
                    data = yield partial(decode, chunk.encoding, chunk.data)
                payload += data
                yield None
            for _ in self._write(message.source, message.frame(), payload, text):
                yield None
            messages = 1
        except RequestRefused as refusal:
            if message.opcode == Opcode.REQUEST:
                raise
            text.add(self._instead(message.source, message.frame(), refusal))
        text.seal()
        offset = message.offset or 0
        if message.opcode == Opcode.REQUEST:
            return RequestText(message.source, offset, text.pieces, Cancel(message.publisher, offset))
        return TextRun(message.source, offset, 1, text.pieces, messages=messages, payload_bytes=messages * len(payload))

    def _write(self, source: Source, parsed: DataFrame, payload: Buffer, text: _FramedText) -> Iterator[int]:
        """Write a message to ``text``; yield the microseconds that each part of it has taken.

        Raises:
            RequestRefused: the message cannot be written; ``text`` is as it was.
        """
        envelope = self._envelope(source, parsed)
        meta = parse_meta(parsed.meta)
        yield TENSOR_US * len(meta.specs)
        most_bytes = self._max_bytes
        if parsed.opcode != Opcode.BATCH:
            yield from text.adding_pieces(render_message(envelope, meta, payload, max_bytes=most_bytes))
        elif meta.payload_bytes <= BASE64_BYTES:
            yield from text.adding(render_batch(envelope, meta, payload, parsed.count, max_bytes=most_bytes))
        else:
            for record in render_records(envelope, meta, payload, parsed.count, max_bytes=most_bytes):
                yield from text.adding_pieces(record)

    def _envelope(self, source: Source, parsed: DataFrame) -> JsonMessage:
        publisher = self._pool.get(parsed.publisher)
        message_type = _TYPES[parsed.opcode]
        direct = message_type != "message"
        return JsonMessage(
            message_type,
            id=None if direct else parsed.offset,
            stream=None if message_type == "reply" else source.name,
            kind=_kind_of(source),
            correlation=parsed.offset if direct else None,
            failed=bool(parsed.flags & FLAG_FAILED),
            more=bool(parsed.flags & FLAG_MORE),
            peer=parsed.publisher,
            timestamp=parsed.timestamp_ns / 1e9,
            offset=None if direct else parsed.offset,
            epoch=source.epoch if isinstance(source, Stream) else None,
            view=_own_id_of(source),
            quantized=None if parsed.extensions is None else parsed.extensions.quantized,
            client_id=None if publisher is None else publisher.peer.client_id,
            client_type=None if publisher is None else publisher.peer.client_type.value,
        )

    def _instead(self, source: Source, parsed: DataFrame, refusal: RequestRefused) -> bytes:
        """Return the text that replaces a message that cannot be written: a failed reply, or a gap."""
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
        return write_range(
            JsonRange(Opcode.GAP, source.name, refusal.code, parsed.offset, last, _own_id_of(source)),
        )

    def _check_size(self, payload_bytes: int) -> None:
        """Refuse a payload that is too long for text before it is decoded, which may make it much longer."""
        if payload_bytes > self._max_bytes:
            problem = f"payload of {payload_bytes} bytes exceeds {self._max_bytes} bytes of text"
            raise RequestRefused(Code.MESSAGE_TOO_BIG, problem)


class _FramedText:
    """Text messages that are being written, joined to pieces."""

    __slots__ = ("_header", "_texts", "_texts_bytes", "pieces")

    def __init__(self, header: Callable[[int], bytes]) -> None:
        self._header = header
        self._texts: list[bytes] = []
        self._texts_bytes = 0
        self.pieces: list[bytes] = []
        """Pieces that are complete."""

    def add(self, text: bytes) -> None:
        """Add a text message."""
        self._texts += (self._header(len(text)), text)
        self._texts_bytes += len(text)
        if self._texts_bytes >= JOINED_BYTES:
            self.seal()

    def adding(self, texts: Iterable[bytes]) -> Iterator[int]:
        """Add text messages one by one; yield the microseconds that each has taken."""
        for text in texts:
            self.add(text)
            yield RECORD_US + len(text) // BYTES_A_US

    def adding_pieces(self, text: MessageText) -> Iterator[int]:
        """Add the pieces of one text message; yield the microseconds that each has taken."""
        self._texts.append(self._header(text.size))
        for piece in text.pieces():
            self._texts.append(piece)
            self._texts_bytes += len(piece)
            if self._texts_bytes >= JOINED_BYTES:
                self.seal()
                yield STEP_US
        data_bytes = min(text.size, self._texts_bytes)
        fields_us = PART_US * len(text.parts) + len(text.parts[0]) // FIELD_BYTES_A_US
        yield MESSAGE_US + fields_us + data_bytes // BYTES_A_US

    def seal(self) -> int:
        """Join what has been added; return the number of pieces."""
        if self._texts:
            self.pieces.append(b"".join(self._texts))
            self._texts = []
            self._texts_bytes = 0
        return len(self.pieces)


def _kind_of(source: Source) -> Kind | None:
    if isinstance(source, ObservedStream):
        return source.parent.kind
    return source.kind if isinstance(source, Stream) else None


def _own_id_of(source: Source) -> int | None:
    """Return the id of a view or an observed stream, by which it is told from the stream itself."""
    return source.id if isinstance(source, DerivedStream | ObservedStream) else None
