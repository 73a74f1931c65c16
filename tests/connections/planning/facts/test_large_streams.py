"""Large-stream watch: which streams are watched, and what is told of their publishers and receivers."""

from __future__ import annotations

import pytest

from gateway.connections.collaboration.traffic import StreamRate
from gateway.connections.link_tier import TIERS
from gateway.connections.planning.context import LargeStreamFacts
from gateway.connections.planning.facts import large_streams
from gateway.connections.planning.facts.large_streams import FORGOTTEN_S, LEAST_BYTES, MAX_WATCHED, LargeStreamWatch
from gateway.ids import ClientId
from gateway.protocol.messages import ClientType, EndReason, Hello, Kind
from gateway.protocol.wire import Opcode
from gateway.streams.stream import Stream
from tests.connections.frames import CHUNK_BYTES
from tests.connections.memory import LargePublish, Peer, World

LARGE = StreamRate(10.0, 10.0 * LEAST_BYTES)


class Scene:
    """Streams with one publisher, which cuts by advice unless it is told otherwise, and a receiver each."""

    def __init__(self, streams: int = 1, *, takes_advice: bool = True) -> None:
        self.world = World()
        self.publisher = self.world.stranger()
        hello = Hello((1,), ClientType.AGENT, ClientId("trainer"), chunk_advice=takes_advice or None)
        self.publisher.say(hello)
        self.world.answer_hello(self.publisher)
        self.encodes = False
        names = [f"wf/{number}" for number in range(streams)]
        for alias, name in enumerate(names):
            self.publisher.open(alias, name, Kind.EVENT)
        self.publisher.forget()
        self.receivers: list[Peer] = [self.world.subscriber(name) for name in names]
        self.streams: list[Stream] = list(self.world.core.streams)
        core = self.world.core
        self.watch = LargeStreamWatch(core.pool, core.hub.fanouts.of, lambda *_: self.encodes, self.world.clock)
        self.transfers = 0

    def look(self, *rates: StreamRate) -> list[LargeStreamFacts]:
        return list(self.watch.read(dict(zip(self.streams, rates or (LARGE,), strict=False))))

    def publish(self, alias: int = 0) -> None:
        self.transfers += 1
        upload = LargePublish(self.publisher, self.transfers, bytes(3 * CHUNK_BYTES))
        upload.begin(Opcode.MESSAGE, alias, self.publisher.sequences[alias] + 1)
        self.publisher.sequences[alias] += 1
        upload.end()
        self.world.settle()
        self.receivers[alias].read()
        self.world.clock.advance(0.01)


def test_a_stream_of_large_messages_is_told_with_its_publisher_and_latency() -> None:
    scene = Scene()
    assert not scene.look(), "nothing has come since it is watched"
    scene.world.clock.advance(0.25)
    scene.publish()
    scene.encodes = True
    (facts,) = scene.look()
    assert facts.wait_s == pytest.approx(0.25, rel=0.1)
    publisher = scene.publisher.session.peer.id
    size = 3 * CHUNK_BYTES
    expected = LargeStreamFacts("wf/0", "wf", publisher, "trainer", size, encoded=True, near=True, wait_s=None)
    assert facts._replace(wait_s=None) == expected
    scene.encodes = False
    (facts,) = scene.look()
    assert (facts.encoded, facts.wait_s) == (False, None)


def test_receivers_that_are_far_or_very_many_or_none(monkeypatch: pytest.MonkeyPatch) -> None:
    scene = Scene()
    scene.look()
    scene.publish()
    member = scene.receivers[0].session.connection
    member.profile = member.profile._replace(tier=TIERS[0])
    assert not scene.look()[0].near
    member.profile = member.profile._replace(tier=TIERS[-1])
    assert scene.look()[0].near
    with monkeypatch.context() as patch:
        patch.setattr(large_streams, "MAX_RECEIVERS", 0)
        assert not scene.look()[0].near
    scene.world.lose(scene.receivers[0])
    assert not scene.look()[0].near


def test_a_publisher_that_takes_no_advice_or_is_gone_is_not_told() -> None:
    scene = Scene(takes_advice=False)
    scene.look()
    scene.publish()
    assert not scene.look()
    scene = Scene()
    scene.look()
    scene.publish()
    assert scene.look()
    scene.world.lose(scene.publisher)
    assert not scene.look()


@pytest.mark.parametrize("rate", [StreamRate(10.0, 10.0 * LEAST_BYTES - 1), StreamRate(0.0, 0.0)])
def test_streams_of_small_messages_are_not_watched(rate: StreamRate) -> None:
    scene = Scene()
    scene.look(rate)
    scene.publish()
    assert not scene.look(rate)


def test_the_busiest_are_watched_until_they_fall_silent_or_end() -> None:
    scene = Scene(MAX_WATCHED + 2)
    rates = [StreamRate(1.0, LEAST_BYTES + float(number)) for number in range(MAX_WATCHED + 2)]
    scene.look(*rates)
    assert set(scene.watch._watched) == set(scene.streams[2:])
    scene.streams[2].ended = EndReason.DELETED
    scene.look(*rates[:2])
    assert set(scene.watch._watched) == set(scene.streams[3:])
    scene.look(*rates[:2])
    assert len(scene.watch._watched) == MAX_WATCHED, "others come into its place"
    scene.world.clock.advance(FORGOTTEN_S)
    scene.look(StreamRate(0.0, 0.0))
    assert not scene.watch._watched
    scene.look(*rates[:1])
    scene.watch.forget()
    fanouts = [scene.world.core.hub.fanouts.pubsub_of(stream) for stream in scene.streams]
    assert not any(fanout.taps for fanout in fanouts)
