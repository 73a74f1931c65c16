"""Parts that consumers need, around a core in memory."""

from __future__ import annotations

from gateway.connections.consumers.context import ConsumerContext
from gateway.connections.consumers.dead_letters import DeadLetters
from gateway.connections.consumers.detached_consumers import DetachedConsumers
from gateway.connections.consumers.prepared_deliveries import KeptForms
from gateway.connections.consumers.settings import ConsumerSettings
from gateway.connections.ports import DurableStore
from gateway.connections.sessions.notices import Notices
from gateway.streams.rules import StreamRules
from tests.connections.memory import World


def consumer_context(
    world: World, store: DurableStore | None = None, settings: ConsumerSettings | None = None
) -> ConsumerContext:
    """A context of its own for consumers whose clients, publishers and dead letters are those of the world."""
    core, clock, settings = world.core, world.clock, settings or ConsumerSettings()
    return ConsumerContext(
        settings=settings,
        clock=clock,
        workers=world.workers,
        store=store,
        producers=core.producers,
        notices=Notices(core.pool, clock),
        dead_letters=DeadLetters(core, world.workers, core.streams, settings.dead_letter_bytes),
        detached=DetachedConsumers(clock, settings, StreamRules()),
        kept_forms=KeptForms(),
        slices=core.slices,
    )
