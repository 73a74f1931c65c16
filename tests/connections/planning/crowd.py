"""Crowd for tests: heavy streams of events and a light one, and a receiver whose link carries less."""

from __future__ import annotations

from gateway.streams.stream import Stream
from tests.connections.memory import World
from tests.connections.planning.slow_receiver import SlowReceiver

MESSAGE = bytes(4096)
LIGHT = "wf/light"


class Crowd(SlowReceiver):
    """Streams of one workflow, and the receiver of all of them.

    Args:
        heavy: number of streams for whose messages the link has no room.

    Attributes:
        publishes: whether anything is published at a step.
    """

    def __init__(self, heavy: int = 12) -> None:
        world = World()
        self.heavy = world.publisher(*[f"wf/heavy-{number}" for number in range(heavy)])
        self.light = world.publisher(LIGHT)
        super().__init__(world)
        self.publishes = True
        self._streams = heavy

    @property
    def now_s(self) -> float:
        """Time by the clock that only goes forward."""
        return self.world.clock.monotonic_s()

    @property
    def stream(self) -> Stream:
        """The light stream."""
        stream = self.world.core.hub.fanouts.named(LIGHT)
        assert stream is not None
        return stream

    @property
    def waiting_bytes(self) -> int:
        """Bytes of the light stream that wait."""
        return self.connection.made_outbox().waiting_bytes_of(self.stream)

    def publish(self) -> None:
        """Have each heavy stream get 16 KiB, and the light one 64 bytes."""
        for _ in range(4):
            for alias in range(self._streams):
                self.heavy.publish(alias, MESSAGE)
        self.light.publish(0, bytes(64))
        self.world.settle()

    def step(self) -> None:
        """Let a quarter of a second pass, and look."""
        if self.publishes:
            self.publish()
        self.read()
        self.look()
