"""A receiver of events whose link carries less than is published, and plans for it, with a clock that is injected."""

from __future__ import annotations

from gateway.connections.planning.planning import Planning
from tests.connections.memory import World


class SlowReceiver:
    """The receiver of all streams of a workflow, ``wf``.

    Args:
        world: its gateway, with the publishers.
    """

    def __init__(self, world: World) -> None:
        self.world = world
        self.receiver = world.subscriber("wf/*", "collector")
        world.settle()
        self.receiver.transport.stalled = True
        self.connection = self.receiver.session.connection

    @property
    def planning(self) -> Planning:
        """Plans of the gateway."""
        return self.world.core.planning

    def read(self) -> None:
        """Have the receiver read what its link has carried in a while: some 16 KiB, or a run if that is more."""
        self.receiver.read()
        self.receiver.transport.empty()
        self.world.settle()

    def look(self) -> None:
        """Let a quarter of a second pass, and have the plans look."""
        self.world.clock.advance(0.25)
        self.world.core.workflows.begin_sweep()
        self.world.settle()
        for _ in self.planning.look():
            self.world.settle()

    def step(self) -> None:
        """Publish, read and look."""
        raise NotImplementedError

    def run(self, steps: int) -> None:
        """Take steps."""
        for _ in range(steps):
            self.step()
