"""Subscription index: finds the subscriptions that a stream is for without a look at each of them."""

from __future__ import annotations

from gateway.client.subscribing.stream_sink import Reference, StreamSink
from gateway.client.subscribing.subscription_core import SubscriptionCore
from gateway.protocol.names import Pattern
from gateway.protocol.pattern_index import PatternIndex


class SubscriptionIndex:
    """Subscriptions of a client by number and by pattern; it does not keep them."""

    def __init__(self) -> None:
        self._references: dict[int, Reference] = {}
        self._patterns: PatternIndex[int] = PatternIndex()
        """Numbers of the subscriptions without a view: their patterns decide which streams they get."""

    def add(self, number: int, reference: Reference, pattern: Pattern | None) -> None:
        """Add a subscription.

        Args:
            number: its number.
            reference: the subscription.
            pattern: streams that it gets; ``None``: it asked for a view, whose streams STREAM assigns to it.
        """
        self._references[number] = reference
        if pattern is not None:
            self._patterns.add(pattern, number)

    def remove(self, number: int, pattern: Pattern | None) -> None:
        """Remove a subscription; the arguments are those of :meth:`add`."""
        self._references.pop(number, None)
        if pattern is not None:
            self._patterns.remove(pattern, number)

    def matched(self, stream: str) -> bool:
        """Return whether the pattern of a subscription without a view matches a stream."""
        return next(self._patterns.matching(stream), None) is not None

    def wanting(self, sink: StreamSink) -> list[tuple[int, SubscriptionCore]]:
        """Return the subscriptions that a stream of this session is for, by number, in the order of their numbers."""
        matching = sink.numbers is None
        numbers = set(self._patterns.matching(sink.stream)) if sink.numbers is None else sink.numbers
        found = []
        for number in sorted(numbers):
            reference = self._references.get(number)
            subscription = None if reference is None else reference()
            if subscription is not None and (not matching or sink.serves(subscription.observes)):
                found.append((number, subscription))
        return found
