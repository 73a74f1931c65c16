"""Send queue: the messages to one destination, in the order of the calls.

A message goes out at once when none is before it and it needs no work; otherwise a task sends it, encodes in threads,
and cuts large payloads into chunks, between which messages of other queues pass (spec section 6).
"""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections import deque
from contextlib import aclosing, suppress
from dataclasses import replace
from typing import Final

from gateway.client.sending.codec_choice import CodecChoice, check_agreed
from gateway.client.sending.content import Content
from gateway.client.sending.outbound_chunk import OutboundChunk, chunks_of, encoded_chunk
from gateway.client.sending.outbound_message import OutboundMessage, lost_on_the_way
from gateway.client.sending.send_context import SendContext
from gateway.client.session.session import Session
from gateway.client.workers import WORKERS
from gateway.errors import Code, ConnectionFailed, UsageError
from gateway.protocol.checksum import checksum_from_the_end, checksum_of
from gateway.protocol.data import write_data
from gateway.protocol.encoding import Chain
from gateway.protocol.extensions import Extensions
from gateway.protocol.frames import bytes_of
from gateway.protocol.signals import Abort, End
from gateway.protocol.transfers import ChunkPlan, write_chunk
from gateway.protocol.wire import FLAG_ACK, Buffer, Opcode

INLINE_ENCODE_BYTES: Final = 64 * 1024
"""Payloads above this are encoded in a thread, and wait for room to write."""


class SendQueue(ABC):
    """Messages to one destination. Subclasses say how frames name it.

    Args:
        context: the way out.
        name: the destination, for errors.
    """

    def __init__(self, context: SendContext, name: str) -> None:
        self.name = name
        self._context = context
        self._waiting: deque[OutboundMessage] = deque()
        self._choice = CodecChoice()
        self._working = False

    @property
    def idle(self) -> bool:
        """True if no message waits or is under way."""
        return not self._waiting

    @property
    @abstractmethod
    def sent(self) -> int:
        """A number that differs after each message that was sent."""

    def submit(self, message: OutboundMessage) -> None:
        """Send a message behind those that were submitted before."""
        session = self._ready()
        if not self._waiting and session is not None and self._needs_no_work(session, message):
            self._write(session, message, None)
            return
        while len(self._waiting) > 1 and self._waiting[1].abandoned:  # they wait for a connection that does not come
            del self._waiting[1]
        self._waiting.append(message)
        self._start()

    @abstractmethod
    def _begin(self, session: Session, message: OutboundMessage) -> tuple[int, int, list[Buffer]]:
        """Prepare to write the first frame of a message.

        Returns:
            The frame's ``stream`` and ``offset``, and frames that have to go before it.
        """

    def _ready(self) -> Session | None:
        """Return the session to write to now, if there is one."""
        return self._context.ready

    async def _wait_ready(self) -> Session:
        """Wait for the session to write to, and return it; raise if there will be none."""
        return await self._context.wait_ready()

    def _addressable(self, session: Session, message: OutboundMessage) -> bool:
        """Return whether the message may be written now; if not, :meth:`_wait_addressable` has to be awaited first."""
        return True

    async def _wait_addressable(self, session: Session, message: OutboundMessage) -> None:  # noqa: B027 - most need not
        """Wait until it is known whether the message may be written; raise if it may not."""

    def _resuming(self, message: OutboundMessage) -> bool:
        """Return whether the gateway may have a part of a large message, and is to be asked for the missing part."""
        return False

    async def _resumed(self, session: Session, message: OutboundMessage, transfer: int) -> int | None:
        """Return the chunk to go on with of a large message whose head was sent again; None if no chunk is missing."""
        raise AssertionError(f"messages to {self.name} are not resumed")

    def _written(self, message: OutboundMessage) -> None:  # noqa: B027 - most queues have nothing to do
        """Take note that the last frame of a message is written."""

    def _unsent(self, message: OutboundMessage) -> None:  # noqa: B027 - most queues have nothing to do
        """Take note that a message will not be sent completely, so that nothing answers it."""

    def _drained(self) -> None:  # noqa: B027 - most queues have nothing to do
        """Take note that the queue has become idle."""

    # At once.

    def _needs_no_work(self, session: Session, message: OutboundMessage) -> bool:
        content = message.content
        if content.payload_bytes > INLINE_ENCODE_BYTES and session.congested():
            return False
        if not _fits_one_frame(session, message) or not self._addressable(session, message):
            return False
        chain = message.chain or self._choice.known(content)
        return chain is not None and not chain.names

    def _write(self, session: Session, message: OutboundMessage, encoded: OutboundChunk | None) -> None:
        """Write the message in one frame."""
        if message.clock is not None and message.clock is not session.clock:
            message.judge_by(session.clock)
        stream, offset, before = self._begin(session, message)
        encoding, payload = (None, message.content.buffers) if encoded is None else (encoded.encoding, encoded.data)
        frame = write_data(
            message.opcode,
            stream=stream,
            offset=offset,
            timestamp_ns=message.timestamp_ns,
            flags=message.flags,
            meta=message.content.meta,
            count=message.count if message.opcode == Opcode.BATCH else None,
            encoding=encoding,
            payload=payload,
            extensions=message.extensions,
        )
        message.frame_bytes = session.send([*before, *frame]) - bytes_of(before)
        message.payload_sent_bytes = bytes_of(payload)
        message.ended = True
        self._written(message)

    # By a task.

    async def _work(self) -> None:
        try:
            while self._waiting:
                message = self._waiting[0]
                if await self._send_next(message):
                    with suppress(ValueError):  # abandoned meanwhile, and taken out
                        self._waiting.remove(message)
        finally:
            self._working = False
            if self._waiting and self._context.cancelled:  # the client is closing
                self._drop_waiting()
            else:  # the task was cancelled by the program, as all tasks are when asyncio.run ends
                self._start()
        self._drained()

    def _drop_waiting(self) -> None:
        self._context.unsent += sum(message.count for message in self._waiting if message.done is None)
        while self._waiting:
            message = self._waiting.popleft()
            message.fail(self._lost(message) or ConnectionFailed(f"closed before the message to {self.name} was sent"))

    async def _send_next(self, message: OutboundMessage) -> bool:
        """Send a message. Errors go to the caller that waits for it.

        Returns:
            Whether the message is dealt with: otherwise the connection was lost, and the first message that waits now
            is the next.
        """
        if message.abandoned:
            return True
        session: Session | None = None
        try:
            session = await self._wait_ready()
            if self._waiting[0] is not message:  # messages that were sent on the last connection go first
                return False
            await self._send(session, message)
        except Exception as error:  # noqa: BLE001 - the queue goes on with the next message
            lost = session is not None and not session.open
            if lost and isinstance(error, ConnectionFailed) and not message.ended:
                message.restart()
                return False
            if message.done is None:
                self._context.report(error)
            if not message.ended:
                self._unsent(message)
            message.fail((isinstance(error, ConnectionFailed) and self._lost(message)) or error)
        return True

    def _lost(self, message: OutboundMessage) -> ConnectionFailed | None:
        """Return the error for a message that an earlier connection may have carried; None if none has."""
        return None if message.lost_s is None else lost_on_the_way(f"a publish to {self.name}")

    def _send_again(self, messages: list[OutboundMessage]) -> None:
        """Send messages once more, before all that wait."""
        self._waiting.extendleft(reversed(messages))
        self._start()

    def _start(self) -> None:
        if self._waiting and not self._working:
            self._working = True
            self._context.start(self._work())

    async def _send(self, session: Session, message: OutboundMessage) -> None:
        content = message.content
        self._context.check_size(self.name, content.payload_bytes)
        await self._wait_addressable(session, message)
        chain = await self._chain_for(session, message)
        if not _fits_one_frame(session, message):
            async with self._context.transfer_room.taken(content.payload_bytes):
                await self._send_chunked(session, message, chain)
            return
        encoded = await _encoded(content, chain) if chain.names else None
        await session.drained()
        if not message.abandoned:
            self._write(session, message, encoded)

    async def _chain_for(self, session: Session, message: OutboundMessage) -> Chain:
        chain = message.chain or self._choice.known(message.content)
        if chain is None:
            chain = await WORKERS.run(self._choice.sample, message.content, session.welcome)
        check_agreed(chain, session.welcome)
        return chain

    async def _send_chunked(self, session: Session, message: OutboundMessage, chain: Chain) -> None:
        content = message.content
        plan = ChunkPlan(self._context.next_transfer(), session.chunk_bytes, content.payload_bytes)
        await session.drained()
        if message.abandoned:
            return
        if message.clock is not None and message.clock is not session.clock:
            message.judge_by(session.clock)
        resuming = self._resuming(message)
        stream, offset, before = self._begin(session, message)
        frame = write_data(
            message.opcode,
            stream=stream,
            offset=offset,
            timestamp_ns=message.timestamp_ns,
            flags=message.flags | FLAG_ACK if resuming else message.flags,
            meta=content.meta,
            plan=plan,
            extensions=replace(message.extensions or Extensions(), resuming=True) if resuming else message.extensions,
        )
        message.begun = True
        message.frame_bytes += session.send([*before, *frame]) - bytes_of(before)
        # In a thread beside the sending, which takes longer: 512 KiB are 90 us (2026-11).
        expected = WORKERS.run(checksum_from_the_end, content.buffers)
        try:
            first = await self._resumed(session, message, plan.transfer) if resuming else 0
            if first is not None:
                checksum = await self._send_chunks(session, message, plan, chain, first)
                if checksum != await expected:
                    raise UsageError(
                        f"the array was changed while it was published to {self.name}, and is not published: publish a"
                        " copy, or change it when the publish has returned"
                    )
                end = End(plan.transfer, message.correlation, session.now_ns(), checksum)
                await session.drained()
        except BaseException:
            session.send((Abort(plan.transfer, Code.TRANSFER_ABORTED).write(),))
            raise
        if first is not None:
            message.frame_bytes += session.send((end.write(),))
        message.ended = True
        self._written(message)

    async def _send_chunks(
        self, session: Session, message: OutboundMessage, plan: ChunkPlan, chain: Chain, first: int
    ) -> int:
        """Send chunk after chunk, each when there is room: memory stays bounded, and other messages pass in between.

        Returns:
            Checksum of the payload as it was sent, on earlier connections as well.
        """
        index = first
        checksum = message.sent_up_to(first, plan.chunk_bytes)
        sent_bytes = min(first * plan.chunk_bytes, plan.payload_bytes)
        async with aclosing(chunks_of(message.content, plan, chain, first)) as chunks:
            async for encoding, data, content in chunks:
                await session.drained()
                if message.abandoned:
                    raise ConnectionFailed(f"sending to {self.name} was abandoned")
                # These very bytes are sent: nothing changes them before they are copied.
                checksum = checksum_of(content, checksum)
                message.frame_bytes += session.send(write_chunk(plan.transfer, index, data, encoding))
                message.checksums.append(checksum)
                message.payload_sent_bytes += bytes_of(data)
                sent_bytes += plan.chunk_size(index)
                index += 1
                message.advanced(sent_bytes)
                await asyncio.sleep(0)  # a fast link takes chunk after chunk; other tasks must run as well
        return checksum


async def _encoded(content: Content, chain: Chain) -> OutboundChunk:
    if content.payload_bytes <= INLINE_ENCODE_BYTES:
        return encoded_chunk(content.buffers, chain, content.itemsize)
    return await WORKERS.run(encoded_chunk, content.buffers, chain, content.itemsize)


def _fits_one_frame(session: Session, message: OutboundMessage) -> bool:
    content = message.content
    if content.payload_bytes > session.chunk_bytes:
        return False
    # A large meta block can be what makes a frame too large; an empty payload cannot be chunked.
    return content.payload_bytes + len(content.meta) <= session.frame_bytes or not content.payload_bytes
