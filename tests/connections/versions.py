"""Versions of one state, told apart by their offsets, and who got which of them as a delta."""

from __future__ import annotations

import numpy as np
import pytest

from gateway.protocol.encoding import PLAIN, Chain
from gateway.protocol.limits import Limits
from gateway.protocol.messages import Kind, Refresh
from tests.connections.frames import CHUNK_BYTES
from tests.connections.memory import EVERY_CODEC, FixedPolicy, Peer, World

XOR = Chain(codec="zstd", delta="xor", distance=1)
LZ4 = Chain(codec="lz4")
HALF = np.random.default_rng(3).integers(1, 256, (6250, 32), np.uint8)
HALF[:, 16:] = 0
NOISE = HALF.tobytes()
SMALL = 20_000
"""One frame, encoded at once."""
BIG = 100_000
"""One frame, encoded in a thread."""
CHUNKED = 6 * CHUNK_BYTES - 100

every_size = pytest.mark.parametrize("size", [SMALL, BIG, CHUNKED])


def version(number: int, size: int = SMALL) -> bytes:
    """A version that differs from the others by its first bytes; by itself it compresses to a good half."""
    return number.to_bytes(8, "little") + NOISE[: size - 8]


def make_world(keyframe_every: int = 1000, chain: Chain = PLAIN, limits: Limits | None = None) -> World:
    """A gateway for which deltas always pay, and ``chain`` for everything else."""
    return World(FixedPolicy(chain, XOR), keyframe_every=keyframe_every, limits=limits)


def make_publisher(world: World, codecs: tuple[str, ...] = EVERY_CODEC) -> Peer:
    """Publishes the state; each may come from another one."""
    return world.publisher("wf/s", kind=Kind.STATE, codecs=codecs)


def publish(world: World, peer: Peer, number: int, size: int = SMALL, chain: Chain = PLAIN) -> None:
    """One version, in chunks if it is as large as that, and everything that follows from it."""
    if size == CHUNKED:
        peer.large(0, version(number, size), chain=chain).end()
    else:
        peer.publish(0, version(number, size), chain=chain)
    world.settle()


def seen(peer: Peer) -> list[tuple[int, bool]]:
    """The offsets that arrived and whether as deltas; each has the payload that was published as this number."""
    arrivals = peer.read().arrivals
    assert [arrival.payload for arrival in arrivals] == [
        version(arrival.offset, len(arrival.payload)) for arrival in arrivals
    ]
    return [(arrival.offset, arrival.delta) for arrival in arrivals]


def conflated(peer: Peer) -> int:
    """How many messages were replaced by newer ones while they waited for a peer."""
    outbox = peer.session.connection.outbox
    return 0 if outbox is None else outbox.conflated


class Scene:
    """A gateway with one state, its publisher, and a receiver that knows every codec."""

    def __init__(self, keyframe_every: int = 1000) -> None:
        self.world = make_world(keyframe_every)
        self.publisher = make_publisher(self.world)
        self.receiver = self.join("receiver")

    def join(self, name: str, codecs: tuple[str, ...] = EVERY_CODEC) -> Peer:
        """One more receiver."""
        return self.world.subscriber("wf/s", name, codecs)

    def publish(self, number: int, size: int = SMALL, chain: Chain = PLAIN) -> None:
        """One version, and everything that follows from it."""
        publish(self.world, self.publisher, number, size, chain)

    def refresh(self) -> None:
        """The receiver asks for the newest version."""
        self.receiver.say(Refresh(self.receiver.read().stream_id("wf/s")))
