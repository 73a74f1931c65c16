"""Arrival watch: models by samples of the busiest streams, which end by themselves."""

from __future__ import annotations

from collections.abc import Generator

import pytest

from gateway.connections.arrivals import ArrivalKind
from gateway.connections.planning.context import StreamFacts
from gateway.connections.planning.facts import arrival_watch
from gateway.connections.planning.facts.arrival_watch import ArrivalWatch
from gateway.protocol.messages import EndReason, Kind
from gateway.streams.stream import Stream
from tests.connections.memory import World

BUSY = StreamFacts("wf/x", "wf", Kind.EVENT, 20_000.0, 2e6, 10)


class Scene:
    """Streams with a publisher and a receiver each, in a world whose turns are the test's."""

    def __init__(self, streams: int = 1) -> None:
        self.world = World()
        names = [f"wf/{number}" for number in range(streams)]
        self.publisher = self.world.publisher(*names, kind=Kind.EVENT)
        self.streams = {stream.name: stream for stream in self.world.core.streams}
        self.watch = ArrivalWatch(self.world.core.hub.fanouts.of, self.world.clock)
        self.steps = 0

    def look(self, *facts: StreamFacts) -> list[StreamFacts]:
        return self.rest_of(self.watch.look(dict(zip(self.streams.values(), facts or (BUSY,), strict=False))))

    def rest_of(self, look: Generator[None, None, list[StreamFacts]]) -> list[StreamFacts]:
        while True:
            try:
                next(look)
                self.steps += 1
            except StopIteration as end:
                return list(end.value)

    def turns(self, turns: int, pause_s: float, messages: int = 1, stream: int = 0) -> None:
        for _ in range(turns):
            for _ in range(messages):
                self.publisher.publish(stream, bytes(64))
            self.world.settle()
            self.world.clock.advance(pause_s)

    def taps(self, stream: Stream) -> int:
        return len(self.world.core.hub.fanouts.pubsub_of(stream).taps)


def test_messages_of_one_turn_are_one_arrival() -> None:
    scene = Scene()
    assert scene.look() == [BUSY]
    scene.turns(40, 0.001, messages=3)
    ((*_, arrivals),) = scene.look()
    assert arrivals is not None
    assert (arrivals.kind, arrivals.burst) == (ArrivalKind.PERIODIC, 1.0)
    assert arrivals.rate_per_s == pytest.approx(1000.0)


def test_a_sample_ends_by_itself_and_the_last_model_stays_while_nothing_comes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(arrival_watch, "SAMPLED_TURNS", 20)
    scene = Scene()
    scene.look()
    (stream,) = scene.streams.values()
    scene.turns(19, 0.001)
    assert scene.taps(stream) == 1
    scene.turns(2, 0.001)
    assert scene.taps(stream) == 0
    first, second = scene.look(), scene.look()
    assert first[0].arrivals is second[0].arrivals is not None


def test_of_many_streams_the_busiest_are_sampled_and_none_that_takes_little(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(arrival_watch, "MAX_SAMPLED", 2)
    scene = Scene(4)
    idle, *others = scene.streams.values()
    rates = [10.0, 20_000.0, 30_000.0, 40_000.0]
    scene.look(*[BUSY._replace(messages_per_s=rate) for rate in rates])
    assert [scene.taps(stream) for stream in (idle, *others)] == [0, 0, 1, 1]
    scene.look(*[BUSY._replace(messages_per_s=rate) for rate in reversed(rates)])
    assert [scene.taps(stream) for stream in (idle, *others)] == [1, 1, 0, 0]
    scene.watch.forget()
    assert not any(scene.taps(stream) for stream in scene.streams.values())


def test_the_loop_has_a_turn_behind_each_model() -> None:
    scene = Scene(5)
    scene.look(*[BUSY] * 5)
    assert scene.steps == 5


def test_a_stream_that_ends_during_a_look_is_left_out() -> None:
    scene = Scene(2)
    first, second = scene.streams.values()
    look = scene.watch.look({first: BUSY, second: BUSY})
    next(look)
    scene.world.core.hub.end(second, EndReason.DELETED)
    scene.world.settle()
    assert scene.rest_of(look) == [BUSY]
    assert scene.taps(first) == 1
