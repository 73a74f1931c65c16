"""Messages of streams and inboxes as text of ``frys.v1.json`` (spec section 14), rendered once for all receivers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

from gateway.connections.outbound.inbox_source import InboxSource
from gateway.connections.sessions.pool import Pool
from gateway.errors import Code, RequestRefused
from gateway.protocol.data import DataFrame, parse_data
from gateway.protocol.encoding import decode
from gateway.protocol.frames import iter_frames
from gateway.protocol.json_message import DataType, JsonMessage, render_batch, render_message, write_message
from gateway.protocol.json_text import JsonRange, write_range
from gateway.protocol.messages import Kind
from gateway.protocol.meta import parse_meta
from gateway.protocol.wire import FLAG_FAILED, FLAG_MORE, Buffer, Opcode
from gateway.streams.derived import DerivedStream
from gateway.streams.large import LargeMessage
from gateway.streams.observed import ObservedStream
from gateway.streams.run import Run, Source
from gateway.streams.stream import Stream

_TYPES: dict[int, DataType] = {
    Opcode.MESSAGE: "message",
    Opcode.BATCH: "message",
    Opcode.REQUEST: "request",
    Opcode.REPLY: "reply",
}


MAX_RECORDS: Final = 65_536
"""Records of a batch that can be written as text. Each takes some 200 bytes and 7 µs, however small it is."""


class TextRenderer:
    """Renders messages for all JSON connections; a run keeps its text, so that it is rendered once.

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
        """Return runs as framed text, a text message for each message.

        A message that cannot be written is replaced by a gap, a reply by one that failed; a request is refused.
        """
        for run in runs:
            if run.text is None:
                run.text = b"".join([self.message_header(len(text)) + text for text in self._texts(run)])
        return [run.text for run in runs if run.text is not None]

    def large(self, message: LargeMessage) -> bytes:
        """Return a large message as one framed text. Slow: called in a worker thread.

        Raises:
            RequestRefused: a request cannot be written; other messages are replaced as by :meth:`runs`.
        """
        try:
            self._check_size(message.plan.payload_bytes)
            chunks = [decode(chunk.encoding, chunk.data) for chunk in message.chunks]
            [text] = self._render(message.source, message.frame(b"".join(chunks)))
        except RequestRefused as refusal:
            if message.opcode == Opcode.REQUEST:
                raise
            text = self._instead(message.source, message.frame(), refusal)
        return self.message_header(len(text)) + text

    def _texts(self, run: Run) -> list[bytes]:
        message = run.joined()
        texts: list[bytes] = []
        for frame in iter_frames(message):
            parsed = parse_data(message, frame)
            try:
                texts += self._render(run.source, parsed)
            except RequestRefused as refusal:
                if parsed.opcode == Opcode.REQUEST:
                    assert isinstance(run.source, InboxSource)
                    run.source.refuse(parsed.publisher, parsed.offset, refusal)
                else:
                    texts.append(self._instead(run.source, parsed, refusal))
        return texts

    def _render(self, source: Source, parsed: DataFrame) -> list[bytes]:
        envelope = self._envelope(source, parsed)
        meta = parse_meta(parsed.meta)
        if parsed.count > MAX_RECORDS:
            problem = f"a batch of {parsed.count} records; text has at most {MAX_RECORDS} of one batch"
            raise RequestRefused(Code.MESSAGE_TOO_BIG, problem)
        payload = decode(parsed.encoding, parsed.payload)
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


def _kind_of(source: Source) -> Kind | None:
    if isinstance(source, ObservedStream):
        return source.parent.kind
    return source.kind if isinstance(source, Stream) else None


def _own_id_of(source: Source) -> int | None:
    """Return the id of a view or an observed stream, by which it is told from the stream itself."""
    return source.id if isinstance(source, DerivedStream | ObservedStream) else None
