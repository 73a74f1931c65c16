"""Settings of admission: how many clients may come, and how fast."""

from __future__ import annotations

from dataclasses import dataclass, field
from ipaddress import IPv4Network, IPv6Network, ip_network

from gateway.errors import InvalidArgument
from gateway.protocol.messages import ClientType

Network = IPv4Network | IPv6Network


@dataclass(frozen=True, slots=True)
class PublishBudget:
    """Bounds on what a group of clients publishes to streams; 0: none. Publishers above it are slowed down."""

    messages_per_s: float = 0.0
    """Messages in a second."""
    bytes_per_s: float = 0.0
    """Bytes in a second of these messages, as they were published."""

    @property
    def bounded(self) -> bool:
        """Whether there is a bound."""
        return bool(self.messages_per_s or self.bytes_per_s)


@dataclass(frozen=True, slots=True)
class ClientBudget:
    """Bounds on all clients of one type, or all that take part in one workflow, together; 0: none."""

    connections: int = 0
    """Connections at once. One more of a type is closed with ``TOO_MANY_CONNECTIONS``; of one more in a workflow,
    aliases and subscriptions are refused with ``LIMIT_EXCEEDED``."""
    messages_per_s: float = 0.0
    """Messages in a second to streams; publishers above it are slowed down."""
    bytes_per_s: float = 0.0
    """Bytes in a second of these messages; likewise."""
    queued_bytes: int = 0
    """Bytes in the outboxes of all of them that lag. Past it, events are left to history for those for which most
    waits."""

    @property
    def publishes(self) -> PublishBudget:
        """Budget of what they publish."""
        return PublishBudget(self.messages_per_s, self.bytes_per_s)


@dataclass(frozen=True, slots=True)
class AdmissionSettings:
    """Bounds on the clients that come; 0: none.

    Raises:
        InvalidArgument: a network is none.
    """

    handshakes_per_s: float = 1000.0
    """WebSocket handshakes that are done in a second; further clients are told when to return."""
    handshake_burst: int = 2000
    """Handshakes that are done at once after a calm time. An eighth of them is for admin panels only."""
    reserved_connections: int = 64
    """Connections out of ``max_connections`` that are kept free for admin panels; an eighth of all at most."""
    address_connections: int = 0
    """Connections at once from one address; of IPv6, from one network /64."""
    address_handshakes_per_s: float = 0.0
    """Handshakes in a second from one address; after a calm time, those of two seconds at once."""
    exempt_networks: str = "127.0.0.0/8, ::1/128"
    """Networks, with commas between them, whose addresses have no bounds of their own."""
    idle_timeout_s: float = 0.0
    """Time after which a client that does nothing is closed, however alive; 0: it stays."""
    admin_panel: ClientBudget = field(default_factory=ClientBudget)
    """Budget of clients of this type."""
    workflow: ClientBudget = field(default_factory=ClientBudget)
    """Budget of clients of this type."""
    agent: ClientBudget = field(default_factory=ClientBudget)
    """Budget of clients of this type."""
    extension: ClientBudget = field(default_factory=ClientBudget)
    """Budget of clients of this type."""

    each_workflow: ClientBudget = field(default_factory=ClientBudget)
    """Budget that every workflow has: of the connections that take part in it, and of what is published to its
    streams."""

    def __post_init__(self) -> None:
        _networks_of(self.exempt_networks)
        if self.handshakes_per_s and not self.handshake_burst:
            raise InvalidArgument("handshake_burst is 0: it takes 1 or more, or nobody could connect")

    @property
    def networks(self) -> tuple[Network, ...]:
        """Networks whose addresses have no bounds of their own."""
        return _networks_of(self.exempt_networks)

    def budget_of(self, client_type: ClientType) -> ClientBudget:
        """Return the budget of a type of clients."""
        budget: ClientBudget = getattr(self, client_type.value)
        return budget


def _networks_of(text: str) -> tuple[Network, ...]:
    try:
        return tuple(ip_network(part.strip()) for part in text.split(",") if part.strip())
    except ValueError as error:
        raise InvalidArgument(f"exempt_networks {text!r}: {error}, such as 10.0.0.0/8 or 10.1.2.3/32") from None
