"""Send queue: the messages to one destination, in the order of the calls.

A message goes out at once when none is before it and it needs no work; otherwise a task sends it, encodes in threads,
and cuts large payloads into chunks, between which messages of other queues pass (spec section 6).
"""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections import deque
from contextlib import suppress
from dataclasses import replace
from operator import attrgetter
from typing import Any, Final

from gateway.client.options import Backoff
from gateway.client.pauses import Pauses
from gateway.client.sending.codec_choice import CodecChoice, check_agreed
from gateway.client.sending.content import changed
from gateway.client.sending.outbound_chunk import INLINE_ENCODE_BYTES, OutboundChunk, OutboundChunks, whole_encoded
from gateway.client.sending.outbound_message import OutboundMessage, lost_on_the_way
from gateway.client.sending.send_context import SendContext
from gateway.client.session.session import Session
from gateway.client.workers import WORKERS
from gateway.errors import Code, ConnectionFailed, RequestRefused
from gateway.protocol.checksum import checksum_from_the_end, checksum_of
from gateway.protocol.data import write_data
from gateway.protocol.encoding import Chain
from gateway.protocol.extensions import Extensions
from gateway.protocol.frames import bytes_of
from gateway.protocol.signals import Abort, End
from gateway.protocol.transfers import ChunkPlan, write_chunk
from gateway.protocol.wire import FLAG_ACK, Buffer, Opcode

AGAIN: Final = Backoff(base_s=0.005, cap_s=1.0, later_s=0.0)
"""Pauses before a message is sent again that was refused for now."""


class Overtaken(Exception):
    """Sending of a message that ends early: it was refused for now, or one before it has to be sent again."""


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
        self._prune_above = 1
        self._pauses = Pauses()
        self._woken: asyncio.Future[None] | None = None

    @property
    def idle(self) -> bool:
        """True if no message waits or is under way."""
        return not self._waiting

    @property
    def unsent(self) -> int:
        """Number of messages that wait, and that nobody waits for."""
        return sum(message.count for message in self._waiting if message.done is None)

    @property
    @abstractmethod
    def sent(self) -> int:
        """A number that differs after each message that was sent."""

    def submit(self, message: OutboundMessage) -> None:
        """Send a message behind those that were submitted before."""
        message.line = self._waiting
        session = self._ready()
        if not self._waiting and session is not None and self._needs_no_work(session, message):
            self._write(session, message, None)
            return
        self._waiting.append(message)
        if len(self._waiting) > self._prune_above:  # they may wait for a connection that does not come
            first, *others = self._waiting
            self._arrange([first, *[other for other in others if not other.abandoned]])
            self._prune_above = 2 * len(self._waiting)
        self._start()

    def postpone(self, messages: list[OutboundMessage], refusal: RequestRefused) -> None:
        """Send messages again that were refused for now: after a pause, in their order, and before all that wait.

        A message behind them that is being sent makes way: it is aborted, and begun again in its turn.
        """
        self._pauses.refused(AGAIN, refusal.action)
        first = self._waiting[0] if self._waiting else None
        for message in messages:
            message.postpone(refusal)
        self._arrange(sorted(dict.fromkeys([*messages, *self._waiting]), key=attrgetter("turn")))
        if first is not None and first is not self._waiting[0] and first not in messages and not first.ended:
            self._unsent(first)
            first.renew()
        self._wake_up()
        self._start()

    def _arrange(self, messages: list[OutboundMessage]) -> None:
        self._waiting.clear()
        self._waiting.extend(messages)

    def under_way(self, sequence: int) -> OutboundMessage | None:
        """Return the message with this sequence if it is being sent."""
        first = self._waiting[0] if self._waiting else None
        return first if first is not None and first.sequence == sequence and not first.ended else None

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

    async def _answer_of(self, message: OutboundMessage, answer: asyncio.Future[int]) -> int | None:
        """Return the chunk that the gateway wants first of a large message; None if it has the complete message."""
        assert message.done is not None
        attempt = message.attempt
        while not answer.done():
            self._check(message, attempt)
            await self._first_of(answer, message.done)
        self._pauses.taken()
        return answer.result()

    def _written(self, message: OutboundMessage) -> None:  # noqa: B027 - most queues have nothing to do
        """Take note that the last frame of a message is written."""

    def _unsent(self, message: OutboundMessage) -> None:  # noqa: B027 - most queues have nothing to do
        """Take note that a message will not be sent completely as it was begun, so that nothing answers it."""

    def _answered(self, message: OutboundMessage) -> asyncio.Future[object] | None:
        """Return the future that is done when a message is taken that was sent again; None: do not wait for it."""
        return None

    def _drained(self) -> None:  # noqa: B027 - most queues have nothing to do
        """Take note that the queue has become idle."""

    # At once.

    def _needs_no_work(self, session: Session, message: OutboundMessage) -> bool:
        content = message.content
        if content.payload_bytes > INLINE_ENCODE_BYTES and session.congested():
            return False
        fits = content.fits_one_frame(session.chunk_bytes, session.frame_bytes)
        if not fits or not self._addressable(session, message):
            return False
        chain = message.chain or self._choice.known(content)
        return chain is not None and not chain.names

    def _write(self, session: Session, message: OutboundMessage, encoded: OutboundChunk | None) -> None:
        """Write the message in one frame."""
        message.judge_by(session.clock)
        content = message.content
        if encoded is not None:
            encoding, payload = encoded.encoding, encoded.data
        elif message.done is None:  # `publish_nowait` has copied it
            encoding, payload = None, content.buffers
        else:
            encoding, payload = None, [self._context.copied(content, self.name)]
        stream, offset, before = self._begin(session, message)
        frame = write_data(
            message.opcode,
            stream=stream,
            offset=offset,
            timestamp_ns=message.timestamp_ns,
            flags=message.flags,
            meta=content.meta,
            count=message.count if message.opcode == Opcode.BATCH else None,
            encoding=encoding,
            payload=payload,
            extensions=message.extensions,
        )
        sent_bytes = session.send([*before, *frame], may_wait=bool(message.flags & FLAG_ACK))
        message.frame_bytes = sent_bytes - bytes_of(before)
        message.payload_sent_bytes, message.ended = bytes_of(payload), True
        self._written(message)

    # By a task.

    async def _work(self) -> None:
        while self._waiting:
            if self._pauses.due:
                await self._pauses.wait()
            message = self._waiting[0]
            if await self._send_next(message):
                with suppress(ValueError):  # abandoned meanwhile, and taken out
                    self._waiting.remove(message)

    def _work_ended(self) -> None:
        self._working = False
        if not self._waiting:
            self._drained()
        elif self._context.cancelled:  # the client is closing
            self._drop_waiting()
        else:
            self._start()

    def _drop_waiting(self) -> None:
        self._context.unsent += self.unsent
        while self._waiting:
            message = self._waiting.popleft()
            closed = ConnectionFailed(f"closed before the message to {self.name} was sent")
            message.fail(self._lost(message) or (None if message.ended else message.postponed) or closed)

    async def _send_next(self, message: OutboundMessage) -> bool:
        """Send a message. Errors go to the caller that waits for it.

        Returns:
            Whether the message is dealt with: otherwise the connection was lost, or the gateway refused a message for
            now, and the first message that waits now is the next.
        """
        if message.abandoned:
            return True
        session: Session | None = None
        try:
            session = await self._wait_ready()
            if self._waiting[0] is not message:  # messages that were sent on the last connection go first
                return False
            await self._send(session, message)
            if message.ended and message.postponed is not None and not message.begun:
                await self._wait_settled(message)
            if not message.ended and not message.abandoned:
                return False
        except Overtaken:
            return message.abandoned
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

    async def _wait_settled(self, message: OutboundMessage) -> None:
        """Wait until a message that was sent again is taken, refused again, or lost: none behind it may pass it."""
        if (answered := self._answered(message)) is None:
            return
        while message.ended and not answered.done() and self._waiting[0] is message:
            await self._first_of(answered)
        if answered.done() and not answered.cancelled() and answered.exception() is None:
            self._pauses.taken()

    async def _first_of(self, *outcomes: asyncio.Future[Any]) -> None:
        """Wait until one of the outcomes is known, or :meth:`_wake_up` is called."""
        self._woken = asyncio.get_running_loop().create_future()
        await asyncio.wait([*outcomes, self._woken], return_when=asyncio.FIRST_COMPLETED)
        self._woken = None

    def _wake_up(self) -> None:
        """Have the task look at the messages again, if it waits for an outcome."""
        if self._woken is not None and not self._woken.done():
            self._woken.set_result(None)

    def _lost(self, message: OutboundMessage) -> ConnectionFailed | None:
        """Return the error for a message that an earlier connection may have carried; None if none has."""
        return None if message.lost_s is None else lost_on_the_way(f"a publish to {self.name}")

    def _send_again(self, messages: list[OutboundMessage]) -> None:
        """Send messages once more, before all that wait."""
        self._waiting.extendleft(message for message in reversed(messages) if message not in self._waiting)
        self._wake_up()
        self._start()

    def _start(self) -> None:
        if self._waiting and not self._working:
            self._working = True
            self._context.start(self._work(), self._work_ended)

    async def _send(self, session: Session, message: OutboundMessage) -> None:
        content = message.content
        self._context.check_size(self.name, content.payload_bytes)
        await self._wait_addressable(session, message)
        chain = await self._chain_for(session, message)
        if not message.fits_one_frame(session.chunk_bytes, session.frame_bytes):
            async with self._context.transfer_room.taken(content.payload_bytes):
                await self._send_chunked(session, message, chain)
            return
        encoded = await whole_encoded(content, chain, self.name) if chain.names else None
        await session.drained()
        if not message.abandoned and self._waiting[0] is message:
            self._write(session, message, encoded)

    async def _chain_for(self, session: Session, message: OutboundMessage) -> Chain:
        chain = message.chain or self._choice.known(message.content)
        if chain is None:
            chain = await WORKERS.run(self._choice.sample, message.content, session.welcome)
        check_agreed(chain, session.welcome)
        return chain

    async def _send_chunked(self, session: Session, message: OutboundMessage, chain: Chain) -> None:
        content = message.content
        plan = ChunkPlan(self._context.next_transfer(), session.chunk_sizes.of(self.name), content.payload_bytes)
        await session.drained()
        if message.abandoned or self._waiting[0] is not message:
            return
        message.judge_by(session.clock)
        attempt = message.attempt
        # The gateway may have a part of the message, or may refuse it once more: then no chunk is sent in vain.
        asking = message.begun or attempt > 0 or message.lost_s is not None
        extensions = message.extensions
        if asking or message.confirmed:
            extensions = replace(extensions or Extensions(), resuming=True)
        stream, offset, before = self._begin(session, message)
        frame = write_data(
            message.opcode,
            stream=stream,
            offset=offset,
            timestamp_ns=message.timestamp_ns,
            flags=message.flags,
            meta=content.meta,
            plan=plan,
            extensions=extensions,
        )
        message.begun = True
        head_bytes = session.send([*before, *frame]) - bytes_of(before)
        message.frame_bytes += head_bytes
        answer = self._context.resumptions.expect(plan.transfer)
        try:
            first = await self._answer_of(message, answer) if asking else 0
            if first == 0:
                message.forget_sent()
                message.frame_bytes = head_bytes
            if first is not None:
                checksum = await self._send_chunks(session, message, plan, chain, first)
                end = End(plan.transfer, message.correlation, session.now_ns(), checksum)
                await session.drained()
                self._check(message, attempt)
                message.frame_bytes += session.send((end.write(),))
            if message.confirmed and not asking:
                await self._answer_of(message, answer)
        except BaseException:
            session.send((Abort(plan.transfer, Code.TRANSFER_ABORTED).write(),))
            raise
        finally:
            self._context.resumptions.forget(plan.transfer)
        message.ended = True
        self._written(message)

    def _check(self, message: OutboundMessage, attempt: int) -> None:
        """Raise unless the sending of a large message goes on."""
        if message.abandoned:
            raise ConnectionFailed(f"sending to {self.name} was abandoned")
        if message.attempt != attempt:
            raise Overtaken

    async def _send_chunks(
        self, session: Session, message: OutboundMessage, plan: ChunkPlan, chain: Chain, first: int
    ) -> int:
        """Send chunk after chunk, each when there is room: memory stays bounded, and other messages pass in between.

        Returns:
            Checksum of the payload as it was sent, on earlier connections as well: that of one moment.
        """
        index, attempt = first, message.attempt
        checksum = message.sent_up_to(first, plan.chunk_bytes)
        with self._context.copy_rooms.copied(message.content, self.name) as (content, unchanging):
            # Chunks that were sent before may be of another moment than a copy.
            expected = WORKERS.run(checksum_from_the_end, content.buffers) if first or not unchanging else None
            async for encoding, data, part in OutboundChunks(content, plan, chain, first, unchanging=unchanging):
                await session.drained()
                self._check(message, attempt)
                if part is None:  # read once: these very bytes are sent, whatever changes the memory meanwhile
                    data = part = self._context.joined(data)
                checksum = checksum_of(part, checksum)
                frame_bytes = session.send(write_chunk(plan.transfer, index, data, encoding))
                message.chunk_sent(frame_bytes, bytes_of(data), checksum)
                index += 1
                message.advanced(min(index * plan.chunk_bytes, plan.payload_bytes))
                await asyncio.sleep(0)  # a fast link takes chunk after chunk; other tasks must run as well
            if expected is not None and checksum != await expected:
                raise changed(self.name)
        return checksum
