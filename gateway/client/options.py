"""Options of a connection: plain values with their defaults, stated once.

Knows units and ranges. Reads no environment and opens nothing.
"""

from __future__ import annotations

import ssl
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import TypedDict

from gateway.client.report import Notice, Report
from gateway.errors import InvalidArgument
from gateway.protocol.limits import Limits
from gateway.protocol.messages import ClientType

Token = str | Callable[[], str | Awaitable[str | None] | None] | None
"""Proof of identity, or a function (plain or ``async``) that is called for a fresh one before every connection."""

Progress = Callable[[int, int], None]
"""Called with (bytes done, bytes in all) of a large message's payload, before compression."""


@dataclass(frozen=True, slots=True)
class Backoff:
    """Pauses before the next attempt to connect (``spec/client.md`` section 3)."""

    base_s: float = 0.25
    """Upper bound of the first pause; it doubles with every attempt that fails."""
    cap_s: float = 20.0
    """The upper bound grows no further than this."""
    later_s: float = 2.0
    """Added to the pause when the gateway says ``reconnect_later``."""
    stable_s: float = 5.0
    """Age at which a connection starts the count of attempts again."""

    def __post_init__(self) -> None:
        if self.base_s < 0 or self.cap_s < self.base_s or self.later_s < 0 or self.stable_s < 0:
            raise InvalidArgument(f"{self}: pauses must not be negative, and cap_s not below base_s")


@dataclass(frozen=True, slots=True)
class Options:
    """All options of :func:`gateway.client.connecting.connect`."""

    url: str
    client_type: str = ClientType.AGENT
    """``admin_panel``, ``workflow``, ``agent`` or ``extension``."""
    client_id: str | None = None
    """None: the gateway chooses one, which is kept over reconnects."""
    token: Token = None
    connect_timeout_s: float = 10.0
    """Limit for one attempt: TCP, TLS, WebSocket handshake, HELLO and WELCOME together."""
    close_timeout_s: float = 5.0
    """Limit for sending the messages that wait when the client closes, and again for the answer of the gateway."""
    backoff: Backoff | None = field(default_factory=Backoff)
    """Pauses between attempts to reconnect; None: a lost connection is not opened again."""
    max_pending_bytes: int = 64 * 1024 * 1024
    """Bytes of ``publish_nowait`` that may wait before it raises ``CapacityError``."""
    limits: Limits = field(default_factory=Limits)
    """Bounds on messages that are accepted from the gateway."""
    tls: ssl.SSLContext | None = None
    """TLS settings for ``wss://``; None: the system's certificates."""
    on_error: Report | None = None
    """Called with errors that nobody waits for; None: they are logged as warnings of the logger ``gateway.client``."""
    on_notice: Callable[[Notice], None] | None = None
    """Called with notices of messages that a receiver did not get or process, and of another client with the same
    ``client_id``; None: they are errors."""

    def __post_init__(self) -> None:
        if self.client_type not in tuple(ClientType):
            raise InvalidArgument(f"unknown client_type {self.client_type!r}; known are {', '.join(ClientType)}")
        for name in ("connect_timeout_s", "close_timeout_s", "max_pending_bytes"):
            if getattr(self, name) <= 0:
                raise InvalidArgument(f"{name}={getattr(self, name)}: must be above 0")


class ConnectKeywords(TypedDict, total=False):
    """Keyword arguments of ``connect``; :class:`Options` explains them and has the defaults."""

    client_type: str
    client_id: str | None
    token: Token
    connect_timeout_s: float
    close_timeout_s: float
    backoff: Backoff | None
    max_pending_bytes: int
    limits: Limits
    tls: ssl.SSLContext | None
    on_error: Report | None
    on_notice: Callable[[Notice], None] | None
