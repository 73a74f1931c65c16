"""Latency of one stream: large messages, one followed at a time, until nobody asks any more."""

from __future__ import annotations

from random import Random

import pytest

from gateway.connections.latency.followed_message import MAX_FOLLOWED_S
from gateway.connections.latency.stream_latency import LargeContent, StreamLatency
from gateway.protocol.encoding import PLAIN, Chain
from gateway.protocol.messages import Kind
from gateway.protocol.wire import Opcode
from tests.connections.frames import CHUNK_BYTES
from tests.connections.memory import LargePublish, Peer, World


class Scene:
    """A stream whose large messages are followed to one receiver."""

    def __init__(self) -> None:
        self.world = World()
        self.publisher = self.world.publisher("wf/x", kind=Kind.EVENT)
        self.receiver: Peer = self.world.subscriber("wf/x", codecs=("lz4",))
        (stream,) = self.world.core.streams
        self.fanout = self.world.core.hub.fanouts.pubsub_of(stream)
        self.latency = StreamLatency(self.fanout, self.world.clock, Random(1))
        self.transfers = 0

    def publish(self, chunks: int = 3, chain: Chain = PLAIN) -> None:
        self.transfers += 1
        upload = LargePublish(self.publisher, self.transfers, bytes(chunks * CHUNK_BYTES), chain=chain)
        upload.begin(Opcode.MESSAGE, 0, self.transfers)
        upload.end()
        self.world.settle()


def test_the_mean_since_the_last_look_and_the_content_of_the_newest_message() -> None:
    scene = Scene()
    assert (scene.latency.take(), scene.latency.newest) == (None, None)
    scene.world.clock.advance(0.25)
    scene.publish()
    scene.receiver.read()
    scene.world.clock.advance(0.01)
    assert scene.latency.take() == pytest.approx(0.25, rel=0.05)
    assert scene.latency.take() is None
    publisher = scene.publisher.session.peer.id
    assert scene.latency.newest == LargeContent(publisher, 3 * CHUNK_BYTES, CHUNK_BYTES, encoded=False)
    scene.publish(2, Chain.parse("lz4"))
    assert scene.latency.newest == LargeContent(publisher, 2 * CHUNK_BYTES, CHUNK_BYTES, encoded=True)


def test_one_message_is_followed_at_a_time() -> None:
    scene = Scene()
    scene.receiver.transport.stalled = True
    scene.receiver.transport.waiting = 1
    for _ in range(3):
        scene.publish(1)
    assert scene.latency._is_following
    scene.receiver.transport.waiting = 0
    scene.receiver.transport.stalled = False
    scene.receiver.session.connection.resume_writing()
    scene.world.settle()
    scene.receiver.read()
    scene.world.clock.advance(1.0)
    assert (scene.latency._number, scene.latency._is_following) == (1, False)


def test_small_messages_and_times_that_cannot_be_are_left_out() -> None:
    scene = Scene()
    scene.publisher.publish(0, bytes(100))
    scene.world.settle()
    assert scene.latency.newest is None
    scene.publisher.sequences[0] = 0
    scene.world.clock.advance(MAX_FOLLOWED_S)
    scene.world.settle()
    assert scene.latency.take() is None


def test_the_end_leaves_no_trace() -> None:
    scene = Scene()
    scene.latency.end()
    scene.publish()
    assert (scene.latency.newest, scene.fanout.taps) == (None, {})
