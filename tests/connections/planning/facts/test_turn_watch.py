"""Turn watch: light streams are watched while they share receivers that lag, and so many at most."""

from __future__ import annotations

from collections.abc import Collection

import pytest

from gateway.connections.collaboration.traffic import StreamRate
from gateway.connections.links.bottleneck import Bottleneck
from gateway.connections.planning.context import QueuedFacts, ReceiverFacts
from gateway.connections.planning.facts.turn_watch import MAX_STREAMS, WATCHED_S, TurnWatch
from gateway.connections.planning.knob import Knob, Site
from gateway.protocol.messages import ClientType, Delete, Kind
from tests.connections.planning.crowd import LIGHT, MESSAGE, Crowd

SITE = Site(Knob.PRIORITY, LIGHT)


class Watched:
    """A crowd, and its watch."""

    def __init__(self, heavy: int = 12) -> None:
        self.crowd = Crowd(heavy)
        self.watch = TurnWatch(self.crowd.planning.actuator.lag_changes)

    def look(
        self,
        seconds: float = 0.25,
        *,
        settings: Collection[Site] = (),
        receivers: Collection[ReceiverFacts] = (),
    ) -> list[QueuedFacts]:
        """Let time pass, and look; of all streams so much is published as the light one gets in a step."""
        self.crowd.world.clock.advance(seconds)
        rates = {stream: StreamRate(1.0, 256.0) for stream in self.crowd.world.core.streams}
        reading = self.watch.read(rates, receivers, settings, self.crowd.now_s)
        while True:
            try:
                next(reading)
            except StopIteration as end:
                facts: list[QueuedFacts] = end.value
                return facts

    def late(self) -> dict[str, QueuedFacts]:
        """Have the receiver fall behind and take something, and look twice: its rate is known then."""
        for _ in range(4):
            self.crowd.publish()
        self.look()
        self.crowd.read()
        return {each.stream: each for each in self.look()}


def test_a_stream_waits_for_the_turns_of_the_others() -> None:
    scene = Watched()
    assert not scene.look()
    found = scene.late()[LIGHT]
    outbox = scene.crowd.connection.made_outbox()
    turns = {queue.source.name: min(queue.waiting_bytes, 65536) for queue in outbox.turns.ready}
    turns.pop(LIGHT, None)
    (receiver,) = scene.watch._receivers.values()
    assert found.receivers == 1
    assert found.round_s == pytest.approx(sum(turns.values()) / receiver.taken.bytes_per_s)
    assert found.turn_bytes == pytest.approx(sum(turns.values()) / len(turns))
    assert found.wait_s == pytest.approx(scene.crowd.waiting_bytes / found.bytes_per_s)
    assert found.cost_s == found.wait_s
    assert (found.workflow, found.calm_s) == ("wf", 0.0)


def test_the_states_of_its_receivers_count_as_they_were_measured_last() -> None:
    scene = Watched()
    scene.late()
    peer = scene.crowd.connection.peer.id
    viewer = ReceiverFacts(peer, "collector", ClientType.AGENT, "wf", 0.0, 0.0, 0.5, 0.7, 0.0, Bottleneck.LINK)
    ages_s = []
    for age_s in (0.7, None):
        (found,) = [each for each in scene.look(receivers=[viewer._replace(staleness_s=age_s)]) if each.stream == LIGHT]
        assert found.wait_s is not None
        assert found.cost_s == found.wait_s + found.age_s
        ages_s.append(found.age_s)
    assert ages_s == [0.7, 0.7]


def test_a_preferred_stream_is_watched_and_one_that_nothing_waits_of_for_a_while() -> None:
    scene = Watched()
    scene.late()
    while scene.crowd.connection.lagging:
        scene.crowd.read()
    (found,) = [each for each in scene.look(WATCHED_S / 2) if each.stream == LIGHT]
    assert (found.receivers, found.wait_s, found.round_s) == (0, 0.0, 0.0)
    assert found.calm_s >= WATCHED_S / 2
    assert [each.stream for each in scene.look(WATCHED_S, settings={SITE})] == [LIGHT]
    assert not scene.look(WATCHED_S + 1)


def test_of_very_many_streams_some_are_watched_until_it_is_told_to_forget() -> None:
    scene = Watched(4 * MAX_STREAMS)
    for alias in range(4 * MAX_STREAMS):
        for _ in range(16 if alias % 2 else 1):
            scene.crowd.heavy.publish(alias, MESSAGE)
    scene.crowd.world.settle()
    for _ in range(2 * MAX_STREAMS):
        scene.look()
        scene.crowd.read()
    assert len(scene.watch) == MAX_STREAMS
    scene.watch.forget()
    assert len(scene.watch) == 0


def test_a_stream_that_has_ended_is_not_watched_any_more() -> None:
    scene = Watched()
    assert LIGHT in scene.late()
    scene.crowd.light.say(Delete(1, LIGHT))
    scene.crowd.world.settle()
    assert LIGHT not in [each.stream for each in scene.look()]
    assert not [stream for stream in scene.watch._watched if stream.ended is not None]


def test_a_state_is_not_watched_since_only_its_newest_version_waits() -> None:
    scene = Watched()
    state = scene.crowd.world.publisher("wf/state", kind=Kind.STATE)
    scene.crowd.publish()
    for _ in range(2):
        state.publish(0, bytes(64))
        scene.crowd.world.settle()
        found = scene.late()
        outbox = scene.crowd.connection.made_outbox()
        assert "wf/state" in [queue.source.name for queue in outbox.turns.ready]
    assert LIGHT in found
    assert "wf/state" not in found
