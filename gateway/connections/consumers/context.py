"""Consumer context: settings and parts of the gateway that the consumers of all streams share."""

from __future__ import annotations

from dataclasses import dataclass, field

from gateway.connections.consumers.dead_letters import DeadLetters
from gateway.connections.consumers.detached_consumers import DetachedConsumers
from gateway.connections.consumers.prepared_deliveries import KeptForms
from gateway.connections.consumers.settings import ConsumerSettings
from gateway.connections.ports import Clock, DurableStore, Workers
from gateway.connections.sessions.notices import Notices
from gateway.errors import Code, RequestRefused
from gateway.streams.producers import Producers


class ConsumerCount:
    """Number of the consumers of all streams."""

    __slots__ = ("total",)

    def __init__(self) -> None:
        self.total = 0

    def check(self, limit: int) -> None:
        """Refuse another consumer if there are as many as the limit.

        Raises:
            RequestRefused: ``LIMIT_EXCEEDED``.
        """
        if self.total >= limit:
            problem = f"the gateway has max_consumers={limit} already, clients that it waits for included"
            raise RequestRefused(Code.LIMIT_EXCEEDED, f"{problem}: try again later, or observe")


@dataclass(frozen=True, slots=True)
class ConsumerContext:
    """Settings and parts of the gateway that the consumers of all streams share."""

    settings: ConsumerSettings
    clock: Clock
    workers: Workers
    store: DurableStore | None
    producers: Producers
    notices: Notices
    dead_letters: DeadLetters
    detached: DetachedConsumers
    kept_forms: KeptForms
    count: ConsumerCount = field(default_factory=ConsumerCount)
