"""Fan-in for tests: senders that await their publishes, and a receiver whose link carries less."""

from __future__ import annotations

from gateway.connections.planning.planning import Planning
from tests.connections.memory import Peer, World

MESSAGE = bytes(4096)


class FanIn:
    """Senders of one workflow, and the receiver of all of them.

    Args:
        senders: number of senders.
        one_stream: whether they share a stream.
        awaits: whether a sender publishes only when its last message is acknowledged.

    Attributes:
        published: messages of each sender.
    """

    def __init__(self, senders: int = 6, *, one_stream: bool = False, awaits: bool = True) -> None:
        self.world = World()
        self.senders = [self.world.publisher("wf/x" if one_stream else f"wf/{number}") for number in range(senders)]
        self.receiver = self.world.subscriber("wf/*", "collector")
        self.receiver.transport.stalled = True
        self.connection = self.receiver.session.connection
        self.published = [0] * senders
        self._awaits = awaits

    @property
    def planning(self) -> Planning:
        """Plans of the gateway."""
        return self.world.core.planning

    @property
    def event_bytes(self) -> int:
        """Bytes that wait for the receiver."""
        return self.connection.made_outbox().events.waiting_bytes

    def publish(self, rounds: int = 16) -> None:
        """Have each sender publish what it may, so many messages at most."""
        for _ in range(rounds):
            for number, sender in enumerate(self.senders):
                if not self._awaits or self.published[number] == acknowledged(sender):
                    self.published[number] += 1
                    sender.publish(0, MESSAGE, ack=True)
            self.world.settle()

    def read(self) -> None:
        """Have the receiver read what its link has carried in a while: some 16 KiB."""
        self.receiver.read()
        self.receiver.transport.empty()
        self.world.settle()

    def step(self) -> None:
        """Let a quarter of a second pass, and look."""
        for _ in range(2):
            self.publish(8)
            self.read()
        self.world.clock.advance(0.25)
        self.world.core.workflows.begin_sweep()
        self.world.settle()
        for _ in self.planning.look():
            self.world.settle()

    def run(self, steps: int) -> None:
        """Take steps."""
        for _ in range(steps):
            self.step()


def acknowledged(sender: Peer) -> int:
    """Return the number of messages of a sender that were acknowledged."""
    return sum([ack.count for ack in sender.read().acks])
