"""Facts reader: reads what plans are made of, in bounded memory, and forgets it when it is told to."""

from __future__ import annotations

from collections.abc import Generator

from gateway.connections.planning.context import Context, StreamFacts
from gateway.connections.planning.facts.facts_reader import MAX_LAGS, FactsReader
from gateway.connections.planning.facts.receiver_watch import MAX_WATCHED, STEP
from gateway.connections.planning.knob import Knob, Site
from gateway.protocol.messages import Kind
from tests.connections.asking import ask, reply
from tests.connections.memory import World
from tests.connections.planning.facts.test_receiver_watch import Line


def reader_of(world: World) -> FactsReader:
    core = world.core
    actuator = core.planning.actuator
    return FactsReader(actuator, core.workflows, actuator.groups, world.clock, lambda: 0.0)


def look(reader: FactsReader) -> Context:
    return rest_of(reader.read({}))


def rest_of(steps: Generator[None, None, Context]) -> Context:
    while True:
        try:
            next(steps)
        except StopIteration as end:
            context: Context = end.value
            return context


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


def test_slow_starts_from_before_a_recess_are_none_behind_it() -> None:
    world = World()
    world.publisher("wf/x", kind=Kind.STATE)
    reader = reader_of(world)
    line = Line(world.subscriber("wf/x", "viewer"), 250_000)
    assert not reader.glance()
    line.carry(50_000, waiting_bytes=100_000)
    assert reader.glance()
    reader.forget()
    assert look(reader).slow_starts == ()


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


def test_a_member_that_gets_a_request_while_a_look_is_under_way_has_been_busy_for_no_longer_than_it_was() -> None:
    world = World()
    asker, clock = world.peer("asker"), world.clock
    workers = [world.subscriber(f"group:{name}", name) for name in ("first", "last")]
    reader, last = reader_of(world), workers[1]
    asker.open(0, "group:last")
    for correlation in range(10):
        ask(asker, correlation)
        clock.advance(0.01)
        reply(last, asker, correlation)
        world.settle()
        context = look(reader)
    groups = reader.read({})
    next(groups)
    clock.advance(0.5)
    ask(asker, 10)
    clock.advance(0.01)
    context = rest_of(groups)
    (member,) = context.groups[1].members
    assert (member.client_id, member.outstanding) == ("last", 1)
    assert 0.01 <= member.service_s < 0.02


def test_rates_of_receivers_are_those_of_the_time_at_which_their_turn_came() -> None:
    world = World()
    publisher = world.publisher("wf/x", kind=Kind.STATE)
    peers = [world.subscriber("wf/x", f"viewer-{number}") for number in range(2 * STEP)]
    for peer in peers:
        peer.session.connection.fall_behind()
        peer.session.connection.sample_round_trip(1_000_000)
    reader = reader_of(world)

    def pass_time(seconds: float) -> None:
        for _ in range(round(10 * seconds)):
            publisher.publish(0, bytes(1000))
            world.settle()
            world.clock.advance(0.1)
        for peer in peers:
            peer.read()

    look(reader)
    pass_time(1.0)
    steps = reader.read({})
    next(steps)
    pass_time(1.0)
    demands = [receiver.demand_bytes_per_s for receiver in rest_of(steps).receivers]
    assert len(demands) == 2 * STEP
    assert max(demands) < 1.1 * min(demands)
