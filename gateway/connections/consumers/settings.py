"""Bounds and times of receivers that acknowledge (spec section 4.9)."""

from __future__ import annotations

from dataclasses import dataclass, replace

from gateway.connections.validation import check_positive
from gateway.streams.rules import StreamConfig


@dataclass(frozen=True, slots=True)
class ConsumerSettings:
    """Times that receivers may take, and bounds on the messages that are held for them meanwhile.

    Raises:
        InvalidArgument: a value is not positive.
    """

    consumer_ttl_s: float = 300.0
    """Time that a client which has lost its connection is waited for."""
    ack_timeout_s: float = 60.0
    """Time that a receiver may have one message without a sign of work before the message is delivered again."""
    max_work_s: float | None = None
    """Time for which signs of work on a message count; ``None``: as long as the receiver gives them."""
    max_tries: int = 5
    """Deliveries of a message that is not processed; then the message becomes a dead letter."""
    max_pending_commands: int = 64
    """Messages of a ``control`` stream that a connected receiver may have unacknowledged before it is closed."""
    hold_bytes: int = 16 * 1024 * 1024
    """Size of unacknowledged messages past which acknowledgements of publishes to the stream are held back."""
    max_hold_s: float = 10.0
    """Longest delay of such an acknowledgement."""
    limit_bytes: int = 64 * 1024 * 1024
    """Size of unacknowledged messages past which publishes to the stream are refused with ``QUEUE_FULL``, but for one
    of each publisher that waits for its acknowledgement, up to twice this size. One message may be larger."""

    max_consumers: int = 500_000
    """Consumers of the gateway: clients, present or waited for, each counted for each stream that is kept for it. Past
    it further ones are refused with ``LIMIT_EXCEEDED``."""
    dead_letter_bytes: int = 256 * 1024 * 1024
    """Size of the dead letters of all streams in memory; past it further ones stay with their streams."""

    def __post_init__(self) -> None:
        check_positive(self, "consumer_ttl_s", "ack_timeout_s", "max_tries", "max_pending_commands")
        check_positive(self, "max_hold_s", "limit_bytes", "max_consumers", "dead_letter_bytes")
        if self.max_work_s is not None:
            check_positive(self, "max_work_s")

    def of(self, config: StreamConfig) -> ConsumerSettings:
        """Return the settings of a stream: those of its configuration where that has any."""
        return replace(
            self,
            consumer_ttl_s=self.consumer_ttl_s if config.consumer_ttl_s is None else config.consumer_ttl_s,
            ack_timeout_s=self.ack_timeout_s if config.ack_timeout_s is None else config.ack_timeout_s,
            max_work_s=self.max_work_s if config.max_work_s is None else config.max_work_s,
            max_tries=self.max_tries if config.max_tries is None else config.max_tries,
        )

    @property
    def sweep_interval_s(self) -> float:
        """Interval of the checks of deadlines and time-outs."""
        return max(0.01, min(1.0, self.consumer_ttl_s / 4, self.ack_timeout_s / 4, self.max_hold_s / 4))
