"""Pending request: a request that waits for its last reply (spec section 8)."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
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
"""ABORT with one of these does not answer the request: another reply, an ERROR or a CANCEL follows or has come."""


class RequestFailed(RequestRefused):
    """The addressee received the request and answered that it failed; ``message`` is its reason."""

    def __init__(self, address: str, error: str) -> None:
        super().__init__(Code.INTERNAL, error)
        self.address = address

    def __str__(self) -> str:
        return f"{self.address} failed the request: {self.message}"


@dataclass(slots=True, eq=False)
class PendingRequest:
    """A request that waits for its replies, and the destination of these when they are decoded."""

    address: str
    """The addressee."""
    message: OutboundMessage
    """The request; its result is the last reply."""
    parts: ReceiveBuffer[Message] | None
    """Buffer of a program that wants all replies as they come; None: it waits for the last one."""
    order: ReorderBuffer = field(default_factory=ReorderBuffer, init=False)
    """Order of the replies, kept while some of them are decoded."""
    over: bool = field(default=False, init=False)
    """True if the gateway does not know the request any more."""
    expiry: asyncio.TimerHandle | None = field(default=None, init=False)
    """Timer that ends the request at its deadline if it could not be sent by then."""

    bases = None
    """Replies do not come as deltas."""

    def deliver(self, inbound: InboundFrame, payload: Buffer) -> None:
        """Take a reply: the last one, or a part."""
        reply = inbound.item(self.address, None, 0, payload)
        assert isinstance(reply, Message)
        flags = inbound.frame.flags
        if flags & FLAG_FAILED:
            self.refuse(RequestFailed(self.address, str(reply.headers.get("error", "it did not say why"))))
            return
        if self.parts is not None:
            self.parts.put(reply)
        if flags & FLAG_MORE:
            self.message.touch()
        else:
            self.over = True
            self.message.finish(reply)

    def fail(self, error: Exception, inbound: InboundFrame | None) -> None:
        """Fail the request: a reply cannot be read. One that was only cut off is followed by another answer."""
        if not isinstance(error, RequestRefused) or error.code not in ENDED_EARLY:
            self.message.fail(error)

    def advanced(self, received_bytes: int, payload_bytes: int) -> None:
        """Start the asker's time limit again: a large reply grows."""
        self.message.touch()

    def refuse(self, error: Exception) -> None:
        """End the request with ``error``: no (further) reply will come."""
        self.over = True
        self.message.fail(error)
