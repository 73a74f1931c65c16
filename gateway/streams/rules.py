"""Rules: configuration of streams by patterns of their names. The first rule that matches a stream applies."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from gateway.errors import InvalidArgument
from gateway.ids import StreamName
from gateway.protocol.durability import Durability
from gateway.protocol.messages import Kind
from gateway.protocol.names import Pattern
from gateway.protocol.schema import Schema
from gateway.streams.history import KEEP_NOTHING, HistoryLimits


@dataclass(frozen=True, slots=True)
class StreamConfig:
    """Configuration of a stream, applied when it is created. ``None`` leaves a field to the first OPEN or the kind."""

    kind: Kind | None = None
    """The only kind that the stream may be opened as."""
    durability: Durability | None = None
    """Failures that its acknowledged messages survive; more than ``memory`` needs a store."""
    history: HistoryLimits | None = None
    """Limits of its history; ``None``: the defaults for ``event``, no history for the other kinds."""
    keyframe_every: int = 64
    """Versions of a ``state`` stream after which a receiver of deltas gets a keyframe at the latest."""
    schema: Schema | None = None
    """Schema of the messages of a ``state`` stream (spec section 4.7)."""
    consumer_ttl_s: float | None = None
    """Time that a receiver which acknowledges and has lost its connection is waited for."""
    ack_timeout_s: float | None = None
    """Time that a receiver may have one message without a sign of work before the message is delivered again."""
    max_work_s: float | None = None
    """Time for which signs of work on a message count."""
    max_tries: int | None = None
    """Deliveries of a message that is not processed; then the message becomes a dead letter."""

    def __post_init__(self) -> None:
        if self.keyframe_every < 1:
            raise InvalidArgument(
                f"keyframe_every={self.keyframe_every}: at least 1 is needed, which makes every version a keyframe"
            )
        for name in ("consumer_ttl_s", "ack_timeout_s", "max_work_s", "max_tries"):
            value = getattr(self, name)
            if value is not None and not value > 0:  # "at most" would let "not a number" pass
                raise InvalidArgument(f"{name} is {value}: it takes more than 0")

    def history_of(self, kind: Kind) -> HistoryLimits:
        """Return the limits of the history of a stream of this kind."""
        if self.history is not None:
            return self.history
        return DEFAULT_HISTORY if kind is Kind.EVENT else KEEP_NOTHING


DEFAULT_HISTORY = HistoryLimits()
"""Limits of the history of ``event`` streams."""

_NO_RULE = StreamConfig()


class StreamRules:
    """All rules, in the order in which they are tried.

    Args:
        rules: patterns of stream names, each with its configuration.
    """

    def __init__(self, rules: Sequence[tuple[Pattern, StreamConfig]] = ()) -> None:
        self.rules = tuple(rules)

    def of(self, name: StreamName) -> StreamConfig:
        """Return the configuration of a stream; fields that no rule sets have their defaults."""
        return next((config for pattern, config in self.rules if pattern.matches(name)), _NO_RULE)
