"""A request that waits for its last reply (spec section 8), and what its replies make of it."""

from __future__ import annotations

import asyncio
from typing import Final

from gateway.client.decoding.inbound_frame import InboundFrame
from gateway.client.messages.message import Message
from gateway.client.messages.receive_buffer import ReceiveBuffer
from gateway.client.sending.outbound_message import OutboundMessage
from gateway.errors import Code, RequestRefused
from gateway.protocol.reorder_buffer import ReorderBuffer
from gateway.protocol.wire import FLAG_FAILED, FLAG_MORE, Buffer

ENDED_EARLY: Final = frozenset(
    {Code.TRANSFER_ABORTED, Code.TRANSFER_TIMEOUT, Code.PEER_GONE, Code.CANCELLED, Code.EXPIRED}
)
"""ABORT with one of these is no word on the request itself: another reply, an ERROR or a CANCEL follows or has come."""


class RequestFailed(RequestRefused):
    """The addressee got the request and answered that it failed; ``message`` is what it said."""

    def __init__(self, address: str, error: str) -> None:
        super().__init__(Code.INTERNAL, error)
        self.address = address

    def __str__(self) -> str:
        return f"{self.address} failed the request: {self.message}"


class PendingRequest:
    """One request, and where its replies go when they are decoded.

    Args:
        address: whom it is for.
        job: the request; its result is the last reply.
        parts: takes every reply, for a program that wants them as they come; None: it waits for the last one.

    Attributes:
        order: keeps the replies in order while some of them are decoded.
        over: the gateway knows of no such request any more.
        expiry: ends it at its deadline, should it not be sent by then.
    """

    __slots__ = ("_parts", "address", "expiry", "job", "order", "over")

    bases = None
    """Nothing of a reply comes as a delta."""

    def __init__(self, address: str, job: OutboundMessage, parts: ReceiveBuffer[Message] | None) -> None:
        self.address = address
        self.job = job
        self.order = ReorderBuffer()
        self.over = False
        self.expiry: asyncio.TimerHandle | None = None
        self._parts = parts

    def deliver(self, arrival: InboundFrame, payload: Buffer) -> None:
        """A reply: the last one, or a part."""
        message = arrival.item(self.address, None, 0, payload)
        assert isinstance(message, Message)
        flags = arrival.frame.flags
        if flags & FLAG_FAILED:
            self.refuse(RequestFailed(self.address, str(message.headers.get("error", "it did not say why"))))
            return
        if self._parts is not None:
            self._parts.put(message)
        if flags & FLAG_MORE:
            self.job.touch()
        else:
            self.over = True
            self.job.finish(message)

    def fail(self, error: Exception, arrival: InboundFrame | None) -> None:
        """A reply came and cannot be read; one that was only cut off is followed by something else."""
        if not isinstance(error, RequestRefused) or error.code not in ENDED_EARLY:
            self.job.fail(error)

    def advanced(self, received_bytes: int, payload_bytes: int) -> None:
        """A large reply grows: the asker's time limit starts again."""
        self.job.touch()

    def refuse(self, error: Exception) -> None:
        """There will be no (further) reply."""
        self.over = True
        self.job.fail(error)
