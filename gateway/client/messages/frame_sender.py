"""Frame sender: the part of a session that those need who only send frames on it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol

from gateway.protocol.wire import Buffer


class FrameSender(Protocol):
    """A connection that takes frames; :class:`~gateway.client.session.session.Session` is one."""

    @property
    def open(self) -> bool:
        """Whether frames can be sent."""

    def send_each(self, frames: Iterable[Buffer]) -> None:
        """Send complete frames, one in each buffer, in as few WebSocket messages as hold them."""
