"""Past streams: sums never go back when a stream ends."""

from __future__ import annotations

from collections.abc import Generator
from typing import cast

from gateway.connections.hub.past_streams import PastStreams
from gateway.connections.hub.stats import HubStats, KindStats
from gateway.ids import StreamName
from gateway.protocol.messages import EndReason, Kind
from tests.connections.memory import World


def test_counters_are_added_by_kind_and_reason() -> None:
    world = World()
    publisher = world.publisher("wf/events")
    publisher.open(1, "wf/tasks", Kind.COLLABORATION)
    for pattern in ("wf/events", "wf/tasks"):
        world.subscriber(pattern, client_id=pattern[3:])
    for alias in (0, 1, 1):
        publisher.publish(alias, b"x")
    world.settle()
    past = PastStreams()
    for name, reason in (("wf/events", EndReason.DELETED), ("wf/tasks", EndReason.EXPIRED)):
        stream = world.core.streams.get(StreamName(name))
        assert stream is not None
        past.add(stream, world.core.hub.fanouts.of(stream), reason)
    events, tasks = past.kinds[Kind.EVENT], past.kinds[Kind.COLLABORATION]
    assert (events.streams, events.published_messages, events.delivered_messages) == (0, 1, 1)
    assert (tasks.published_messages, tasks.delivered_messages) == (2, 2)
    assert past.kinds[Kind.STATE] == KindStats()
    assert (past.consumers.delivered_messages, past.consumers.held_bytes) == (2, 0)
    assert past.ended == {EndReason.DELETED: 1, EndReason.EXPIRED: 1, EndReason.MADE_ROOM: 0}


def rest_of(steps: Generator[None, None, HubStats]) -> HubStats:
    """Return the numbers that the steps, to their end, give."""
    while True:
        try:
            next(steps)
        except StopIteration as stop:
            return cast("HubStats", stop.value)


def test_a_look_at_all_streams_counts_one_that_ends_meanwhile_once() -> None:
    world = World()
    publisher = world.publisher(*[f"wf/{number}" for number in range(600)])
    for alias in range(600):
        publisher.publish(alias, b"x")
    world.settle()
    steps = world.core.hub.stats()
    next(steps)
    for stream in list(world.core.streams):
        world.core.hub.end(stream, EndReason.DELETED)
    world.settle()
    assert rest_of(steps).kinds[Kind.EVENT].published_messages == 600
    after = rest_of(world.core.hub.stats())
    events = after.kinds[Kind.EVENT]
    assert events == KindStats(0, 600, events.published_bytes, 0)
    assert after.ended_streams[EndReason.DELETED] == 600
