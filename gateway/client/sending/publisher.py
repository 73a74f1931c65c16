"""Publisher: sends messages and record batches to streams, and takes their acknowledgements."""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Final

from gateway.client.sending.alias import Alias, AliasHolders
from gateway.client.sending.batcher import Batcher, ReadyBatch
from gateway.client.sending.codec_choice import parse_codec
from gateway.client.sending.content import Content, content_of, kind_of
from gateway.client.sending.declaration import Declaration, durability_of, schema_of
from gateway.client.sending.outbound_message import OutboundMessage
from gateway.client.sending.patch_content import patch_of
from gateway.client.sending.prepared_publish import PublishOptions
from gateway.client.sending.send_context import SendContext
from gateway.client.sending.stream_send_queue import StreamSendQueue
from gateway.client.session.outgoing_frames import CORKED_BYTES
from gateway.client.session.session import Session
from gateway.client.transmission_result import TransmissionResult
from gateway.errors import Code, ConnectionFailed, FrysError, InvalidArgument, RequestRefused
from gateway.ids import Epoch, Offset
from gateway.protocol.arguments import MAX_EXPIRY_S, check_callback, check_seconds, check_text, check_timeout
from gateway.protocol.extensions import Extensions
from gateway.protocol.frames import Frame
from gateway.protocol.messages import Error, Kind
from gateway.protocol.names import check_published_name
from gateway.protocol.signals import Ack
from gateway.protocol.tensors import Array
from gateway.protocol.wire import FLAG_ACK, Opcode

PRODUCERS_BELOW: Final = 2**53
"""Producer numbers are below: every number up to it is exact in JSON."""


class Publisher:
    """All streams that a client publishes to, kept across reconnects.

    Args:
        context: the way out.
        now_ns: clock for timestamps.

    Attributes:
        producer: number by which gateways recognize this client's messages (spec section 4.6).
    """

    def __init__(self, context: SendContext, now_ns: Callable[[], int]) -> None:
        self.producer = secrets.randbelow(PRODUCERS_BELOW)
        self._context = context
        self._now_ns = now_ns
        self._queues: AliasHolders[StreamSendQueue] = AliasHolders()
        self._first_sequence = 1
        """Sequence above all that were used for streams whose queues are forgotten: the gateway may remember those."""
        self._batcher: Batcher | None = None

    def collect_from(self, batcher: Batcher) -> None:
        """Let :meth:`flush` send the messages that ``publish_nowait`` puts into ``batcher``."""
        self._batcher = batcher

    def check(self, stream: str, kind: Kind | None, payload_bytes: int, message: Content | Array) -> None:
        """Check a message of ``publish_nowait`` as far as the gateway's answer to it is known; on any thread.

        Raises:
            UsageError: the client belongs to another process or event loop.
            RequestRefused: ``MESSAGE_TOO_BIG``, ``KIND_MISMATCH`` or ``SCHEMA_MISMATCH``.
        """
        self._context.owner.check()
        self._context.check_size(stream, payload_bytes)
        queue = self._queues.get(stream)
        if queue is not None:
            queue.check(kind, message)

    async def publish(self, stream: str, value: object, options: PublishOptions) -> TransmissionResult:
        """Publish one message and wait for its acknowledgement; see :meth:`gateway.client.client.Client.publish`."""
        started_s = time.perf_counter()
        self._context.check()
        timeout_s = check_timeout("timeout_s", options.timeout_s)
        message = self._send_alike(stream, value, options, started_s) or self._send(stream, value, options, started_s)
        flow = self._context.flow
        flow.expect_answer()
        try:
            result = await message.result(timeout_s, f"the acknowledgement of {stream}", self._context.obstacle)
        finally:
            flow.end_answer()
        assert isinstance(result, TransmissionResult)
        return result

    def _send_alike(
        self, stream: str, value: object, options: PublishOptions, started_s: float
    ) -> OutboundMessage | None:
        """Send a publish that looks like the last one of its stream; return None if it does not."""
        queue = self._queues.get(stream) if type(stream) is str else None
        if queue is None or (prepared := queue.prepared) is None:
            return None
        content = prepared.content(value, options)
        if content is None:
            return None
        self._flush_stream(stream)
        message = OutboundMessage(
            Opcode.MESSAGE,
            content,
            self._now_ns(),
            flags=FLAG_ACK,
            declaration=prepared.declaration,
            chain=prepared.chain,
            done=self._context.owner.create_future(),
            started_s=started_s,
        )
        if not queue.send_alike(message):
            queue.submit(message)
            queue.prepare(message, value, options)
        return message

    def _send(self, stream: str, value: object, options: PublishOptions, started_s: float) -> OutboundMessage:
        """Send any publish."""
        check_callback("progress", options.progress)
        queue = self._queue_of(stream)
        declaration = Declaration(kind_of(options.kind), schema_of(options.schema), durability_of(options.durability))
        self._flush_stream(stream)
        content, extensions = _laid_out(queue, value, declaration, options)
        now_ns = self._now_ns()
        message = OutboundMessage(
            Opcode.MESSAGE,
            content,
            now_ns,
            flags=FLAG_ACK,
            declaration=declaration,
            extensions=_expiring(options.expires_in_s, now_ns, extensions),
            clock=None if options.expires_in_s is None else self._context.clock,
            chain=parse_codec(options.codec),
            progress=options.progress,
            done=asyncio.get_running_loop().create_future(),
            started_s=started_s,
        )
        queue.submit(message)
        queue.prepare(message, value, options)
        return message

    def flush(self) -> None:
        """Send the messages of ``publish_nowait`` that wait, as far as there is room; the rest follows later."""
        session = self._context.ready
        batcher = self._batcher
        if session is None or session.congested() or batcher is None:
            return
        if not batcher.empty:
            session.cork()
            try:
                self._flush_round(session, batcher, self._sendable(batcher.streams()))
                while not session.congested() and (rest := self._sendable(batcher.complete_streams())):
                    self._flush_round(session, batcher, rest)
            finally:
                session.uncork()
        if session.congested():
            return
        if batcher.empty or not self._sendable(batcher.streams()):
            batcher.listen()
            if batcher.empty or not self._sendable(batcher.streams()):
                return
        # Another thread has added meanwhile. It fills its batches while the loop does its other work.
        asyncio.get_running_loop().call_soon(self.flush)

    def _sendable(self, streams: list[str]) -> list[str]:
        # Messages behind a large one of their stream stay in the batcher, where they are counted.
        return [stream for stream in streams if self._queue_of(stream).idle]

    def _flush_round(self, session: Session, batcher: Batcher, streams: list[str]) -> None:
        """Send a part of the messages of each stream, as long as there is room."""
        for stream in streams:
            if session.congested():
                return
            self._submit(stream, batcher, CORKED_BYTES)

    @property
    def flushed(self) -> bool:
        """True if no message waits in the batcher."""
        return self._batcher is None or self._batcher.empty

    def _flush_stream(self, stream: str) -> None:
        if self._batcher is not None and not self._batcher.empty:
            self._submit(stream, self._batcher, None)

    def _submit(self, stream: str, batcher: Batcher, limit_bytes: int | None) -> None:
        """Send messages of one stream. A failure of one is not that of others, nor of a publish that follows."""
        queue = self._queue_of(stream)
        for ready in batcher.take(stream, limit_bytes):
            try:
                if not queue.send_alone(ready):
                    queue.submit_alone(_message_of(ready))
            except Exception as error:  # noqa: BLE001 - nobody waits for the message
                self._context.report(error)

    def _queue_of(self, stream: str) -> StreamSendQueue:
        try:
            queue = self._queues.get(stream)
        except Exception:  # not even hashable
            check_published_name(stream)
            raise
        if queue is None:
            check_published_name(stream)
            queue = StreamSendQueue(self._context, stream, self.producer, self._first_sequence, self._queue_drained)
            for forgotten in self._queues.add(stream, queue):
                self._first_sequence = max(self._first_sequence, forgotten.sent)
        return queue

    def _queue_drained(self, stream: str) -> None:
        self.flush()

    # Answers of the gateway.

    def acked(self, message: memoryview, frame: Frame) -> None:
        """Take an ACK: its publishes are done (spec section 7.1)."""
        ack = Ack.parse(message, frame)
        context = self._context
        alias = context.aliases.get(ack.alias)
        if alias is None:
            return
        self._finish(alias, alias.settle(ack.sequence, ack.count), ack)
        queue = self._queues.get(alias.name)
        if queue is not None:
            queue.answered()
        if context.flow.awaited > 1 and context.session is not None:
            context.session.collect()

    def _finish(self, alias: Alias, publishes: list[OutboundMessage], ack: Ack) -> None:
        """Give the results of publishes to those who wait for them."""
        now_s = time.perf_counter()
        epoch = Epoch((alias.info.epoch if alias.info is not None else None) or 0)
        session, scores = self._context.session, self._context.scores
        rtt_s = ((session.clock.rtt_ns if session is not None else None) or 0) / 1e9
        first = ack.offset - ack.sequence  # offset of sequence 0
        for publish in publishes:
            done = publish.done
            if done is None or done.done():
                continue
            latency_s = now_s - publish.started_s
            frame_bytes, sent_bytes = publish.frame_bytes, publish.payload_sent_bytes
            done.set_result(
                TransmissionResult(
                    Offset(first + publish.sequence),
                    epoch,
                    frame_bytes,
                    publish.content.payload_bytes / sent_bytes if sent_bytes else 1.0,
                    latency_s,
                    scores.score(frame_bytes, latency_s, rtt_s),
                    ack.durability,
                )
            )

    def refused(self, error: Error, alias: Alias) -> None:
        """Take an ERROR about a stream that was opened for publishing (spec sections 4.1, 4.11 and 12.2)."""
        refusal = RequestRefused(error.code, error.message)
        draining = error.code == Code.DRAINING
        queue = self._queues.get(alias.name)
        ended = error.code == Code.STREAM_ENDED
        if ended and queue is not None:
            queue.stream_ended(alias)
        if error.sequence is None:
            if draining:
                return  # messages that wait for the stream to be opened wait for the next connection
            if queue is not None and not ended:
                queue.forget(alias)
            alias.refuse(refusal)
            return
        count = error.count or 1
        refused = {publish.sequence: publish for publish in alias.settle(error.sequence, count)}
        if queue is not None and (unwatched := queue.under_way(error.sequence)) is not None:
            refused[error.sequence] = unwatched  # of publish_nowait, but still at hand
        postponed: list[OutboundMessage] = []
        for publish in refused.values():
            if draining:
                # Sent before GO_AWAY came: it goes out on the next connection, as all that are not acknowledged.
                alias.expect(publish)
            elif not publish.may_wait(refusal):
                publish.fail(refusal)
            else:
                postponed.append(publish)
        if postponed:
            self._queue_of(alias.name).postpone(postponed, refusal)
        if queue is not None:
            queue.answered()
        unwatched_count = count - sum(publish.count for publish in refused.values())
        if unwatched_count > 0 and error.sequence not in alias.withdrawn:
            self._context.report(_loss(error, alias.name, unwatched_count), lost=unwatched_count)

    def detached(self, waiting: Mapping[str, list[OutboundMessage]]) -> None:
        """Send the publishes again, on the next session, whose acknowledgement the lost one has not brought.

        Args:
            waiting: these publishes, by stream.
        """
        for stream, messages in waiting.items():
            self._queue_of(stream).send_again(messages)

    @property
    def idle(self) -> bool:
        """True if no message waits to be sent."""
        return self.flushed and all(queue.idle for queue in self._queues.values())

    def close(self, error: FrysError, *, cut_bytes: int = 0) -> None:
        """End publishing: nothing will be sent any more.

        Args:
            error: reason.
            cut_bytes: bytes that were written and had not left this process when the connection was cut off.
        """
        dropped = self._context.unsent + sum(queue.unsent for queue in self._queues.values())
        dropped += 0 if self._batcher is None else self._batcher.fail(error)
        problems = [f"{dropped} messages of publish_nowait were not sent"] * bool(dropped)
        problems += [f"{cut_bytes} bytes of messages had not left this process"] * bool(cut_bytes)
        if problems:
            self._context.report(ConnectionFailed(f"{', and '.join(problems)}: {error}"))


def _expiring(expires_in_s: float | None, now_ns: int, extensions: Extensions | None) -> Extensions | None:
    if expires_in_s is None:
        return extensions
    within_s = check_seconds("expires_in_s", expires_in_s, maximum=MAX_EXPIRY_S)
    return replace(extensions or Extensions(), deadline_ns=now_ns + round(within_s * 1e9))


def _loss(error: Error, stream: str, count: int) -> RequestRefused:
    """Return the report of messages of ``publish_nowait`` that the gateway has refused."""
    lost = f"{count} message{'s are' if count > 1 else ' is'} lost"
    problem = f"publish_nowait to {stream}: {lost}: {error.message}"
    if error.code == Code.STREAM_ENDED:
        problem += "; later ones go to the next stream of the name; publish() would send those under way there as well"
    return RequestRefused(error.code, problem)


def _message_of(ready: ReadyBatch) -> OutboundMessage:
    declaration = Declaration(ready.kind)
    return OutboundMessage(
        ready.opcode, ready.content, ready.timestamp_ns, declaration=declaration, count=ready.records
    )


def _laid_out(
    queue: StreamSendQueue, value: object, declaration: Declaration, options: PublishOptions
) -> tuple[Content, Extensions | None]:
    tensor = None if options.tensor is None else check_text("tensor", options.tensor, "a tensor's name is a string")
    if options.region is None:
        if tensor is not None:
            raise InvalidArgument(f"tensor={tensor!r} says which tensor region= changes: name the region as well")
        return content_of(value, options.headers), None
    kind, schema, _ = declaration
    shape = queue.shape_of(tensor or "", schema)
    content, region = patch_of(value, options.region, tensor, shape, kind, options.headers)
    return content, Extensions(region=region.extents)
