"""Broadcast: one large message on its way to the receivers of a stream, passed on chunk by chunk as it comes."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import partial
from time import thread_time
from typing import Protocol

from gateway.connections.fanout.credited_class import CreditedClass
from gateway.connections.fanout.delivery_class import DeliveryClass
from gateway.connections.fanout.delta_encoder import delta_chunk
from gateway.connections.fanout.encode_queue import EncodeQueue
from gateway.connections.fanout.recode import readable, recode_chunk, transcode_chunk
from gateway.connections.outbound.connection import Connection
from gateway.connections.outbound.formats import ChunkedFormat
from gateway.connections.outbound.reading_holds import ReadingHolds
from gateway.connections.ports import EncodingOutcome
from gateway.errors import Code
from gateway.protocol.dtypes import DTypeLike
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

SLOW_WRITE_BYTES = 64 * 1024
"""Bytes whose copy to the system takes about as long as a delivery to an outbox does."""


class MovingMembers(Protocol):
    """Delivery classes of a fan-out, as far as members move between them."""

    moving: dict[Connection, None]
    """Members that are about to move."""


@dataclass(slots=True, eq=False)
class BroadcastPart:
    """Part of a broadcast that goes to the members of one delivery class."""

    message: LargeMessage
    """The message."""
    delivery: DeliveryClass
    """The class."""
    chain: Chain | None
    """Chain that encodes the chunks for the members; ``None``: they get the chunks as published."""
    table: MovingMembers
    """Table with the class: to members that are about to move, the message does not begin to be passed on."""
    begun: bool = False
    """Whether the audience has got the head."""
    audience: dict[Connection, None] = field(default_factory=dict, init=False)
    """Members that kept up when the first chunk went out. They get every chunk: directly, or through their outbox if
    they fall behind."""
    format: ChunkedFormat = field(init=False)
    """Format that writes the message for the members."""
    form: list[StoredChunk] = field(init=False)
    """The chunks in the encoding of the chain."""

    def __post_init__(self) -> None:
        form = self.delivery.format
        assert form.takes_chunks
        self.format = form
        self.form = self.message.form(self.chain)

    def send_chunks(self, first: int) -> None:
        """Send the newest chunks, from index ``first`` on, to the audience; the head goes out with the first one."""
        message = self.message
        buffers: list[Buffer] = []
        head = None if self.begun else self._begin(message)
        size = sum([len(chunk.data) for chunk in self.form[first:]])
        self.delivery.flusher.owed += len(self.audience) * (1 + size // SLOW_WRITE_BYTES)
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
        members = [member for member in self.delivery if not (member.lagging or member in self.table.moving)]
        if based:
            members = [member for member in members if self.delivery.holds_newest(member)]
        members = [member for member in members if size <= member.max_message_bytes]
        if isinstance(self.delivery, CreditedClass):
            members = self.delivery.admitted(members, size)
        self.audience = dict.fromkeys(members)
        return self.format.head(message)

    def send_end(self) -> None:
        """Send END to the audience, behind the chunks."""
        message = self.message
        self.delivery.count_deliveries(len(self.audience))
        end = self.format.end(message)
        credited = isinstance(self.delivery, CreditedClass)
        for member in list(self.audience):
            if isinstance(message, LargePatch) and not self._has_base(member, message):
                # The version that the patch changes will not reach this member: it gets a keyframe instead.
                self.leave(member)
                member.enqueue_large(message, self.form)
            elif member.lagging or (credited and member.waits_for(message.source)):
                member.commit(message, self.form)
            else:
                self.delivery.book(member)
                member.accounts.messages(message.source.id, message.offset or 0, 1)
                member.transport.write(end)
        self.delivery.advance_to((message.offset or 0) + 1)
        if self.delivery.versions is not None:
            for member in self.audience:
                self.delivery.versions.keyframe_queued(member)

    def _has_base(self, member: Connection, patch: LargePatch) -> bool:
        return self.delivery.holds_newest(member) and member.holds_newest(patch.source)

    def send_abort(self, code: int) -> None:
        """Tell the audience that the message will not come."""
        for member in list(self.audience):
            self.leave(member, code)
        self.begun = True  # so that a later chunk does not find an audience

    def leave(self, member: Connection, code: int = Code.TRANSFER_ABORTED) -> None:
        """Take a member out of the audience, if it is there, and tell it that the message will not come."""
        if member not in self.audience:
            return
        del self.audience[member]
        if not self.begun:
            return
        if member.outbox is not None:
            member.outbox.abort(self.message)
        if not member.closed:
            member.send(Abort(self.message.plan.transfer, code))
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


@dataclass(slots=True, eq=False)
class Broadcast:
    """One large message on its way to the receivers: the
    :class:`~gateway.connections.fanout.fanout.ChunkSink` of a fan-out whose receivers do not acknowledge.
    """

    message: LargeMessage
    """The message, of which only the head has come."""
    _fanout: Broadcaster
    """Fan-out that delivers the message."""
    _queue: EncodeQueue
    """Queue that keeps the order of the stream while chunks are encoded."""
    element: DTypeLike
    """Dtype of the elements, for codecs."""
    publisher_codecs: frozenset[str]
    """Codecs by which the chunks may be encoded, by their names."""
    _table: MovingMembers
    """Table with the delivery classes of the fan-out."""
    parts: list[BroadcastPart] = field(default_factory=list, init=False)
    """One part for each class that takes chunks; made when the first chunk has come."""
    _encoders: list[_ChunkEncoder] = field(default_factory=list, init=False)

    def begin(
        self,
        chains: Iterable[tuple[DeliveryClass, Chain | None]],
        base: PlainPayload | None = None,
        *,
        anew: bool = False,
    ) -> None:
        """Begin to send, now that the first chunk has come.

        Args:
            chains: for each class that takes chunks, the chain that encodes them; ``None``: as published.
            base: the version before, of the same size, for chains that make deltas.
            anew: whether the chains are for chunks that the publisher has encoded.
        """
        self.parts = [BroadcastPart(self.message, delivery, chain, self._table) for delivery, chain in chains]
        self.message.base_offset = None if base is None else base.offset
        for chain in {part.chain for part in self.parts if part.chain is not None}:
            parts = [part for part in self.parts if part.chain == chain]
            self._encoders.append(
                _ChunkEncoder(self.message, chain, parts, self.element, base if chain.delta else None, anew=anew)
            )

    def chunk(self, chunk: StoredChunk) -> None:
        """Add the next chunk to the message and pass it on."""
        message = self.message
        if not message.chunks:
            self._fanout.start_broadcast(self, chunk)
        index = len(message.chunks)
        message.chunks.append(chunk)
        for part in self.parts:
            if part.chain is None:
                part.send_chunks(index)
        for encoder in self._encoders:
            encoder.add(chunk, index, self._queue)

    def hold_back(self, reading: ReadingHolds) -> None:
        """Implement :meth:`~gateway.connections.fanout.fanout.ChunkSink.hold_back` by the queue of threads' work."""
        self._queue.hold_back(reading)

    @property
    def outcomes(self) -> list[EncodingOutcome]:
        """Outcomes of the chains by which chunks were encoded."""
        return [encoder.outcome for encoder in self._encoders if encoder.outcome is not None]

    def serves(self, connection: Connection) -> bool:
        """Return whether the message is passed on to a receiver."""
        return any(connection in part.audience for part in self.parts)

    def resume(self, connection: Connection, delivery: DeliveryClass) -> None:
        """Let a receiver that has the first chunks go on behind them, if its class takes chunks as published."""
        takes = self.publisher_codecs <= delivery.profile.codecs and not isinstance(self.message, LargePatch)
        if self.serves(connection) or not takes:
            return
        part = next((part for part in self.parts if part.delivery is delivery and part.chain is None), None)
        if part is None:
            part = BroadcastPart(self.message, delivery, None, self._table, begun=bool(self.message.chunks))
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
                delivery.count_deliveries(1)
            else:
                others.append(member)
        return others

    def commit(self) -> None:
        """Send END to the audience, then the complete message to all other members."""

        def deliver() -> None:
            for part in self.parts:
                part.delivery.flush()
                part.send_end()
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
            self._fanout.drop_broadcast(self)
            for part in self.parts:
                part.send_abort(code)

        self._queue.add_ready(deliver)

    def leave(self, connection: Connection, code: int = Code.TRANSFER_ABORTED) -> None:
        """Remove a receiver that is gone, has unsubscribed, or is told by ``code`` that the stream has ended."""
        for part in self.parts:
            part.leave(connection, code)


@dataclass(slots=True, eq=False)
class _ChunkEncoder:
    """Encoder of the chunks of one large message by one chain."""

    message: LargeMessage
    """The message."""
    chain: Chain
    """Chain that encodes the chunks; ``PLAIN`` decodes them."""
    parts: list[BroadcastPart]
    """The receivers that get them so."""
    element: DTypeLike
    """Dtype of the elements."""
    base: PlainPayload | None
    """The version that deltas refer to; ``None``: the chain makes no deltas."""
    anew: bool = field(kw_only=True)
    """Whether chunks that the publisher has encoded are decoded, and encoded by the chain."""
    outcome: EncodingOutcome | None = field(default=None, init=False)
    """Outcome of the chain so far; ``None``: it has encoded nothing."""
    _held: list[StoredChunk] = field(default_factory=list, init=False)
    """Encoded chunks that wait for others, to go out with them."""
    _known: frozenset[str] = field(init=False)
    """Codecs and filters that all receivers know."""

    def __post_init__(self) -> None:
        self._known = frozenset.intersection(*[part.delivery.profile.codecs for part in self.parts])

    def add(self, chunk: StoredChunk, index: int, queue: EncodeQueue) -> None:
        """Encode the next chunk and send it, in its place in the queue."""
        if self.chain == PLAIN:
            as_it_came = chunk.encoding is None
        else:
            as_it_came = queue.backed_up and readable(chunk.encoding, self._known)
        if as_it_came:
            queue.add_ready(partial(self._send, chunk))
        else:
            queue.submit(partial(self._encode, chunk, index), partial(self._deliver, chunk))

    def _encode(self, chunk: StoredChunk, index: int) -> tuple[StoredChunk, EncodingOutcome | None]:
        """Return the encoded chunk and, unless it was decoded or came encoded, how the chain did. Runs in a thread."""
        if self.base is None and (self.chain == PLAIN or (chunk.encoding is not None and not self.anew)):
            return recode_chunk(chunk, self.chain, self.element), None
        started_s = thread_time()
        if self.base is None:
            encoded = transcode_chunk(chunk, self.chain, self.element)
            encoded = encoded if len(encoded.data) < len(chunk.data) else chunk
        else:
            at = index * self.message.plan.chunk_bytes
            encoded = delta_chunk(chunk, self.chain, self.element, self.base, at, self._known)
        return encoded, EncodingOutcome(self.chain, len(chunk.data), len(encoded.data), thread_time() - started_s)

    def _deliver(self, chunk: StoredChunk, result: tuple[StoredChunk, EncodingOutcome | None] | BaseException) -> None:
        if not isinstance(result, BaseException):
            encoded, outcome = result
            if outcome is not None:
                self.outcome = outcome if self.outcome is None else self.outcome + outcome
            self._send(encoded)
            return
        name = self.message.source.name
        if self.chain != PLAIN and readable(chunk.encoding, self._known):
            logger.warning("a chunk of %s cannot be encoded, it goes out as published: %s", name, result)
            self._send(chunk)
            return
        logger.warning(
            "a chunk of %s cannot be recoded, the transfer is aborted with CORRUPT_PAYLOAD: %s", name, result
        )
        for part in self.parts:
            part.send_abort(Code.CORRUPT_PAYLOAD)

    def _send(self, chunk: StoredChunk) -> None:
        form, held = self.message.form(self.chain), self._held
        held.append(chunk)
        size = sum([len(each.data) for each in held])
        last = len(form) + len(held) == self.message.plan.chunk_count
        # The first delta goes out at once, with the head: only now is its base the newest version.
        if self.base is not None and form and size < TOGETHER_BYTES and not last:
            return
        first = len(form)
        form += held
        held.clear()
        for part in self.parts:
            part.send_chunks(first)
