"""The messages of one stream, in the order of the calls, over as many sessions as it takes."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from gateway.client.sending.alias import Alias
from gateway.client.sending.declaration import ANYTHING
from gateway.client.sending.outbound_message import OutboundMessage
from gateway.client.sending.patch_content import schema_in, shape_of
from gateway.client.sending.send_context import SendContext
from gateway.client.sending.send_queue import SendQueue
from gateway.client.session.session import Session
from gateway.errors import ConnectionFailed, RequestRefused
from gateway.protocol.regions import Sizes
from gateway.protocol.schema import Schema
from gateway.protocol.wire import PRODUCER_KEPT_S, Buffer


class StreamSendQueue(SendQueue):
    """The messages of one stream, under the alias that it has on the present session.

    Args:
        context: the way out.
        name: of the stream.
        producer: the client's number; its sequences of the stream count on over all sessions.
        drained: called with the name when the queue has become idle.
    """

    def __init__(self, context: SendContext, name: str, producer: int, drained: Callable[[str], None]) -> None:
        super().__init__(context, name)
        self._producer = producer
        self._next_sequence = 1
        self._alias: Alias | None = None
        self._declared = ANYTHING
        self._whole: bytes | None = None
        """The meta block of what was last published whole."""
        self._when_drained = drained

    def forget(self, alias: Alias) -> None:
        """The gateway refused to open the stream: the next message asks again."""
        if self._alias is alias:
            self._alias, self._declared = None, ANYTHING

    def submit(self, job: OutboundMessage) -> None:
        """See :class:`~gateway.client.sending.send_queue.SendQueue`."""
        if job.extensions is None:
            self._whole = job.content.meta
        super().submit(job)

    def shape_of(self, tensor: str, schema: Schema | None) -> Sizes | None:
        """The shape of a tensor of the state: as it was last published whole here, or else as it is declared.

        Args:
            schema: what the caller declares.
        """
        told = None if self._alias is None else schema_in(self._alias.info)
        return shape_of(self._whole, [schema, self._declared.schema, told], tensor)

    def send_again(self, jobs: list[OutboundMessage]) -> None:
        """Send publishes again, before all others, of which the lost session has not told what became of them."""
        lost_s = asyncio.get_running_loop().time()
        again = sorted((job for job in jobs if job.ended and not job.abandoned), key=lambda job: job.sequence)
        for job in again:
            job.restart()
            if job.lost_s is None:
                job.lost_s = lost_s
        self._send_again(again)

    def _addressable(self, session: Session, job: OutboundMessage) -> bool:
        alias = self._alias
        if alias is None or alias.session is not session or job.declaration.within(alias.declared):
            return True
        try:
            return alias.info is not None and job.declaration.holds(alias.info)
        except RequestRefused:
            return False

    async def _wait_addressable(self, session: Session, job: OutboundMessage) -> None:
        if self._addressable(session, job) or self._alias is None:
            return
        if not job.declaration.holds(await self._alias.answered()):
            # It has to be said by an OPEN of its own.
            self._alias = None

    def _begin(self, session: Session, job: OutboundMessage) -> tuple[int, int, list[Buffer]]:
        if not job.sequence:
            job.sequence = self._next_sequence
            self._next_sequence += job.count
        before: list[Buffer] = []
        alias = self._alias
        if alias is None or alias.session is not session:
            self._declared = job.declaration.over(self._declared)
            alias = self._alias = self._context.aliases.open(
                session, self.name, self._declared, self._producer, job.sequence
            )
            before.append(alias.opening())
        if job.done is not None:
            alias.awaiting[job.sequence] = job
        return alias.number, job.sequence, before

    async def _send(self, session: Session, job: OutboundMessage) -> None:
        lost_s = job.lost_s
        if lost_s is not None and asyncio.get_running_loop().time() - lost_s > PRODUCER_KEPT_S:
            raise ConnectionFailed("the gateway has forgotten by now what was published before")
        await super()._send(session, job)

    def _resuming(self, job: OutboundMessage) -> bool:
        if job.begun and job.done is None:
            # Nobody waits for it. But it may be complete, which only an acknowledgement tells.
            job.done = asyncio.get_running_loop().create_future()
            job.done.add_done_callback(self._report)
        return job.begun

    async def _resumed(self, session: Session, job: OutboundMessage, transfer: int) -> int | None:
        assert job.done is not None
        index = await self._context.resumptions.index_of(transfer, job.done)
        if index == 0:
            job.forget_sent()
        if index is None and job.done.cancelled():
            raise ConnectionFailed(f"gave up sending to {self.name}")
        return index

    def _report(self, done: asyncio.Future[object]) -> None:
        if not done.cancelled() and (error := done.exception()) is not None:
            assert isinstance(error, Exception)
            self._context.report(error)

    def _drained(self) -> None:
        self._when_drained(self.name)
