"""Bounds and times of receivers that acknowledge (spec section 4.9)."""

from __future__ import annotations

from dataclasses import dataclass

from gateway.connections.validation import check_positive


@dataclass(frozen=True, slots=True)
class ConsumerSettings:
    """How long receivers may take, and what is held for them meanwhile.

    Raises:
        InvalidArgument: a value that cannot be.
    """

    consumer_ttl_s: float = 300.0
    """How long a client that has lost its connection is waited for."""
    ack_timeout_s: float = 60.0
    """How long a receiver may be at one message before it is delivered again."""
    max_tries: int = 5
    """Deliveries of a message that is not processed; then it is a dead letter."""
    max_pending_commands: int = 64
    """Of ``control`` streams: what a connected receiver may have unacknowledged before it is closed."""
    hold_bytes: int = 16 * 1024 * 1024
    """Past it the acknowledgements of publishes to the stream are held back."""
    max_hold_s: float = 10.0
    """How long they are held back at most."""
    limit_bytes: int = 64 * 1024 * 1024
    """Past it publishes to the stream are refused with ``QUEUE_FULL``."""

    def __post_init__(self) -> None:
        check_positive(self, "consumer_ttl_s", "ack_timeout_s", "max_tries", "max_pending_commands")
        check_positive(self, "max_hold_s", "limit_bytes")

    @property
    def sweep_interval_s(self) -> float:
        """How often deadlines and times are looked at."""
        return max(0.01, min(1.0, self.consumer_ttl_s / 4, self.ack_timeout_s / 4, self.max_hold_s / 4))
