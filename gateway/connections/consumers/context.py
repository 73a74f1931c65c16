"""Consumer context: settings and parts of the gateway that the consumers of all streams share."""

from __future__ import annotations

from dataclasses import dataclass, field

from gateway.connections.consumers.dead_letters import DeadLetters
from gateway.connections.consumers.detached_consumers import DetachedConsumers
from gateway.connections.consumers.prepared_deliveries import KeptForms
from gateway.connections.consumers.settings import ConsumerSettings
from gateway.connections.ports import Clock, DurableStore, Workers
from gateway.connections.sessions.notices import Author, Notices
from gateway.connections.slices import Slices
from gateway.errors import Code, RequestRefused
from gateway.streams.history import Entry
from gateway.streams.producers import Producers
from gateway.streams.run import Run
from gateway.streams.stream import Stream


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
    slices: Slices
    count: ConsumerCount = field(default_factory=ConsumerCount)

    def author_of(self, source: Stream, entry: Entry) -> Author | None:
        """Return the producer of a restored entry of a stream; ``None`` if its identity is not known."""
        if isinstance(entry, Run):
            identity = entry.identity
        else:
            identity = None if entry.extensions is None else entry.extensions.identity
        window = None if identity is None else self.producers.find(source, identity.producer)
        return None if window is None else Author(window=window)
