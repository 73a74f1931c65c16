"""A state whose receiver is slow, and plans for it, with a clock that is injected."""

from __future__ import annotations

from gateway.connections.planning.planning import Planning
from gateway.connections.planning.settings import PlanMode, PlanSettings
from gateway.protocol.messages import Kind
from gateway.protocol.signals import Pong
from tests.connections.memory import World


class SlowScene:
    """A state that is published to a receiver whose link holds what is sent for a while.

    Args:
        mode: effect that plans have.
    """

    def __init__(self, mode: PlanMode = PlanMode.ON) -> None:
        self.world = World()
        core = self.world.core
        self.spent_s = 0.0
        self.planning = Planning(
            PlanSettings(mode),
            core.planning.actuator,
            core.workflows,
            core.planning.actuator.groups,
            core.overload,
            self.world.clock,
            lambda: self.spent_s,
        )
        self.publisher = self.world.publisher("wf/x", kind=Kind.STATE)
        self.receiver = self.world.subscriber("wf/x", "viewer")
        self.receiver.responsive = False
        self.connection = self.receiver.session.connection
        self.connection.sample_round_trip(1_000_000)
        self.sent = 0
        self.link_s = 0.05
        """Time that the link takes for a version."""

    def step(self) -> None:
        """Let time pass: versions are published, and the receiver reads as fast as its link carries them."""
        for _ in range(4):
            self.sent += 1
            self.publisher.publish(0, self.sent.to_bytes(8, "little") * 1000)
            self.world.settle()
        self.connection.fall_behind()
        for _ in self.planning.look():
            self.world.settle()
        waiting = sum(map(len, self.receiver.transport.writes)) // 8000
        self.world.clock.advance(self.link_s * waiting)
        self.answer()
        self.world.clock.advance(0.2)

    def answer(self) -> None:
        """Have the receiver read what has come, and answer its PINGs with its time."""
        writes, self.receiver.transport.writes = self.receiver.transport.writes, []
        for ping in self.receiver.reader.feed(b"".join(writes)):
            now_ns = self.world.clock.time_ns()
            self.receiver.send(Pong(ping.t0, now_ns, now_ns).write())

    def run(self, steps: int) -> None:
        """Take steps."""
        for _ in range(steps):
            self.step()

    def look(self) -> None:
        """Take one look, in all its steps."""
        for _ in self.planning.look():
            pass
