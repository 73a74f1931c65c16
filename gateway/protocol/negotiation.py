"""Negotiation of version, codecs and limits, as a pure function of HELLO and capabilities (spec section 3.1)."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

from gateway.errors import Code, ProtocolViolation
from gateway.protocol.codecs import CODEC_NAMES
from gateway.protocol.limits import Limits
from gateway.protocol.messages import ClientType, Hello
from gateway.protocol.wire import VERSION

PATCH: Final = "patch"
"""The name among the filters of a peer that applies patches to its copy of a state (spec section 5.4)."""


@dataclass(frozen=True, slots=True)
class Capabilities:
    """Capabilities of a server."""

    versions: tuple[int, ...] = (VERSION,)
    """Protocol versions that the server speaks."""
    codecs: tuple[str, ...] = ()
    """Compressors that the server knows, by name, the preferred one first."""
    filters: tuple[str, ...] = ()
    """Filters that the server knows, by name, the preferred one first."""
    limits: Limits = field(default_factory=Limits)
    """Limits on messages that the server accepts."""


@dataclass(frozen=True, slots=True)
class CodecSettings:
    """Codecs that clients may agree to. A message that was published by another one is decoded for its receivers."""

    lz4: bool = True
    """Whether clients may publish by it, and are sent it."""
    zstd: bool = True
    """The same."""
    snappy: bool = True
    """The same."""
    pco: bool = True
    """The same."""

    @property
    def names(self) -> tuple[str, ...]:
        """Codecs that are on, by name, the preferred one first."""
        return tuple(name for name in CODEC_NAMES if getattr(self, name))


@dataclass(frozen=True, slots=True)
class Agreement:
    """Result of the negotiation for one connection."""

    version: int
    """Highest protocol version that both sides speak."""
    codecs: tuple[str, ...]
    """Compressors that both sides know, in the server's order of preference."""
    filters: tuple[str, ...]
    """Filters that both sides know, in the server's order of preference."""
    max_message_bytes: int
    """Size of the largest decoded message that may go to the client."""


def negotiate(hello: Hello, capabilities: Capabilities) -> Agreement:
    """Return the agreement of a server with the client that sent ``hello``; names unknown to the server are ignored.

    Raises:
        ProtocolViolation: ``UNSUPPORTED_VERSION``, there is no version in common.
    """
    common = set(hello.versions).intersection(capabilities.versions)
    if not common:
        raise ProtocolViolation(
            Code.UNSUPPORTED_VERSION,
            f"the client speaks versions {_some(hello.versions)}, the gateway {_some(capabilities.versions)}",
        )
    asked = set(hello.codecs), set(hello.filters)
    largest = capabilities.limits.max_message_bytes
    return Agreement(
        version=max(common),
        codecs=tuple(name for name in capabilities.codecs if name in asked[0]),
        filters=tuple(name for name in capabilities.filters if name in asked[1]),
        max_message_bytes=largest if hello.max_message_bytes is None else min(largest, hello.max_message_bytes),
    )


def _some(versions: tuple[int, ...]) -> str:
    """Return the first few versions, for a message whose length the peer must not choose."""
    shown = ", ".join(str(version) for version in versions[:8])
    return f"[{shown}, ...]" if len(versions) > 8 else f"[{shown}]"


def observes_by_default(client_type: ClientType, *, named: bool) -> bool:
    """Return whether subscriptions of a client observe acknowledged streams by default (spec section 4.2).

    Nobody could acknowledge in the place of such a client once it is gone.

    Args:
        client_type: type of the client.
        named: its HELLO had a ``client_id``.
    """
    return not named or client_type in {ClientType.ADMIN_PANEL, ClientType.EXTENSION}


def is_dashboard(client_type: ClientType, *, named: bool) -> bool:
    """Return whether a client only looks on, and is no admin panel: under overload it comes after all others.

    Args:
        client_type: type of the client.
        named: its HELLO had a ``client_id``.
    """
    return client_type is ClientType.EXTENSION or (not named and client_type is ClientType.AGENT)
