"""Who has lost its connection and is waited for: streams that begin meanwhile are to reach it as well."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from gateway.ids import ClientId, StreamName
from gateway.protocol.names import Pattern


class _Detached(NamedTuple):
    patterns: tuple[Pattern, ...]
    until_s: float


class DetachedConsumers:
    """Clients that are away, and what they had subscribed to."""

    def __init__(self) -> None:
        self._by_client: dict[ClientId, _Detached] = {}

    def __len__(self) -> int:
        return len(self._by_client)

    def begin(self, client_id: ClientId, patterns: Iterable[Pattern], until_s: float) -> None:
        """A connection of a client is lost.

        Args:
            patterns: what it had subscribed to; without any the client is not waited for.
            until_s: how long it is waited for.
        """
        before = self._by_client.get(client_id)
        found = dict.fromkeys([*patterns, *(() if before is None else before.patterns)])
        if found:
            self._by_client[client_id] = _Detached(tuple(found), until_s)

    def end(self, client_id: ClientId) -> None:
        """The client subscribes again, and says itself what it wants."""
        self._by_client.pop(client_id, None)

    def waiting_for(self, stream: StreamName) -> list[ClientId]:
        """The clients that would receive a stream that begins now."""
        return [
            client_id
            for client_id, absence in self._by_client.items()
            if any(pattern.matches(stream) for pattern in absence.patterns)
        ]

    def sweep(self, now_s: float) -> None:
        """Forget who has not come back in time."""
        for client_id in [client_id for client_id, absence in self._by_client.items() if absence.until_s <= now_s]:
            del self._by_client[client_id]
