"""Consumer context: settings and parts of the gateway that the consumers of all streams share."""

from __future__ import annotations

from dataclasses import dataclass

from gateway.connections.consumers.dead_letters import DeadLetters
from gateway.connections.consumers.detached_consumers import DetachedConsumers
from gateway.connections.consumers.prepared_deliveries import KeptForms
from gateway.connections.consumers.settings import ConsumerSettings
from gateway.connections.ports import Clock, DurableStore, Workers
from gateway.connections.sessions.notices import Notices
from gateway.streams.producers import Producers


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
