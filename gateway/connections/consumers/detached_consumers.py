"""Detached consumers: clients without a connection that the gateway waits for, and the patterns they subscribed to."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from gateway.connections.ports import Clock
from gateway.ids import ClientId, StreamName
from gateway.protocol.names import Pattern


class _Detached(NamedTuple):
    patterns: tuple[Pattern, ...]
    until_s: float


class DetachedConsumers:
    """The :class:`~gateway.connections.ports.SubscriptionObserver` that remembers clients whose connection is lost.

    A stream that is opened while a client is away keeps its messages for that client as well.

    Args:
        clock: tells when the wait for a client ends.
        consumer_ttl_s: time that a client has to come back.
    """

    def __init__(self, clock: Clock, consumer_ttl_s: float) -> None:
        self._clock = clock
        self._consumer_ttl_s = consumer_ttl_s
        self._by_client: dict[ClientId, _Detached] = {}

    def __len__(self) -> int:
        return len(self._by_client)

    def joined(self, client_id: ClientId, pattern: Pattern) -> None:
        """Stop waiting for a client: it has subscribed again."""
        self._by_client.pop(client_id, None)

    def left(self, client_id: ClientId, patterns: Sequence[Pattern], *, returning: bool) -> None:
        """Wait for a client whose connection is lost; the patterns of several lost connections add up."""
        if not returning:
            return
        before = self._by_client.get(client_id)
        found = dict.fromkeys([*patterns, *(() if before is None else before.patterns)])
        if found:
            self._by_client[client_id] = _Detached(tuple(found), self._clock.monotonic_s() + self._consumer_ttl_s)

    def waiting_for(self, stream: StreamName) -> list[ClientId]:
        """Return the clients that would receive a stream which is opened now."""
        return [
            client_id
            for client_id, detached in self._by_client.items()
            if any(pattern.matches(stream) for pattern in detached.patterns)
        ]

    def sweep(self) -> None:
        """Forget the clients that have not come back in time; to be called about once a second."""
        now_s = self._clock.monotonic_s()
        for client_id in [client_id for client_id, detached in self._by_client.items() if detached.until_s <= now_s]:
            del self._by_client[client_id]
