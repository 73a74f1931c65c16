"""The messages to one destination, in the order of the calls.

A message goes out at once when nothing is before it and it needs no work; otherwise a task sends it, encodes in
threads, and cuts what is large into chunks, between which messages of other queues pass (spec section 6).
"""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import AsyncGenerator
from contextlib import aclosing, suppress
from dataclasses import replace
from itertools import islice
from typing import Final

from gateway.client.sending.codec_choice import CodecChoice, check_agreed
from gateway.client.sending.outbound_message import OutboundMessage, lost_on_the_way
from gateway.client.sending.send_context import SendContext
from gateway.client.session.session import Session
from gateway.errors import Code, ConnectionFailed, RequestRefused
from gateway.protocol.data import write_data
from gateway.protocol.encoding import Chain, Encoding, encode
from gateway.protocol.extensions import Extensions
from gateway.protocol.frames import bytes_of
from gateway.protocol.signals import Abort, End
from gateway.protocol.transfers import ChunkPlan, checksum_of, split_payload, write_chunk
from gateway.protocol.wire import FLAG_ACK, Buffer, Opcode

INLINE_ENCODE_BYTES: Final = 64 * 1024
"""Payloads above this are encoded in a thread, and wait for room to write."""
READ_AHEAD: Final = 2
"""Chunks that are encoded while the one before them is sent."""
Encoded = tuple[Encoding, Buffer] | None


class SendQueue(ABC):
    """One destination. Subclasses say how frames name it."""

    def __init__(self, context: SendContext, name: str) -> None:
        self.name = name
        self._context = context
        self._queue: deque[OutboundMessage] = deque()
        self._choice = CodecChoice()
        self._working = False

    @property
    def idle(self) -> bool:
        """Whether nothing waits or is under way."""
        return not self._queue

    def submit(self, job: OutboundMessage) -> None:
        """Send a message after those that were submitted before."""
        session = self._ready()
        if not self._queue and session is not None and self._needs_no_work(session, job):
            self._write(session, job, None)
            return
        while len(self._queue) > 1 and self._queue[1].abandoned:  # they wait for a connection that does not come
            del self._queue[1]
        self._queue.append(job)
        self._start()

    @abstractmethod
    def _begin(self, session: Session, job: OutboundMessage) -> tuple[int, int, list[Buffer]]:
        """The job's first frame is about to be written.

        Returns:
            What goes into the frame's ``stream`` and ``offset``, and frames that have to go before it.
        """

    def _ready(self) -> Session | None:
        """The session to write to now, if there is one."""
        return self._context.ready

    async def _wait_ready(self) -> Session:
        """Wait for the session to write to; raises if there will be none."""
        return await self._context.wait_ready()

    def _addressable(self, session: Session, job: OutboundMessage) -> bool:
        """Whether the job may be written now; if not, :meth:`_wait_addressable` has to be awaited first."""
        return True

    async def _wait_addressable(self, session: Session, job: OutboundMessage) -> None:  # noqa: B027 - most need not
        """Wait until it is known whether the job may be written; raises if it may not."""

    def _resuming(self, job: OutboundMessage) -> bool:
        """Whether the gateway may have a part of a large message, and is to be asked for what it lacks."""
        return False

    async def _resumed(self, session: Session, job: OutboundMessage, transfer: int) -> int | None:
        """The chunk to go on with of a large message whose head was sent so; None if it lacks nothing."""
        raise AssertionError(f"messages to {self.name} are not resumed")

    def _written(self, job: OutboundMessage) -> None:  # noqa: B027 - most queues have nothing to do
        """Called when the last frame of a job is written."""

    def _drained(self) -> None:  # noqa: B027 - most queues have nothing to do
        """Called when the queue has become idle."""

    # At once.

    def _needs_no_work(self, session: Session, job: OutboundMessage) -> bool:
        content = job.content
        if content.payload_bytes > INLINE_ENCODE_BYTES and session.congested():
            return False
        if not _fits_one_frame(session, job) or not self._addressable(session, job):
            return False
        chain = job.chain or self._choice.known(content)
        return chain is not None and not chain.names

    def _write(self, session: Session, job: OutboundMessage, encoded: Encoded) -> None:
        """The whole message in one frame."""
        stream, offset, before = self._begin(session, job)
        encoding, payload = (None, job.content.buffers) if encoded is None else (encoded[0], [encoded[1]])
        frame = write_data(
            job.opcode,
            stream=stream,
            offset=offset,
            timestamp_ns=job.timestamp_ns,
            flags=job.flags,
            meta=job.content.meta,
            count=job.count if job.opcode == Opcode.BATCH else None,
            encoding=encoding,
            payload=payload,
            extensions=job.extensions,
        )
        job.frame_bytes = session.send([*before, *frame]) - bytes_of(before)
        job.payload_sent_bytes = bytes_of(payload)
        job.ended = True
        self._written(job)

    # By a task.

    async def _work(self) -> None:
        try:
            while self._queue:
                job = self._queue[0]
                if await self._send_next(job):
                    with suppress(ValueError):  # given up meanwhile, and taken out
                        self._queue.remove(job)
        finally:
            self._working = False
            if self._queue:  # only if the task was cancelled: the client is closing
                self._drop_waiting()
        self._drained()

    def _drop_waiting(self) -> None:
        unwatched = sum(job.count for job in self._queue if job.done is None)
        if unwatched:
            self._context.report(ConnectionFailed(f"closed before {unwatched} messages to {self.name} were sent"))
        while self._queue:
            job = self._queue.popleft()
            job.fail(self._lost(job) or ConnectionFailed(f"closed before the message to {self.name} was sent"))

    async def _send_next(self, job: OutboundMessage) -> bool:
        """Send a message; whatever goes wrong goes to whoever waits for it.

        Returns:
            Whether that is all: otherwise the connection was lost, and the first message that waits now is the next.
        """
        if job.abandoned:
            return True
        session: Session | None = None
        try:
            session = await self._wait_ready()
            if self._queue[0] is not job:  # messages that were sent on the last connection go before it
                return False
            await self._send(session, job)
        except Exception as error:  # noqa: BLE001 - the queue goes on with the next message
            lost = session is not None and not session.open
            if lost and isinstance(error, ConnectionFailed) and not job.ended:
                job.restart()
                return False
            if job.done is None:
                self._context.report(error)
            job.fail((isinstance(error, ConnectionFailed) and self._lost(job)) or error)
        return True

    def _lost(self, job: OutboundMessage) -> ConnectionFailed | None:
        """The error for a message that an earlier connection may have brought to the gateway; None if none has."""
        return None if job.lost_s is None else lost_on_the_way(f"a publish to {self.name}")

    def _send_again(self, jobs: list[OutboundMessage]) -> None:
        """Send messages once more, before all that waits."""
        self._queue.extendleft(reversed(jobs))
        self._start()

    def _start(self) -> None:
        if self._queue and not self._working:
            self._working = True
            self._context.start(self._work())

    async def _send(self, session: Session, job: OutboundMessage) -> None:
        content = job.content
        limit = session.welcome.limits.max_message_bytes
        if content.payload_bytes > limit:
            raise RequestRefused(
                Code.MESSAGE_TOO_BIG, f"{self.name}: {content.payload_bytes} bytes, the gateway takes at most {limit}"
            )
        await self._wait_addressable(session, job)
        chain = await self._chain_for(session, job)
        if not _fits_one_frame(session, job):
            async with self._context.transfer_room.taken(content.payload_bytes):
                await self._send_chunked(session, job, chain)
            return
        encoded: Encoded = None
        if chain.names:
            encoded = await _encoded([*content.buffers], chain, content.itemsize)
        await session.drained()
        if not job.abandoned:
            self._write(session, job, encoded)

    async def _chain_for(self, session: Session, job: OutboundMessage) -> Chain:
        chain = job.chain or self._choice.known(job.content)
        if chain is None:
            chain = await asyncio.get_running_loop().run_in_executor(
                None, self._choice.sample, job.content, session.welcome
            )
        check_agreed(chain, session.welcome)
        return chain

    async def _send_chunked(self, session: Session, job: OutboundMessage, chain: Chain) -> None:
        content = job.content
        plan = ChunkPlan(self._context.next_transfer(), session.chunk_bytes, content.payload_bytes)
        await session.drained()
        if job.abandoned:
            return
        resuming = self._resuming(job)
        stream, offset, before = self._begin(session, job)
        frame = write_data(
            job.opcode,
            stream=stream,
            offset=offset,
            timestamp_ns=job.timestamp_ns,
            flags=job.flags | FLAG_ACK if resuming else job.flags,
            meta=content.meta,
            plan=plan,
            extensions=replace(job.extensions or Extensions(), resuming=True) if resuming else job.extensions,
        )
        job.begun = True
        job.frame_bytes += session.send([*before, *frame]) - bytes_of(before)
        # In a thread beside the sending, which takes longer: 512 KiB are 90 us (2026-11).
        checksum = asyncio.get_running_loop().run_in_executor(None, checksum_of, content.buffers)
        try:
            first = await self._resumed(session, job, plan.transfer) if resuming else 0
            if first is not None:
                await self._send_chunks(session, job, plan, chain, first)
                end = End(plan.transfer, job.correlation, session.now_ns(), await checksum)
                await session.drained()
        except BaseException:
            session.send((Abort(plan.transfer, Code.TRANSFER_ABORTED).write(),))
            raise
        if first is not None:
            job.frame_bytes += session.send((end.write(),))
        job.ended = True
        self._written(job)

    async def _send_chunks(
        self, session: Session, job: OutboundMessage, plan: ChunkPlan, chain: Chain, first: int
    ) -> None:
        """Chunk after chunk, each when there is room, so that memory stays bounded and other messages get between."""
        index = first
        sent_bytes = min(first * plan.chunk_bytes, plan.payload_bytes)
        async with aclosing(_chunks(job, plan, chain, first)) as chunks:
            async for encoding, data in chunks:
                await session.drained()
                if job.abandoned:
                    raise ConnectionFailed(f"gave up sending to {self.name}")
                job.frame_bytes += session.send(write_chunk(plan.transfer, index, data, encoding))
                job.payload_sent_bytes += bytes_of(data)
                sent_bytes += plan.chunk_size(index)
                index += 1
                job.advanced(sent_bytes)
                await asyncio.sleep(0)  # a fast link takes one chunk after the other; others want to run as well


async def _chunks(
    job: OutboundMessage, plan: ChunkPlan, chain: Chain, first: int
) -> AsyncGenerator[tuple[Encoding | None, list[Buffer]], None]:
    """The chunks from ``first`` on as they are to be sent. Encoding runs in threads, a little ahead of sending."""
    parts = islice(split_payload(job.content.buffers, plan.chunk_bytes), first, None)
    if not chain.names:
        for part in parts:
            yield None, part
        return
    ahead: deque[tuple[list[Buffer], asyncio.Future[Encoded]]] = deque()
    loop = asyncio.get_running_loop()
    for part in parts:
        ahead.append((part, loop.run_in_executor(None, _encode, part, chain, job.content.itemsize)))
        if len(ahead) > READ_AHEAD:
            yield await _next_encoded(ahead)
    while ahead:
        yield await _next_encoded(ahead)


async def _next_encoded(
    ahead: deque[tuple[list[Buffer], asyncio.Future[Encoded]]],
) -> tuple[Encoding | None, list[Buffer]]:
    part, work = ahead.popleft()
    encoded = await work
    return (None, part) if encoded is None else (encoded[0], [encoded[1]])


async def _encoded(buffers: list[Buffer], chain: Chain, itemsize: int) -> Encoded:
    if bytes_of(buffers) <= INLINE_ENCODE_BYTES:
        return _encode(buffers, chain, itemsize)
    return await asyncio.get_running_loop().run_in_executor(None, _encode, buffers, chain, itemsize)


def _encode(buffers: list[Buffer], chain: Chain, itemsize: int) -> Encoded:
    return encode(chain, buffers[0] if len(buffers) == 1 else b"".join(buffers), itemsize)


def _fits_one_frame(session: Session, job: OutboundMessage) -> bool:
    content = job.content
    if content.payload_bytes > session.chunk_bytes:
        return False
    # A large meta block can be what makes a frame too large; an empty payload cannot be chunked.
    return content.payload_bytes + len(content.meta) <= session.frame_bytes or not content.payload_bytes
