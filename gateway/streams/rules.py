"""Rules: configuration of streams by patterns of their names. The first rule that matches a stream applies."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from gateway.errors import InvalidArgument
from gateway.ids import StreamName
from gateway.protocol.durability import Durability
from gateway.protocol.messages import Kind
from gateway.protocol.names import Pattern, is_dead_letter_name
from gateway.protocol.pattern_index import PatternIndex
from gateway.protocol.schema import Schema
from gateway.streams.history import KEEP_ALL, KEEP_NOTHING, HistoryLimits


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
    expires_after_s: float | None = None
    """Time after which the stream ends if it is empty, and nobody has it; ``None``: it does not expire."""
    latency_objective_s: float | None = None
    """Time within which a small message is to leave for its receivers, so that plans may collect messages for a part of
    it; ``None``: messages leave as soon as they can."""
    store_payloads: bool = False
    """Whether samples of its large payloads may be stored in files, to try encodings on them later."""

    def __post_init__(self) -> None:
        if self.keyframe_every < 1:
            raise InvalidArgument(
                f"keyframe_every={self.keyframe_every}: at least 1 is needed, which makes every version a keyframe"
            )
        if self.kind is Kind.STATE and self.expires_after_s is not None:
            problem = f"expires_after_s={self.expires_after_s:g} of kind state: a state keeps its newest message, so it"
            raise InvalidArgument(
                f"{problem} never expires; leave one of the two out, and delete states that are not needed any more"
            )
        for name in (
            "consumer_ttl_s",
            "ack_timeout_s",
            "max_work_s",
            "max_tries",
            "expires_after_s",
            "latency_objective_s",
        ):
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

    Raises:
        InvalidArgument: a rule for dead letters names another kind than ``event``.
    """

    def __init__(self, rules: Sequence[tuple[Pattern, StreamConfig]] = ()) -> None:
        self.rules = tuple(rules)
        self._index: PatternIndex[int] = PatternIndex()
        """Rules by their place."""
        for place, (pattern, _) in enumerate(self.rules):
            self._index.add(pattern, place)
        self._dead_letter_rules = [rule for rule in self.rules if is_dead_letter_name(rule[0].text)]
        for pattern, config in self._dead_letter_rules:
            if config.kind not in (None, Kind.EVENT):
                problem = f"streams {pattern.text} are configured as kind {config.kind.value}"
                raise InvalidArgument(f"{problem}: dead letters are events; leave the kind out")

    def of(self, name: StreamName) -> StreamConfig:
        """Return the configuration of a stream; fields that no rule sets have their defaults."""
        if is_dead_letter_name(name):
            return self._of_dead_letters(name)
        place = min(self._index.matching(name), default=None)
        return _NO_RULE if place is None else self.rules[place][1]

    def hidden(self) -> Iterator[tuple[Pattern, Pattern]]:
        """Yield rules that apply to no stream, each with the earlier one that takes all its names.

        An earlier rule is recognized if its pattern is the same, or ends in ``**`` behind the same beginning.
        """
        for place, (pattern, _) in enumerate(self.rules):
            for earlier, _ in self.rules[:place]:
                if earlier.text == pattern.text or self._takes_all(earlier, pattern):
                    yield pattern, earlier
                    break

    @staticmethod
    def _takes_all(earlier: Pattern, pattern: Pattern) -> bool:
        beginning = earlier.text.removesuffix("**")
        if beginning == earlier.text or is_dead_letter_name(pattern.text):
            return False  # rules for dead letters are tried apart
        return pattern.text.startswith(beginning)

    def _of_dead_letters(self, name: StreamName) -> StreamConfig:
        """Return the configuration of a stream of dead letters: only rules that name such streams apply.

        A rule for the stream itself would match as well (``wf-42/**``), and lose them.
        """
        rule = next((config for pattern, config in self._dead_letter_rules if pattern.matches(name)), _NO_RULE)
        history = KEEP_ALL if rule.history is None else rule.history
        return StreamConfig(
            kind=Kind.EVENT, durability=rule.durability, history=history, expires_after_s=rule.expires_after_s
        )
