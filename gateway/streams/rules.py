"""What is configured for streams, by patterns of their names: the first rule that matches a stream is its own."""

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
    """What a stream is told when it is created. ``None`` leaves it to the first OPEN, or to the kind."""

    kind: Kind | None = None
    """The only kind that the stream may be opened as."""
    durability: Durability | None = None
    """What its acknowledged messages outlive; more than ``memory`` needs a store."""
    history: HistoryLimits | None = None
    """How much of its past is kept; ``None``: the defaults for ``event``, nothing for the other kinds."""
    keyframe_every: int = 64
    """A receiver of a ``state`` stream that gets deltas gets at least every so many versions one that is whole."""
    schema: Schema | None = None
    """What the messages of a ``state`` stream hold (spec section 4.7)."""

    def __post_init__(self) -> None:
        if self.keyframe_every < 1:
            raise InvalidArgument(f"keyframe_every={self.keyframe_every}: at least 1 is needed, every version whole")

    def history_of(self, kind: Kind) -> HistoryLimits:
        """How much a stream of this kind keeps."""
        if self.history is not None:
            return self.history
        return DEFAULT_HISTORY if kind is Kind.EVENT else KEEP_NOTHING


DEFAULT_HISTORY = HistoryLimits()
"""Of ``event`` streams."""

_NO_RULE = StreamConfig()


class StreamRules:
    """All rules, in the order in which they are asked.

    Args:
        rules: patterns of stream names and what is configured for them.
    """

    def __init__(self, rules: Sequence[tuple[Pattern, StreamConfig]] = ()) -> None:
        self.rules = tuple(rules)

    def of(self, name: StreamName) -> StreamConfig:
        """What is configured for a stream; what stands in no rule has its defaults."""
        return next((config for pattern, config in self.rules if pattern.matches(name)), _NO_RULE)
