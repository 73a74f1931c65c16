"""Detached consumers: clients without a connection that the gateway waits for, and the patterns they subscribed to."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from gateway.connections.consumers.settings import ConsumerSettings
from gateway.connections.ports import Clock
from gateway.ids import ClientId, StreamName
from gateway.protocol.names import Pattern
from gateway.protocol.pattern_index import PatternIndex
from gateway.streams.rules import StreamRules

MAX_PATTERNS: Final = 16_384
"""Patterns of all clients that are waited for, above those of the client that was lost last. Past it the clients that
were lost first are forgotten: they miss what is published to streams that are opened while they are away."""


class DetachedConsumers:
    """The :class:`~gateway.connections.ports.SubscriptionListener` that remembers clients whose connection is lost.

    A stream that is opened while a client is away keeps its messages for that client as well.

    Args:
        clock: tells when the wait for a client ends.
        settings: have the time that a client has to come back.
        rules: may give streams other times.
    """

    def __init__(self, clock: Clock, settings: ConsumerSettings, rules: StreamRules) -> None:
        self._clock = clock
        self._settings = settings
        self._rules = rules
        configs = [config for _, config in rules.rules]
        self._longest_s = max(settings.consumer_ttl_s, *[settings.of(config).consumer_ttl_s for config in configs], 0.0)
        self._by_client: dict[ClientId, dict[Pattern, float]] = {}
        """Patterns, and the times at which the connections that had subscribed to them were lost, by client: those
        that were lost last at the end."""
        self._patterns = 0
        """Number of all patterns."""
        self._index: PatternIndex[tuple[ClientId, Pattern]] = PatternIndex()

    def __len__(self) -> int:
        return len(self._by_client)

    def joined(self, client_id: ClientId, pattern: Pattern, *, observing: bool) -> None:
        """Stop waiting for a client to subscribe to a pattern; it may be about to subscribe to its others."""
        if not observing:
            self.give_up(client_id, pattern)

    def give_up(self, client_id: ClientId, pattern: Pattern) -> None:
        """Wait no more for a client to subscribe to a pattern."""
        lost = self._by_client.get(client_id)
        if lost is not None:
            self._patterns -= lost.pop(pattern, None) is not None
            self._index.remove(pattern, (client_id, pattern))
            if not lost:
                del self._by_client[client_id]

    def expects(self, client_id: ClientId, pattern: Pattern) -> bool:
        """Return whether a client is waited for that had subscribed to a pattern."""
        return pattern in self._by_client.get(client_id, ())

    def left(self, client_id: ClientId, patterns: Sequence[Pattern], *, returning: bool) -> None:
        """Wait for a client whose connection is lost; the patterns of several lost connections add up."""
        if returning and patterns:
            lost = self._by_client.pop(client_id, {})
            self._by_client[client_id] = lost
            self._patterns -= len(lost)
            lost.update(dict.fromkeys(patterns, self._clock.monotonic_s()))
            self._patterns += len(lost)
            for pattern in patterns:
                self._index.add(pattern, (client_id, pattern))
            while self._patterns > MAX_PATTERNS and len(self._by_client) > 1:
                oldest = next(iter(self._by_client))
                for pattern in self._by_client.pop(oldest):
                    self._patterns -= 1
                    self._index.remove(pattern, (oldest, pattern))

    def waiting_for(self, stream: StreamName) -> list[ClientId]:
        """Return the clients that would receive a stream which is opened now."""
        if not self._by_client:
            return []
        since_s = self._clock.monotonic_s() - self._settings.of(self._rules.of(stream)).consumer_ttl_s
        found = self._index.matching(stream)
        return list({client_id: None for client_id, pattern in found if self._by_client[client_id][pattern] > since_s})

    def sweep(self) -> None:
        """Forget what clients have not come back for in time; to be called about once a second."""
        since_s = self._clock.monotonic_s() - self._longest_s
        for client_id, lost in list(self._by_client.items()):
            for pattern in [pattern for pattern, lost_s in lost.items() if lost_s <= since_s]:
                del lost[pattern]
                self._patterns -= 1
                self._index.remove(pattern, (client_id, pattern))
            if not lost:
                del self._by_client[client_id]
