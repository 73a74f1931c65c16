"""Notices about messages of this client that a receiver did not get or process (spec section 7.6)."""

from __future__ import annotations

from typing import NamedTuple

from gateway.protocol import messages


class Notice(NamedTuple):
    """Messages that did not reach a receiver, or were not processed by it."""

    stream: str
    first: int
    """First offset that the notice concerns."""
    last: int
    """Last offset."""
    code: int
    """``EXPIRED`` or ``DEAD_LETTER`` of :class:`gateway.errors.Code`."""
    client_id: str | None
    """The receiver, if it is known."""
    reason: str
    """Explanation for people."""

    @classmethod
    def of(cls, notice: messages.Notice) -> Notice:
        """Return the notice in a NOTICE frame of the gateway."""
        return cls(notice.stream, notice.first, notice.last, notice.code, notice.client_id, notice.reason)

    def __str__(self) -> str:
        offsets = f"message {self.first}" if self.first == self.last else f"messages {self.first} to {self.last}"
        return f"{offsets} of {self.stream} did not get through to {self.client_id or 'a receiver'}: {self.reason}"
