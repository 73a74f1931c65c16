"""Detached consumers: clients without a connection that the gateway waits for, and the patterns they subscribed to."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from gateway.connections.consumers.settings import ConsumerSettings
from gateway.connections.ports import Clock
from gateway.ids import ClientId, StreamName
from gateway.protocol.names import Pattern
from gateway.streams.rules import StreamRules


class _Detached(NamedTuple):
    patterns: tuple[Pattern, ...]
    since_s: float
    """Time at which the connection that was lost last was lost."""


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
        self._by_client: dict[ClientId, _Detached] = {}

    def __len__(self) -> int:
        return len(self._by_client)

    def joined(self, client_id: ClientId, pattern: Pattern, *, observing: bool) -> None:
        """Stop waiting for a client that has subscribed again, unless it only observes."""
        if not observing:
            self._by_client.pop(client_id, None)

    def left(self, client_id: ClientId, patterns: Sequence[Pattern], *, returning: bool) -> None:
        """Wait for a client whose connection is lost; the patterns of several lost connections add up."""
        if not returning:
            return
        before = self._by_client.get(client_id)
        found = dict.fromkeys([*patterns, *(() if before is None else before.patterns)])
        if found:
            self._by_client[client_id] = _Detached(tuple(found), self._clock.monotonic_s())

    def waiting_for(self, stream: StreamName) -> list[ClientId]:
        """Return the clients that would receive a stream which is opened now."""
        if not self._by_client:
            return []
        since_s = self._clock.monotonic_s() - self._settings.of(self._rules.of(stream)).consumer_ttl_s
        return [
            client_id
            for client_id, detached in self._by_client.items()
            if detached.since_s > since_s and any(pattern.matches(stream) for pattern in detached.patterns)
        ]

    def sweep(self) -> None:
        """Forget the clients that have not come back in time; to be called about once a second."""
        since_s = self._clock.monotonic_s() - self._longest_s
        for client_id in [client_id for client_id, detached in self._by_client.items() if detached.since_s <= since_s]:
            del self._by_client[client_id]
