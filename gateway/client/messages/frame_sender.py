"""Frame sender: the part of a session that those need who only send frames on it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from gateway.protocol.wire import Buffer


class FrameSender(Protocol):
    """A connection that takes frames; :class:`~gateway.client.session.session.Session` is one."""

    @property
    def open(self) -> bool:
        """Whether frames can be sent."""

    def send(self, buffers: Sequence[Buffer]) -> int:
        """Send complete frames as one WebSocket message, and return their size in bytes."""
