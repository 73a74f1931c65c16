"""Options of a connection: plain values with their defaults, stated once.

Knows units and ranges. Reads no environment and opens nothing.
"""

from __future__ import annotations

import ssl
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field, fields
from types import NoneType
from typing import Any, Final, TypedDict

from gateway.client.report import Notice, Report
from gateway.errors import InvalidArgument
from gateway.protocol.arguments import (
    check_callback,
    check_count,
    check_flag,
    check_seconds,
    check_text,
    check_type,
    is_a,
    nearest,
    wrong,
)
from gateway.protocol.limits import MIN_FRAME_LIMIT_BYTES, Limits
from gateway.protocol.messages import ClientType

Token = str | Callable[[], str | Awaitable[str | None] | None] | None
"""Proof of identity, or a function (plain or ``async``) that is called for a fresh one before every connection."""

Progress = Callable[[int, int], None]
"""Called with (bytes done, bytes in all) of a large message's payload, before compression."""

_KNOWN_TYPES: Final = f"unknown client_type; known are {', '.join(ClientType)}"


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
        for name in ("base_s", "cap_s", "later_s", "stable_s"):
            object.__setattr__(self, name, check_seconds(name, getattr(self, name)))
        if self.cap_s < self.base_s:
            raise InvalidArgument(f"{self}: cap_s must not be below base_s")


@dataclass(frozen=True, slots=True)
class Options:
    """All options of :func:`gateway.client.connecting.connect`."""

    url: str
    client_type: str = ClientType.AGENT
    """``admin_panel``, ``workflow``, ``agent`` or ``extension``."""
    client_id: str | None = None
    """None: the gateway chooses one, which is kept over reconnects. If two programs have the same one, the client of
    the older is closed with ``SUPERSEDED``."""
    token: Token = field(default=None, repr=False)
    connect_timeout_s: float = 10.0
    """Limit for one attempt: TCP, TLS, WebSocket handshake, HELLO and WELCOME together; and before it for the token, if
    an ``async`` function gives it."""
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
    """Called with notices of messages that a receiver did not get or process; None: they are errors."""
    credit_all_kinds: bool = False
    """Whether ``credits`` of subscriptions bound the messages of streams of all kinds but ``control``, and not only of
    ``collaboration`` streams. They bound only these if the gateway does not know that."""

    def __post_init__(self) -> None:
        check_text("url", self.url, "the URL of a gateway is a string, such as 'ws://127.0.0.1:8765'")
        if self.client_id is not None:
            check_text("client_id", self.client_id, "it must be a string, or None")
        if check_text("client_type", self.client_type, _KNOWN_TYPES) not in tuple(ClientType):
            raise wrong("client_type", self.client_type, _KNOWN_TYPES)
        if not (self.token is None or is_a(self.token, str) or callable(self.token)):
            raise wrong("token", self.token, "it must be a string, a function that returns one, or None")
        if is_a(self.token, str):
            check_text("token", self.token)
        for name in ("connect_timeout_s", "close_timeout_s"):
            object.__setattr__(self, name, check_seconds(name, getattr(self, name), zero=False))
        object.__setattr__(self, "max_pending_bytes", check_count("max_pending_bytes", self.max_pending_bytes))
        check_type("backoff", self.backoff, (Backoff, NoneType), "it must be a Backoff, or None")
        limits = check_type("limits", self.limits, Limits, "it must be a Limits")
        bounds = {each.name: check_count(f"limits.{each.name}", getattr(limits, each.name)) for each in fields(limits)}
        object.__setattr__(self, "limits", Limits(**bounds))
        if self.limits.max_frame_bytes < MIN_FRAME_LIMIT_BYTES:
            least = f"at least {MIN_FRAME_LIMIT_BYTES}: messages of 1 MiB come in one frame, with their descriptors"
            raise wrong("limits.max_frame_bytes", self.limits.max_frame_bytes, f"it must be {least}")
        check_type("tls", self.tls, (ssl.SSLContext, NoneType), "it must be an ssl.SSLContext, or None")
        check_callback("on_error", self.on_error)
        check_callback("on_notice", self.on_notice)
        check_flag("credit_all_kinds", self.credit_all_kinds)

    @classmethod
    def of(cls, url: str, settings: Mapping[str, Any]) -> Options:
        """Return the options that a caller of ``connect`` names.

        Raises:
            InvalidArgument: an option that does not exist, or a value that cannot be used.
        """
        known = ConnectKeywords.__annotations__
        for name, value in settings.items():
            if name not in known:
                close = nearest(name, known)
                hint = f"did you mean {close}?" if close else f"there are {', '.join(known)}"
                raise wrong(name, value, f"connect has no such option; {hint}")
        return cls(url, **settings)


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
    credit_all_kinds: bool
