"""What became of messages that this client has published, at their receivers (spec section 7.6)."""

from __future__ import annotations

from typing import NamedTuple

from gateway.protocol import messages


class Notice(NamedTuple):
    """Messages that did not reach a receiver, or were not processed by it."""

    stream: str
    first: int
    """First offset that it concerns."""
    last: int
    """Last one."""
    code: int
    """``EXPIRED`` or ``DEAD_LETTER`` of :class:`gateway.errors.Code`."""
    client_id: str | None
    """The receiver."""
    reason: str
    """For people."""

    @classmethod
    def of(cls, notice: messages.Notice) -> Notice:
        """What the gateway has said."""
        return cls(notice.stream, notice.first, notice.last, notice.code, notice.client_id, notice.reason)

    def __str__(self) -> str:
        what = f"message {self.first}" if self.first == self.last else f"messages {self.first} to {self.last}"
        return f"{what} of {self.stream} did not get through to {self.client_id or 'a receiver'}: {self.reason}"
