"""Facts reader: reads what plans are made of, in bounded memory, and forgets it when it is told to."""

from __future__ import annotations

from gateway.connections.planning.context import Context, StreamFacts
from gateway.connections.planning.facts.facts_reader import MAX_LAGS, FactsReader
from gateway.connections.planning.facts.receiver_watch import MAX_WATCHED
from gateway.connections.planning.knob import Knob, Site
from gateway.protocol.messages import Kind
from tests.connections.memory import World


def reader_of(world: World) -> FactsReader:
    core = world.core
    actuator = core.planning.actuator
    return FactsReader(actuator, core.workflows, actuator.groups, world.clock, lambda: 0.0)


def test_of_very_many_receivers_that_lag_some_are_watched() -> None:
    world = World(max_connections=2 * MAX_WATCHED)
    for number in range(MAX_WATCHED + 10):
        world.subscriber("wf/x", f"viewer-{number}")
    for session in world.core.pool:
        session.connection.fall_behind()
    reader = reader_of(world)
    for _ in reader.read({}):
        pass
    assert len(reader._watch) == MAX_WATCHED
    reader.forget()
    assert not len(reader._watch)


def test_measurements_that_nobody_looks_at_are_bounded() -> None:
    reader = reader_of(World())
    for _ in range(2 * MAX_LAGS):
        reader.observe_lag(0.001)
    assert len(reader._lags_s) == MAX_LAGS


def test_a_window_costs_what_the_loop_lags_and_what_it_waits() -> None:
    world = World()
    reader, site = reader_of(world), Site(Knob.FLUSH_WINDOW, "wf")
    stream = StreamFacts("wf/x", "wf", Kind.EVENT, 1000.0, 8000.0, 5)
    context = Context(0.0, streams=(stream,), settings={site: 0.005})
    assert reader.costs(context) == {site: None}
    reader.observe_lag(0.001)
    assert reader.costs(context) == {site: 0.006}
