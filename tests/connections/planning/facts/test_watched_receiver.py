"""Watched receivers: demand, excess delay and age of states, from one look to the next."""

from __future__ import annotations

from gateway.connections.links.bottleneck import Bottleneck
from gateway.connections.outbound.link_reading import NamedPosition
from gateway.connections.planning.context import ReceiverFacts
from gateway.connections.planning.facts.watched_receiver import (
    LONG_DELAY_S,
    MAX_LOOKED_AT,
    MAX_STATES,
    WatchedReceiver,
    states_of,
)
from gateway.protocol.messages import Kind
from gateway.protocol.signals import ProgramPosition, ReceiverReport
from tests.connections.memory import World


class Scene:
    """A receiver of a state, watched."""

    def __init__(self) -> None:
        self.world = World()
        self.publisher = self.world.publisher("wf/x", kind=Kind.STATE)
        self.receiver = self.world.subscriber("wf/x", "viewer")
        self.receiver.responsive = False
        self.connection = self.receiver.session.connection
        self.watched = WatchedReceiver(self.connection, self.world.clock.monotonic_s())

    def look(self, seconds: float = 1.0, answer_s: float | None = None) -> ReceiverFacts | None:
        """Let time pass, in which the receiver answers after a while, and look."""
        clock = self.world.clock
        if answer_s is not None:
            clock.advance(answer_s)
            self.receiver.read()
            seconds -= answer_s
        clock.advance(seconds)
        return self.watched.look(clock.monotonic_s(), clock.time_ns())


def test_nothing_is_known_before_an_answer() -> None:
    scene = Scene()
    assert scene.look() is None
    assert scene.look(0.5) is None


def test_the_delay_of_an_answer_beyond_the_shortest_round_trip_is_in_excess() -> None:
    scene = Scene()
    scene.connection.sample_round_trip(20_000_000)
    scene.look()
    facts = scene.look(1.0, answer_s=0.32)
    assert facts is not None
    assert round(facts.excess_delay_s, 3) == 0.3
    assert facts.client_id == "viewer"
    assert facts.demand_bytes_per_s == 0


def test_a_ping_that_is_not_answered_for_long_is_a_delay_of_its_age() -> None:
    scene = Scene()
    scene.look()
    facts = scene.look(LONG_DELAY_S + 1)
    assert facts is not None
    assert facts.excess_delay_s > LONG_DELAY_S


def test_demand_is_what_is_published_and_versions_that_are_conflated_do_not_count_as_fresh() -> None:
    scene = Scene()
    scene.look()
    scene.look(1.0, answer_s=0.0)
    scene.receiver.transport.fill_up()
    for _ in range(8):
        scene.publisher.publish(0, bytes(1000))
        scene.world.settle()
    facts = scene.look()
    assert facts is not None
    assert facts.workflow == "wf"
    assert facts.demand_bytes_per_s > 8000
    assert facts.kept_up_s == 0.0
    scene.receiver.transport.read_on()
    later = scene.look(2.0, answer_s=0.0)
    assert later is not None
    assert later.kept_up_s == 2.0
    assert later.staleness_s is not None


def test_a_state_of_which_a_newer_version_is_there_gets_older_until_one_comes() -> None:
    scene = Scene()
    scene.look()
    scene.look(1.0, answer_s=0.0)
    scene.receiver.transport.fill_up()
    scene.publisher.publish(0, bytes(1000))
    scene.world.settle()
    ages = []
    for _ in range(3):
        facts = scene.look(1.0)
        assert facts is not None
        ages.append(facts.staleness_s)
    assert ages[-1] is not None
    assert ages[-1] > 1.0
    scene.receiver.transport.read_on()
    scene.look(1.0, answer_s=0.0)
    facts = scene.look(1.0, answer_s=0.0)
    assert facts is not None
    assert facts.staleness_s is not None
    assert facts.staleness_s < 1.0


def test_looks_at_a_receiver_that_has_caught_up_are_told_apart() -> None:
    scene = Scene()
    scene.connection.fall_behind()
    scene.look()
    began_s = scene.watched.lagged_s
    scene.connection.drain()
    scene.world.settle()
    scene.look()
    assert scene.watched.lagged_s == began_s


def test_a_program_keeps_states_waiting_if_it_is_behind_in_one() -> None:
    scene = Scene()
    author = scene.world.publisher("wf/log", kind=Kind.EVENT)
    scene.receiver.subscribe("wf/log")
    for _ in range(9):
        scene.publisher.publish(0, bytes(100))
        author.publish(0, bytes(100))
        scene.world.settle()
    state, log = (scene.receiver.read().stream_id(name) for name in ("wf/x", "wf/log"))

    def seen(unread_bytes: int, *positions: ProgramPosition) -> tuple[Bottleneck, NamedPosition | None]:
        scene.receiver.send(ReceiverReport(0, 0, unread_bytes, 2_000_000_000, positions).write())
        facts = scene.look(1.0, answer_s=0.0)
        assert facts is not None
        return facts.bottleneck, facts.program

    scene.look()
    # A client that names no positions.
    assert seen(900) == (Bottleneck.READER, None)
    # A program that leaves a log unread, and takes the states.
    assert seen(900, ProgramPosition(log, 9, 0)) == (Bottleneck.NONE, None)
    assert seen(900, ProgramPosition(state, 4, 5)) == (Bottleneck.READER, NamedPosition("wf/x", 5, 4))


def test_states_are_looked_for_among_some_streams_of_a_receiver_that_has_very_many() -> None:
    scene = Scene()
    connection = scene.connection
    assert [state.name for state in states_of(connection)] == ["wf/x"]
    other, publisher = scene.world.subscriber("ev/*", "other"), scene.world.peer("source")
    for number in range(MAX_LOOKED_AT):
        publisher.open(number, f"ev/{number}", Kind.EVENT)
    scene.world.settle()
    other.subscribe("wf/x")
    assert len(other.session.connection.memberships) == MAX_LOOKED_AT + 1
    assert list(states_of(other.session.connection)) == []


def test_a_bounded_number_of_states_is_counted() -> None:
    scene = Scene()
    for number in range(2 * MAX_STATES):
        scene.publisher.open(1 + number, f"many/{number}", Kind.STATE)
    scene.receiver.subscribe("many/*")
    scene.world.settle()
    assert len(list(states_of(scene.connection))) == MAX_STATES
