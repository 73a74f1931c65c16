"""Broadcast: one large message on its way to the receivers of a stream, passed on chunk by chunk as it comes."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from functools import partial
from time import thread_time
from typing import Protocol

from gateway.connections.fanout.delivery_class import DeliveryClass
from gateway.connections.fanout.delta_encoder import delta_chunk
from gateway.connections.fanout.encode_queue import EncodeQueue
from gateway.connections.fanout.recode import readable, recode_chunk
from gateway.connections.outbound.connection import Connection
from gateway.connections.ports import Outcome
from gateway.errors import Code
from gateway.protocol.encoding import PLAIN, Chain
from gateway.protocol.signals import Abort
from gateway.protocol.wire import Buffer
from gateway.streams.large import LargeMessage, StoredChunk
from gateway.streams.plain_payload import PlainPayload
from gateway.streams.state import LargePatch

logger = logging.getLogger(__name__)

TOGETHER_BYTES = 64 * 1024
"""Deltas of chunks are sent together up to this size: each write is a system call a receiver, and those were half of
the gateway's work when 100 of them got 8 chunks of 8 KB 30 times a second (2 cores, November 2026)."""


class BroadcastPart:
    """Part of a broadcast that goes to the members of one delivery class.

    Attributes:
        delivery: the class.
        format: writes the message for the members.
        chain: encodes the chunks for them; ``None``: they get the chunks as published.
        form: the chunks in that encoding.
        audience: members that kept up when the first chunk went out. They get every chunk: directly, or through their
            outbox if they fall behind.
        begun: whether the audience has got the head.
    """

    __slots__ = ("audience", "begun", "chain", "delivery", "form", "format")

    def __init__(self, delivery: DeliveryClass, message: LargeMessage, chain: Chain | None) -> None:
        form = delivery.format
        assert form.takes_chunks
        self.delivery = delivery
        self.format = form
        self.chain = chain
        self.form = message.form(chain)
        self.begun = False
        self.audience: dict[Connection, None] = {}

    def send_chunks(self, message: LargeMessage, first: int) -> None:
        """Send the newest chunks, from index ``first`` on, to the audience; the head goes out with the first one."""
        buffers: list[Buffer] = []
        head = None if self.begun else self._begin(message)
        size = sum([len(chunk.data) for chunk in self.form[first:]])
        for member in self.audience:
            if member.lagging:
                member.follow(message, self.form, first)
                continue
            if not buffers:
                buffers += () if head is None else (head,)
                for index in range(first, len(self.form)):
                    buffers += self.format.chunk(message, self.form[index], index)
            if not member.write_bulk(buffers, size):
                member.fall_behind()

    def _begin(self, message: LargeMessage) -> bytes:
        based = isinstance(message, LargePatch) or (self.chain is not None and bool(self.chain.delta))
        if based:
            # The version that the chunks refer to has to be on the wire before the head.
            self.delivery.flush()
        self.begun = True
        size = message.plan.payload_bytes
        members = [member for member in self.delivery.members if not member.lagging]
        if based:
            members = [member for member in members if self.delivery.holds_newest(member)]
        self.audience = dict.fromkeys([member for member in members if size <= member.max_message_bytes])
        return self.format.head(message)

    def send_end(self, message: LargeMessage) -> None:
        """Send END to the audience, behind the chunks."""
        self.delivery.delivered_messages += len(self.audience)
        end = self.format.end(message)
        for member in list(self.audience):
            if isinstance(message, LargePatch) and not self._has_base(member, message):
                # The version that the patch changes will not reach this member: it gets a keyframe instead.
                self.leave(message, member)
                member.enqueue_large(message, self.form)
            elif member.lagging:
                member.commit(message, self.form)
            else:
                self.delivery.settle(member)
                member.accounts.messages(message.source.id, message.offset or 0, 1)
                member.transport.write(end)
        self.delivery.advance_to((message.offset or 0) + 1)
        if self.delivery.versions is not None:
            for member in self.audience:
                self.delivery.versions.keyframe_queued(member)

    def _has_base(self, member: Connection, patch: LargePatch) -> bool:
        return self.delivery.holds_newest(member) and (not member.lagging or member.holds_newest(patch.source))

    def send_abort(self, message: LargeMessage, code: int) -> None:
        """Tell the audience that the message will not come."""
        for member in list(self.audience):
            self.leave(message, member, code)
        self.begun = True  # so that a later chunk does not find an audience

    def leave(self, message: LargeMessage, member: Connection, code: int = Code.TRANSFER_ABORTED) -> None:
        """Take a member out of the audience, if it is there, and tell it that the message will not come."""
        if member not in self.audience:
            return
        del self.audience[member]
        if not self.begun:
            return
        if member.outbox is not None:
            member.outbox.abort(message)
        if not member.closed:
            member.send(Abort(message.plan.transfer, code))
            member.drain()


class Broadcaster(Protocol):
    """Fan-out that a :class:`Broadcast` belongs to."""

    def start_broadcast(self, broadcast: Broadcast, first: StoredChunk) -> None:
        """Choose the encoding of each delivery class, by a sample of the first chunk."""

    def commit_broadcast(self, broadcast: Broadcast) -> None:
        """Take note that the message is complete: the next one may be encoded against it."""

    def finish_broadcast(self, broadcast: Broadcast) -> None:
        """Deliver the message to all members that did not get it chunk by chunk, in its place among the others."""

    def drop_broadcast(self, broadcast: Broadcast) -> None:
        """Forget a message that will not be completed."""


class Broadcast:
    """One large message on its way to the receivers: the
    :class:`~gateway.connections.fanout.fanout.ChunkSink` of a fan-out whose receivers do not acknowledge.

    Args:
        message: the message, of which only the head has come.
        fanout: delivers the message.
        queue: keeps the order of the stream while chunks are encoded.
        itemsize: bytes of an element, for the codecs.
        publisher_codecs: names of the codecs by which its chunks may be encoded.

    Attributes:
        parts: one for each class that takes chunks; made when the first chunk has come.
    """

    __slots__ = ("_encoders", "_fanout", "_queue", "itemsize", "message", "parts", "publisher_codecs")

    def __init__(
        self,
        message: LargeMessage,
        fanout: Broadcaster,
        queue: EncodeQueue,
        itemsize: int,
        publisher_codecs: frozenset[str],
    ) -> None:
        self.message = message
        self.publisher_codecs = publisher_codecs
        self.itemsize = itemsize
        self._fanout = fanout
        self._queue = queue
        self._encoders: list[_ChunkEncoder] = []
        self.parts: list[BroadcastPart] = []

    def begin(
        self,
        chains: Iterable[tuple[DeliveryClass, Chain | None]],
        base: PlainPayload | None = None,
    ) -> None:
        """Begin to send, now that the first chunk has come.

        Args:
            chains: for each class that takes chunks, the chain that encodes them; ``None``: as published.
            base: the version before, of the same size, for chains that make deltas.
        """
        self.parts = [BroadcastPart(delivery, self.message, chain) for delivery, chain in chains]
        self.message.base_offset = None if base is None else base.offset
        for chain in {part.chain for part in self.parts if part.chain is not None}:
            parts = [part for part in self.parts if part.chain == chain]
            self._encoders.append(_ChunkEncoder(self.message, chain, parts, self.itemsize, base))

    def chunk(self, chunk: StoredChunk) -> None:
        """Add the next chunk to the message and pass it on."""
        message = self.message
        if not message.chunks:
            self._fanout.start_broadcast(self, chunk)
        index = len(message.chunks)
        message.chunks.append(chunk)
        for part in self.parts:
            if part.chain is None:
                part.send_chunks(message, index)
        for encoder in self._encoders:
            encoder.add(chunk, index, self._queue)

    @property
    def outcomes(self) -> list[Outcome]:
        """Outcomes of the chains by which chunks were encoded."""
        return [encoder.outcome for encoder in self._encoders if encoder.outcome is not None]

    def resume(self, connection: Connection, delivery: DeliveryClass) -> None:
        """Let a receiver that has the first chunks go on behind them, if its class takes chunks as published."""
        known = any(connection in part.audience for part in self.parts)
        if known or isinstance(self.message, LargePatch) or not self.publisher_codecs <= delivery.codecs:
            return
        part = next((part for part in self.parts if part.delivery is delivery and part.chain is None), None)
        if part is None:
            part = BroadcastPart(delivery, self.message, None)
            part.begun = bool(self.message.chunks)
            self.parts.append(part)
        if part.begun:
            part.audience[connection] = None
            connection.follow(self.message, part.form, 0)

    def send_deltas(self, delivery: DeliveryClass, members: list[Connection]) -> list[Connection]:
        """Queue the complete message as a delta for members of one class that hold the version before.

        Returns:
            The members that need the message in another form.
        """
        message = self.message
        form = next((part.form for part in self.parts if part.delivery is delivery and part.begun), [])
        if len(form) < message.plan.chunk_count:
            return members
        others: list[Connection] = []
        for member in members:
            fits = message.plan.payload_bytes <= member.max_message_bytes
            if fits and delivery.holds_newest(member) and member.enqueue_delta(message, form):
                delivery.delivered_messages += 1
            else:
                others.append(member)
        return others

    def commit(self) -> None:
        """Send END to the audience, then the complete message to all other members."""

        def deliver() -> None:
            for part in self.parts:
                part.delivery.flush()
                part.send_end(self.message)
            self._fanout.finish_broadcast(self)
            for part in self.parts:
                if part.chain is not None and part.chain.delta:
                    # A receiver that comes later cannot use it.
                    self.message.variants.pop(part.chain, None)

        self._fanout.commit_broadcast(self)
        self._queue.add_ready(deliver)

    def abort(self, code: int) -> None:
        """Tell the audience that the message will not be completed."""

        def deliver() -> None:
            for part in self.parts:
                part.send_abort(self.message, code)

        self._fanout.drop_broadcast(self)
        self._queue.add_ready(deliver)

    def leave(self, connection: Connection) -> None:
        """Remove a receiver that is gone or has unsubscribed."""
        for part in self.parts:
            part.leave(self.message, connection)


class _ChunkEncoder:
    """Encoder of the chunks of one large message by one chain.

    Args:
        message: the message.
        chain: encodes the chunks; ``PLAIN`` decodes them.
        parts: the receivers that get them so.
        itemsize: bytes of an element.
        base: the version that deltas refer to.

    Attributes:
        outcome: how the chain has done so far; ``None``: it has encoded nothing.
    """

    __slots__ = ("_base", "_chain", "_held", "_itemsize", "_known", "_message", "_parts", "outcome")

    def __init__(
        self,
        message: LargeMessage,
        chain: Chain,
        parts: list[BroadcastPart],
        itemsize: int,
        base: PlainPayload | None,
    ) -> None:
        self._message = message
        self._chain = chain
        self._parts = parts
        self._itemsize = itemsize
        self._base = base if chain.delta else None
        self._known = frozenset.intersection(*[part.delivery.codecs for part in parts])
        self.outcome: Outcome | None = None
        self._held: list[StoredChunk] = []
        """Encoded chunks that wait for others, to go out with them."""

    def add(self, chunk: StoredChunk, index: int, queue: EncodeQueue) -> None:
        """Encode the next chunk and send it, in its place in the queue."""
        if self._chain == PLAIN:
            as_it_came = chunk.encoding is None
        else:
            as_it_came = queue.backed_up and readable(chunk.encoding, self._known)
        if as_it_came:
            queue.add_ready(partial(self._send, chunk))
        else:
            queue.submit(partial(self._encode, chunk, index), partial(self._deliver, chunk))

    def _encode(self, chunk: StoredChunk, index: int) -> tuple[StoredChunk, Outcome | None]:
        """Return the encoded chunk and, unless it was decoded or came encoded, how the chain did. Runs in a thread."""
        if self._base is None and (self._chain == PLAIN or chunk.encoding is not None):
            return recode_chunk(chunk, self._chain, self._itemsize), None
        started_s = thread_time()
        if self._base is None:
            encoded = recode_chunk(chunk, self._chain, self._itemsize)
        else:
            at = index * self._message.plan.chunk_bytes
            encoded = delta_chunk(chunk, self._chain, self._itemsize, self._base, at, self._known)
        return encoded, Outcome(self._chain, len(chunk.data), len(encoded.data), thread_time() - started_s)

    def _deliver(self, chunk: StoredChunk, result: tuple[StoredChunk, Outcome | None] | BaseException) -> None:
        if not isinstance(result, BaseException):
            encoded, outcome = result
            if outcome is not None:
                self.outcome = outcome if self.outcome is None else self.outcome + outcome
            self._send(encoded)
            return
        logger.warning("chunk of %s cannot be recoded: %s", self._message.source.name, result)
        if self._chain != PLAIN and readable(chunk.encoding, self._known):
            self._send(chunk)
            return
        for part in self._parts:
            part.send_abort(self._message, Code.CORRUPT_PAYLOAD)

    def _send(self, chunk: StoredChunk) -> None:
        form, held = self._message.form(self._chain), self._held
        held.append(chunk)
        size = sum([len(each.data) for each in held])
        last = len(form) + len(held) == self._message.plan.chunk_count
        # The first delta goes out at once, with the head: only now is its base the newest version.
        if self._base is not None and form and size < TOGETHER_BYTES and not last:
            return
        first = len(form)
        form += held
        held.clear()
        for part in self._parts:
            part.send_chunks(self._message, first)
