"""Fan-in for tests: senders that await their publishes, and a receiver whose link carries less."""

from __future__ import annotations

from tests.connections.memory import Peer, World
from tests.connections.planning.slow_receiver import SlowReceiver

MESSAGE = bytes(4096)


class FanIn(SlowReceiver):
    """Senders of one workflow, and the receiver of all of them.

    Args:
        senders: number of senders.
        one_stream: whether they share a stream.
        awaits: whether a sender publishes only when its last message is acknowledged.

    Attributes:
        published: messages of each sender.
    """

    def __init__(self, senders: int = 6, *, one_stream: bool = False, awaits: bool = True) -> None:
        world = World()
        self.senders = [world.publisher("wf/x" if one_stream else f"wf/{number}") for number in range(senders)]
        super().__init__(world)
        self.published = [0] * senders
        self._awaits = awaits

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

    def step(self) -> None:
        """Let a quarter of a second pass, and look."""
        for _ in range(2):
            self.publish(8)
            self.read()
        self.look()


def acknowledged(sender: Peer) -> int:
    """Return the number of messages of a sender that were acknowledged."""
    return sum([ack.count for ack in sender.read().acks])
