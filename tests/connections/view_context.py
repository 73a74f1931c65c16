"""Parts that views need, around a core in memory."""

from __future__ import annotations

from gateway.connections.viewing.context import ViewContext
from gateway.protocol.limits import Limits
from gateway.streams.large import TransferNumbers
from tests.connections.memory import FixedPolicy, World


def view_context(world: World) -> ViewContext:
    """A context of its own for views whose streams and receivers are those of the world."""
    core = world.core
    return ViewContext(
        world.clock, world.workers, Limits(), TransferNumbers(0), FixedPolicy(), core.merger, core.lag_changes
    )
