"""What the consumers of all streams share."""

from __future__ import annotations

from dataclasses import dataclass

from gateway.connections.consumer_settings import ConsumerSettings
from gateway.connections.dead_letters import DeadLetters
from gateway.connections.notices import Notices
from gateway.connections.ports import Clock, StreamStore, Workers
from gateway.streams.producers import Producers


@dataclass(frozen=True, slots=True)
class Surroundings:
    """Settings, and where consumers turn to."""

    settings: ConsumerSettings
    clock: Clock
    workers: Workers
    store: StreamStore
    producers: Producers
    notices: Notices
    dead_letters: DeadLetters
