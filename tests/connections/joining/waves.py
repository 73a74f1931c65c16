"""World in which receivers join one state in waves, for the tests of this room."""

from __future__ import annotations

from typing import Final

import numpy as np

from gateway.connections.joining.state_joins import StateJoins
from gateway.protocol.encoding import Chain
from gateway.protocol.messages import Kind
from gateway.protocol.views import View
from tests.connections.memory import EVERY_CODEC, FixedPolicy, Peer, World
from tests.connections.reader import Arrival

STREAM: Final = "wf/x"
PERIOD_S: Final = 5.0
SMALL: Final = 20 * 1024
"""Size of a version in one frame that is worth to be encoded."""


class Waves:
    """Waves of joins to a state whose versions are published plain.

    Args:
        size: of a version.
        large: whether versions come in chunks.
        codecs: of those that join.
        view: that they ask for; ``None``: the state itself.
    """

    def __init__(
        self,
        size: int = SMALL,
        *,
        large: bool = False,
        codecs: tuple[str, ...] = EVERY_CODEC,
        view: View | None = None,
    ) -> None:
        self.policy = FixedPolicy(Chain.parse("zstd:1"))
        self.world = World(policy=self.policy)
        self.publisher = self.world.publisher(STREAM, kind=Kind.STATE, codecs=())
        self.joins: StateJoins = self.world.core.hub.fanouts.joins
        self._size, self._large, self._codecs, self._view = size, large, codecs, view
        self._version = self._joined = 0

    def publish(self) -> bytes:
        """Publish a version."""
        self._version += 1
        if self._view is not None:
            field = np.full(self._size // 4, self._version, np.float32)
            self.publisher.publish_array(0, field)
            self.world.settle()
            return self._view.apply(field).tobytes()
        payload = self._version.to_bytes(4, "little") + bytes(self._size - 4)
        if self._large:
            self.publisher.large(0, payload, self._version).end()
        else:
            self.publisher.publish(0, payload)
        self.world.settle()
        return payload

    def join(self) -> Peer:
        """Let one receiver join."""
        self._joined += 1
        peer = self.world.peer(f"joiner-{self._joined}", self._codecs)
        peer.subscribe(STREAM, view=self._view)
        self.world.settle()
        return peer

    def joined(self) -> Arrival:
        """Return the first version of a receiver that joins and leaves."""
        peer = self.join()
        (arrival,) = peer.read().arrivals
        self.world.lose(peer)
        return arrival

    def wave(self) -> list[bool]:
        """Let a wave come, and time pass until the next one; return for each receiver whether it got encoded bytes."""
        encoded = [self.joined().encoded for _ in range(3)]
        for _ in range(int(PERIOD_S)):
            list(self.joins.expected())
            self.joins.look_ahead()
            self.world.pass_time(1.0)
            self.world.settle()
        return encoded

    def waves(self, count: int) -> list[list[bool]]:
        """Let waves come one after the other."""
        return [self.wave() for _ in range(count)]
