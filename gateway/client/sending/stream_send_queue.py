"""Send queue of one stream: its messages in the order of the calls, kept across reconnects."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final

import numpy as np

from gateway.client.sending.alias import Alias
from gateway.client.sending.batcher import ReadyBatch
from gateway.client.sending.content import Content
from gateway.client.sending.declaration import ANYTHING, Declaration
from gateway.client.sending.outbound_chunk import INLINE_ENCODE_BYTES
from gateway.client.sending.outbound_message import OutboundMessage
from gateway.client.sending.patch_content import schema_in, shape_of
from gateway.client.sending.prepared_publish import PreparedMessage, PreparedPublish, PublishOptions
from gateway.client.sending.send_context import SendContext
from gateway.client.sending.send_queue import Overtaken, SendQueue
from gateway.client.session.session import Session
from gateway.errors import ConnectionFailed, RequestRefused
from gateway.protocol.messages import Kind
from gateway.protocol.meta import parse_meta
from gateway.protocol.mismatch import kind_mismatch
from gateway.protocol.regions import Sizes
from gateway.protocol.sampling import MIN_BYTES
from gateway.protocol.schema import Schema
from gateway.protocol.tensors import Array, spec_of
from gateway.protocol.wire import FLAG_ACK, PRODUCER_KEPT_S, Buffer, Opcode
from gateway.websocket.masking import JOINED_BELOW

WINDOW_BYTES: Final = 16 * 1024 * 1024
"""Bytes of publishes to an ``event`` stream whose acknowledgement is awaited, past which another one waits its turn.

A program may await many publishes at once. The gateway would take them faster than a receiver reads, and give up those
that do not fit into the receiver's queue, of 64 MiB by default, nor into history.
"""


class StreamSendQueue(SendQueue):
    """Messages of one stream, under the alias that it has on the present session.

    Args:
        context: the way out.
        name: the stream.
        producer: number of the client; its sequences of the stream count on over all sessions.
        first_sequence: above all that the client has used for the stream.
        drained: called with the name when the queue has become idle.
    """

    def __init__(
        self,
        context: SendContext,
        name: str,
        producer: int,
        first_sequence: int,
        drained: Callable[[str], None],
    ) -> None:
        super().__init__(context, name)
        self._producer = producer
        self._next_sequence = first_sequence
        self._alias: Alias | None = None
        self._ended: Alias | None = None
        """Alias whose stream has ended, until all messages that were sent under it are answered."""
        self._declared = ANYTHING
        self._accepted: Declaration | None = None
        """Properties with which the gateway has opened the stream before."""
        self._keyframe_meta: bytes | None = None
        """Meta block of the keyframe that was published last; None: none was."""
        self._prepared_meta: bytes | None = None
        """Meta block of the publish that :meth:`prepare` saw last."""
        self.prepared: PreparedPublish | None = None
        """Parts that the next publish shares with the last ones, if it looks alike."""
        self._prepared_alone: PreparedMessage | None = None
        """The same, of messages of ``publish_nowait`` that are sent one by one."""
        self._when_drained = drained

    def forget(self, alias: Alias) -> None:
        """Drop an alias that the gateway refused to open: the next message opens another."""
        if self._alias is alias:
            self._drop_alias()
            self._declared = ANYTHING

    def stream_ended(self, alias: Alias) -> None:
        """Drop an alias whose stream has ended: the next message begins the next stream of the name.

        It has the declared kind, schema and durability again. Messages that were sent under the alias and are refused
        are sent again first, so that the order of the calls is kept.
        """
        if self._alias is alias:
            self._drop_alias()
            self._ended = alias

    def _drop_alias(self) -> None:
        self._alias = self.prepared = self._prepared_alone = None

    @property
    def sent(self) -> int:
        """Sequence of the next message, above those of all that were sent."""
        return self._next_sequence

    @property
    def forgettable(self) -> bool:
        """True if nothing is under way, and no alias is open."""
        if self._waiting or self._working or (self._ended is not None and self._ended.awaiting):
            return False
        return not self._context.aliases.has(self._alias)

    def submit(self, message: OutboundMessage) -> None:
        """Send a message behind those that were submitted before."""
        if message.extensions is None:
            self._keyframe_meta = message.content.meta
        for part in self._parts(message):
            super().submit(part)

    def prepare(self, message: OutboundMessage, value: object, options: PublishOptions) -> None:
        """Let publishes that look like this one, which was submitted, be sent by :meth:`send_alike`.

        Args:
            message: the publish.
            value: its value.
            options: its options.
        """
        content, alias, before = message.content, self._alias, self._prepared_meta
        self._prepared_meta = content.meta
        if content.meta is not before or type(value) is not np.ndarray or not options.repeatable:
            return  # it is not like the one before
        if not message.ended or alias is None or not message.declaration.within(alias.declared):
            return
        if message.chain is None or not message.chain.names:
            self.prepared = PreparedPublish(content, options, message.declaration, alias)

    def send_alike(self, message: OutboundMessage) -> bool:
        """Send a publish that looks like the prepared one, if that is possible now as :meth:`submit` would do it."""
        prepared, context = self.prepared, self._context
        session, content = context.ready, message.content
        size = content.payload_bytes
        if (
            prepared is None
            or session is None
            or not self._serves(alias := prepared.alias, session)
            or alias.awaiting_bytes + size > WINDOW_BYTES
            or (size > INLINE_ENCODE_BYTES and session.congested())
            or not (prepared.chain is not None or self._choice.plain(content))
        ):
            return False
        sequence = self._next_sequence
        frame: list[Buffer]
        if size < JOINED_BELOW:  # masking would join it otherwise, after a copy for itself
            joined = prepared.joined(content.buffers[0], sequence, message.timestamp_ns)
            if joined is None:
                return False
            frame = [joined]
        else:
            payload = context.copied(content, self.name)
            frame = [prepared.head(sequence, message.timestamp_ns), payload, prepared.padding]
        self._keyframe_meta = content.meta
        message.line = self._waiting
        message.sequence = sequence
        self._next_sequence = sequence + 1
        alias.expect(message)
        message.frame_bytes = session.send(frame, may_wait=True)
        message.payload_sent_bytes, message.ended = size, True
        return True

    def _serves(self, alias: Alias, session: Session) -> bool:
        """Return whether a message may go out at once under the alias of one before it."""
        return not self._waiting and alias is self._alias and alias.session is session

    def submit_alone(self, message: OutboundMessage) -> None:
        """Submit a message of ``publish_nowait``, and let those that look like it be sent by :meth:`send_alone`."""
        content, before = message.content, self._keyframe_meta
        self.submit(message)
        alias = self._alias
        if content.meta is not before or not 0 < content.payload_bytes < MIN_BYTES or message.opcode != Opcode.MESSAGE:
            return
        # Until the stream is open, only messages that declare the same need not wait.
        known = alias is not None and (alias.info is not None or message.declaration == alias.declared)
        if message.ended and alias is not None and known and message.declaration.within(alias.declared):
            self._prepared_alone = PreparedMessage(content, message.flags, message.declaration, alias)

    def send_alone(self, ready: ReadyBatch) -> bool:
        """Send a message of ``publish_nowait`` that looks like the prepared one, if :meth:`submit` would do so now."""
        prepared, session = self._prepared_alone, self._context.ready
        _, kind, opcode, _, content, timestamp_ns = ready
        if (
            prepared is None
            or session is None
            or not self._serves(prepared.alias, session)
            or opcode != Opcode.MESSAGE
            or content.meta is not prepared.meta
            or kind is not prepared.declaration.kind
        ):
            return False
        sequence = self._next_sequence
        self._keyframe_meta, self._next_sequence = content.meta, sequence + 1
        session.send((prepared.frame(content.buffers[0], sequence, timestamp_ns),))
        return True

    def check(self, kind: Kind | None, message: Content | Array) -> None:
        """Check a message against the stream, as far as it is known on the present session.

        Args:
            kind: kind that the publisher expects.
            message: the message, or an array that is all of it. May be called by another thread.

        Raises:
            RequestRefused: ``KIND_MISMATCH`` or ``SCHEMA_MISMATCH``.
        """
        alias = self._alias
        info = None if alias is None or alias.session is not self._context.session else alias.info
        if info is None:
            return
        if kind is not None and kind is not info.kind:
            raise kind_mismatch(self.name, info.kind, kind)
        if info.schema is not None and (schema := schema_in(info)) is not None:
            specs = parse_meta(message.meta).specs if isinstance(message, Content) else (spec_of(message, ""),)
            schema.check(specs, self.name)

    def shape_of(self, tensor: str, schema: Schema | None) -> Sizes | None:
        """Return the shape of a tensor of the state: that of the last keyframe published here, or else as declared.

        Args:
            tensor: its name.
            schema: the schema that the caller declares.
        """
        told = None if self._alias is None else schema_in(self._alias.info)
        return shape_of(self._keyframe_meta, [schema, self._declared.schema, told], tensor)

    def send_again(self, messages: list[OutboundMessage]) -> None:
        """Send publishes again, before all others, whose outcome the lost session has not told."""
        lost_s = asyncio.get_running_loop().time()
        sent = [message for message in messages if message.ended and not message.abandoned]
        sent.sort(key=lambda message: message.sequence)
        for message in sent:
            message.restart()
            if message.lost_s is None:
                message.lost_s = lost_s
        self._send_again(sent)

    def answered(self) -> None:
        """Take note that the gateway has answered publishes: the next one may have waited for that."""
        self._wake_up()

    def _unanswered(self, session: Session) -> bool:
        """Return whether messages that were sent before the stream ended are still to be answered."""
        ended = self._ended
        if ended is not None and (ended.session is not session or not ended.awaiting):
            ended = self._ended = None
        return ended is not None

    def _outruns(self, session: Session, message: OutboundMessage) -> bool:
        """Return whether a publish is to wait for the acknowledgements of those before it."""
        alias = self._alias
        if message.done is None or alias is None or alias.session is not session or not alias.awaiting_bytes:
            return False
        if alias.awaiting_bytes + message.content.payload_bytes <= WINDOW_BYTES or message.sequence in alias.awaiting:
            return False
        kind = alias.declared.kind if alias.info is None else alias.info.kind
        return kind is None or kind is Kind.EVENT

    def _addressable(self, session: Session, message: OutboundMessage) -> bool:
        alias = self._alias
        if self._unanswered(session):
            return False
        if alias is None or alias.session is not session:
            return self._context.aliases.room
        if self._outruns(session, message):
            return False
        if alias.info is None and message.declaration != alias.declared != self._accepted:
            return False  # a refusal of what another message has declared is not to be that of this one
        if message.declaration.within(alias.declared):
            return True
        try:
            return alias.info is not None and message.declaration.holds(alias.info)
        except RequestRefused:
            return False

    async def _wait_addressable(self, session: Session, message: OutboundMessage) -> None:
        await self._hold_back(session, message)
        if self._addressable(session, message):
            return
        alias = self._alias
        if alias is not None and alias.session is session:
            try:
                if message.declaration.holds(await alias.answered()):
                    return
            except RequestRefused:
                if not alias.refused or message.declaration == alias.declared:
                    raise
            # The declaration needs an OPEN of its own.
            if self._alias is alias:
                self._drop_alias()
        if not self._context.aliases.room:
            await self._context.wait_alias(session, message, self.name)
            # At once: another queue would take the alias otherwise.
            session.send((self._open(session, message).opening(),))

    async def _hold_back(self, session: Session, message: OutboundMessage) -> None:
        """Wait until so many publishes are acknowledged that the next one does not outrun the receivers.

        After the end of the stream: until those that were sent before it are answered.
        """
        while self._unanswered(session) or self._outruns(session, message):
            await self._first_of(*([] if message.done is None else [message.done]))
            if message.abandoned or self._waiting[0] is not message:
                raise Overtaken
            if not session.open:
                raise ConnectionFailed(f"the connection was lost before the message to {self.name} was sent")

    def _begin(self, session: Session, message: OutboundMessage) -> tuple[int, int, list[Buffer]]:
        before: list[Buffer] = []
        alias = self._alias
        if alias is None or alias.session is not session:
            alias = self._open(session, message)
            before.append(alias.opening())
        elif not message.sequence:
            self._number(message)
        if (message.begun or message.attempt) and message.done is None:
            # Nobody waits for it. But it may be complete already, which only an acknowledgement tells.
            message.done = asyncio.get_running_loop().create_future()
            message.done.add_done_callback(self._report)
            message.flags |= FLAG_ACK
        if message.done is not None:
            alias.expect(message)
        return alias.number, message.sequence, before

    def _open(self, session: Session, message: OutboundMessage) -> Alias:
        """Open an alias, of which the message will be the first."""
        if not message.sequence:
            self._number(message)
        if self._alias is not None and self._alias.info is not None:
            self._accepted = self._alias.declared
        self._declared = message.declaration.over(self._declared)
        self._alias = self._context.aliases.open(
            session, self.name, self, self._declared, self._producer, message.sequence
        )
        return self._alias

    def _number(self, message: OutboundMessage) -> None:
        message.sequence = self._next_sequence
        self._next_sequence += message.count

    def _parts(self, message: OutboundMessage) -> list[OutboundMessage]:
        """Return the message, or of a record batch that is larger than the gateway takes several."""
        most_bytes = self._context.max_batch_bytes
        if message.count == 1 or message.content.payload_bytes <= most_bytes:
            return [message]
        return message.parts(most_bytes)

    async def _send(self, session: Session, message: OutboundMessage) -> None:
        parts = self._parts(message)
        if len(parts) > 1:  # it was made before this session
            self._waiting.popleft()
            self._waiting.extendleft(reversed(parts))
            raise Overtaken
        lost_s = message.lost_s
        if lost_s is not None and asyncio.get_running_loop().time() - lost_s > PRODUCER_KEPT_S:
            raise ConnectionFailed("the gateway no longer knows what was published before the connection was lost")
        await super()._send(session, message)

    async def _answer_of(self, message: OutboundMessage, answer: asyncio.Future[int]) -> int | None:
        try:
            return await super()._answer_of(message, answer)
        except ConnectionFailed:
            assert message.done is not None
            if not message.done.done() or message.done.cancelled():
                raise
            return None  # acknowledged, or refused for good

    def _report(self, done: asyncio.Future[object]) -> None:
        if not done.cancelled() and (error := done.exception()) is not None:
            assert isinstance(error, Exception)
            self._context.report(error)

    def _answered(self, message: OutboundMessage) -> asyncio.Future[object] | None:
        return message.done

    def _unsent(self, message: OutboundMessage) -> None:
        if self._alias is not None:
            self._alias.withdraw(message.sequence)

    def _drained(self) -> None:
        self._when_drained(self.name)
