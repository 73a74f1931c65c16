"""Bounds and times of receivers that acknowledge (spec section 4.9)."""

from __future__ import annotations

from dataclasses import dataclass

from gateway.connections.validation import check_positive


@dataclass(frozen=True, slots=True)
class ConsumerSettings:
    """Times that receivers may take, and bounds on the messages that are held for them meanwhile.

    Raises:
        InvalidArgument: a value is not positive.
    """

    consumer_ttl_s: float = 300.0
    """Time that a client which has lost its connection is waited for."""
    ack_timeout_s: float = 60.0
    """Time that a receiver may take for one message before the message is delivered again."""
    max_tries: int = 5
    """Deliveries of a message that is not processed; then the message becomes a dead letter."""
    max_pending_commands: int = 64
    """Messages of a ``control`` stream that a connected receiver may have unacknowledged before it is closed."""
    hold_bytes: int = 16 * 1024 * 1024
    """Size of unacknowledged messages past which acknowledgements of publishes to the stream are held back."""
    max_hold_s: float = 10.0
    """Longest delay of such an acknowledgement."""
    limit_bytes: int = 64 * 1024 * 1024
    """Size of unacknowledged messages past which publishes to the stream are refused with ``QUEUE_FULL``."""

    def __post_init__(self) -> None:
        check_positive(self, "consumer_ttl_s", "ack_timeout_s", "max_tries", "max_pending_commands")
        check_positive(self, "max_hold_s", "limit_bytes")

    @property
    def sweep_interval_s(self) -> float:
        """Interval of the checks of deadlines and time-outs."""
        return max(0.01, min(1.0, self.consumer_ttl_s / 4, self.ack_timeout_s / 4, self.max_hold_s / 4))
