"""One large message on its way to the receivers of a stream, passed on chunk by chunk as it comes."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from functools import partial

from gateway.connections.connection import Connection
from gateway.connections.delivery import DeliveryClass
from gateway.connections.encode_lane import EncodeLane
from gateway.connections.recode import recode_chunk
from gateway.errors import Code
from gateway.protocol.encoding import PLAIN, Chain
from gateway.protocol.signals import Abort
from gateway.streams.large import LargeMessage, StoredChunk
from gateway.streams.state import LargePatch

logger = logging.getLogger(__name__)


class Part:
    """The receivers of one delivery class that have the message's head.

    Attributes:
        chain: how the chunks are encoded for them; ``None``: as they came.
        form: the chunks so encoded.
        audience: who kept up when the message began, and so gets every chunk: directly, or from its outbox if it falls
            behind.
        begun: the audience has got the head.
    """

    __slots__ = ("audience", "begun", "chain", "delivery", "form")

    def __init__(self, delivery: DeliveryClass, message: LargeMessage, chain: Chain | None) -> None:
        self.delivery = delivery
        self.chain = chain
        self.form = message.form(chain)
        self.begun = False
        size = message.plan.payload_bytes
        members = (member for member in delivery.members if not member.lagging and size <= member.max_message_bytes)
        self.audience: dict[Connection, None] = dict.fromkeys(members)

    def send_chunk(self, message: LargeMessage, index: int) -> None:
        """Send chunk ``index`` of the form, its newest, to the audience; the head goes with the first one."""
        head = None if self.begun else self.delivery.format.head(message)
        self.begun = True
        buffers = None
        for member in self.audience:
            if member.lagging:
                if head is not None:
                    member.transport.write(head)
                member.follow(message, self.form, index)
                continue
            if buffers is None:
                buffers = self.delivery.format.chunk(message, self.form[index], index)
                if head is not None:
                    buffers.insert(0, head)
            member.write_bulk(buffers, len(self.form[index].data))

    def send_end(self, message: LargeMessage) -> None:
        """Send END to the audience, in order."""
        self.delivery.delivered_messages += len(self.audience)
        end = self.delivery.format.end(message)
        for member in list(self.audience):
            if not member.lagging:
                member.transport.write(end)
            elif isinstance(message, LargePatch) and not member.in_step(message.source):
                # The version that it changes will not reach this one: it gets the newest state instead.
                self.leave(message, member)
                member.enqueue_large(message, self.form)
            else:
                member.commit(message, self.form)

    def send_abort(self, message: LargeMessage, code: int) -> None:
        """Tell the audience that the message will not come."""
        for member in list(self.audience):
            self.leave(message, member, code)

    def leave(self, message: LargeMessage, member: Connection, code: int = Code.TRANSFER_ABORTED) -> None:
        """Tell one of the audience, if it is, that the message will not come to it."""
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


class Broadcast:
    """Passes one large message on.

    Args:
        message: its head has come.
        lane: of the stream; keeps the order while chunks are encoded.
        itemsize: bytes of an element, for the codecs.
        chains: for each class that takes chunks, how its members get them.
    """

    __slots__ = ("_itemsize", "_lane", "message", "parts")

    def __init__(
        self,
        message: LargeMessage,
        lane: EncodeLane,
        itemsize: int,
        chains: Iterable[tuple[DeliveryClass, Chain | None]],
    ) -> None:
        self.message = message
        self._lane = lane
        self._itemsize = itemsize
        self.parts = [Part(delivery, message, chain) for delivery, chain in chains]

    def chunk(self, chunk: StoredChunk) -> None:
        """The next chunk has come."""
        message = self.message
        index = len(message.chunks)
        message.chunks.append(chunk)
        for part in self.parts:
            if part.chain is None:
                part.send_chunk(message, index)
        for chain in {part.chain for part in self.parts if part.chain is not None}:
            encode = _Encoding(message, chain, chunk, self._itemsize, self.parts)
            as_it_came = chunk.encoding is None if chain == PLAIN else self._lane.backed_up
            if as_it_came:
                self._lane.follow(partial(encode.deliver, chunk))
            else:
                self._lane.submit(encode.work, encode.deliver)

    def commit(self, latecomers: Callable[[Broadcast], object]) -> None:
        """The message is whole and has its offset; ``latecomers`` brings it to those who are in no audience."""

        def deliver() -> None:
            for part in self.parts:
                part.delivery.flush()
                part.send_end(self.message)
            latecomers(self)

        self._lane.follow(deliver)

    def abort(self, code: int) -> None:
        """The message will not be completed."""

        def deliver() -> None:
            for part in self.parts:
                part.send_abort(self.message, code)

        self._lane.follow(deliver)

    def leave(self, connection: Connection) -> None:
        """A receiver is gone or has unsubscribed."""
        for part in self.parts:
            part.leave(self.message, connection)


class _Encoding:
    """One chunk being encoded for the parts of one chain."""

    __slots__ = ("_chain", "_chunk", "_itemsize", "_message", "_parts")

    def __init__(
        self, message: LargeMessage, chain: Chain, chunk: StoredChunk, itemsize: int, parts: list[Part]
    ) -> None:
        self._message = message
        self._chain = chain
        self._chunk = chunk
        self._itemsize = itemsize
        self._parts = [part for part in parts if part.chain == chain]

    def work(self) -> StoredChunk:
        return recode_chunk(self._chunk, self._chain, self._itemsize)

    def deliver(self, result: StoredChunk | BaseException) -> None:
        if isinstance(result, BaseException):
            logger.warning("chunk of %s cannot be recoded: %s", self._message.source.name, result)
            if self._chain == PLAIN:
                for part in self._parts:
                    part.send_abort(self._message, Code.CORRUPT_PAYLOAD)
                return
            result = self._chunk
        form = self._message.form(self._chain)
        form.append(result)
        for part in self._parts:
            part.send_chunk(self._message, len(form) - 1)
