"""Receivers: the functions of the core that take the messages of one WebSocket."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, NamedTuple

from gateway.connections.sessions.session import Session
from gateway.protocol.wire import Buffer


class Receivers(NamedTuple):
    """Functions that take the messages of a connection, each called with its session and the message."""

    binary: Callable[[Session, Buffer], object]
    """Receiver of binary messages, which belong to it."""
    text: Callable[[Session, bytes | bytearray], object]
    """Receiver of text messages, as UTF-8 that may be invalid, which do not change afterwards."""


def _discard(session: Session, message: Buffer) -> None:
    """Ignore a message."""


NO_RECEIVERS: Final = Receivers(_discard, _discard)
"""Receivers of a connection that takes no messages: before the handshake, and once one side has closed."""
