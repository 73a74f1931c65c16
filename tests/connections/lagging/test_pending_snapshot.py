"""A version in a queue: it is made when its turn comes, and not before."""

from __future__ import annotations

import numpy as np

from gateway.connections.lagging.pending_snapshot import PendingSnapshot
from gateway.errors import Code
from gateway.ids import StreamName
from gateway.protocol.signals import Gap
from gateway.streams.large import LargeMessage
from gateway.streams.run import Run
from gateway.streams.state import Newest, Patch, patch_of
from tests.connections.memory import World
from tests.connections.patches import STREAM, Publisher


class Receiver:
    """A connection whose link is open or not."""

    def __init__(self, world: World, *, bulk_open: bool) -> None:
        self._merger = world.core.merger
        self.bulk_open = bulk_open
        self.max_message_bytes = 1 << 30
        self.drained = 0

    def keyframe_of(self, patch: Patch) -> Newest | Gap | None:
        return self._merger.keyframe(patch, None, self.drain)

    def drain(self) -> None:
        self.drained += 1


def version_of(world: World, shape: tuple[int, ...], *, chunked: bool = False) -> PendingSnapshot:
    publisher = Publisher(world)
    publisher.whole(np.zeros(shape, np.int32), chunked=chunked)
    publisher.patch(np.s_[0], 1)
    stream = world.core.streams.get(StreamName(STREAM))
    assert stream is not None
    patch = patch_of(stream.newest)
    assert patch is not None
    return PendingSnapshot(patch)


def test_a_small_one_is_there_at_once() -> None:
    world = World()
    version = version_of(world, (4, 4))
    assert not version.requested
    assert isinstance(version.take(Receiver(world, bulk_open=True)), Run)
    assert version.requested


def test_a_large_one_is_made_in_a_thread_once_for_all_who_wait() -> None:
    world = World()
    version = version_of(world, (200, 200), chunked=True)
    first, second = Receiver(world, bulk_open=True), Receiver(world, bulk_open=True)
    assert version.take(first) is None
    assert version.take(first) is None
    assert PendingSnapshot(version.patch).take(second) is None
    assert len(world.workers) == 1
    world.workers.step()
    assert (first.drained, second.drained) == (1, 1)
    whole = version.take(first)
    assert isinstance(whole, LargeMessage)
    assert PendingSnapshot(version.patch).take(second) is whole


def test_one_that_the_receiver_does_not_take_is_a_gap() -> None:
    world = World()
    version = version_of(world, (200, 200), chunked=True)
    receiver = Receiver(world, bulk_open=True)
    receiver.max_message_bytes = 200 * 200 * 4 - 1
    assert version.take(receiver) is None
    world.workers.step()
    assert version.take(receiver) == Gap(version.patch.source.id, Code.MESSAGE_TOO_BIG, 1, 1)


def test_nothing_is_made_for_a_link_that_takes_nothing() -> None:
    world = World()
    version = version_of(world, (200, 200))
    assert version.take(Receiver(world, bulk_open=False)) is None
    assert not version.requested
    assert not len(world.workers)
