"""Workflows: sweeps bring the graphs up to date, in small steps and seldom if they are long, within bounds."""

from __future__ import annotations

import gc
import sys

import pytest

from gateway.connections.collaboration import workflows as module
from gateway.connections.collaboration.graph import FEW_PLACES, PLACES, FlowCounts, Via
from gateway.connections.collaboration.pattern import GraphPattern
from gateway.connections.collaboration.workflow import Workflow
from gateway.connections.collaboration.workflows import MAX_EDGES, SWEEP_INTERVAL_S, SWEEP_SHARE
from gateway.connections.slices import SLICE_S
from gateway.ids import ClientId
from gateway.protocol.messages import ClientType, EndReason, Hello, Kind
from tests.connections.asking import ask, reply
from tests.connections.memory import Peer, World


def sweep(world: World, seconds: float = 1.0) -> dict[str, Workflow]:
    """Let time pass and take a sweep; return the workflows by name."""
    world.clock.advance(seconds)
    world.core.workflows.begin_sweep()
    world.settle()
    return {workflow.name: workflow for workflow in world.core.workflows}


def publisher(world: World, client_id: str, *streams: str) -> Peer:
    peer = world.peer(client_id)
    for alias, stream in enumerate(streams):
        peer.open(alias, stream, Kind.EVENT)
    return peer


def watching(world: World, client_id: str) -> Peer:
    """An admin panel that takes all streams."""
    panel = world.stranger()
    panel.say(Hello((1,), ClientType.ADMIN_PANEL, client_id=ClientId(client_id)))
    world.answer_hello(panel)
    panel.subscribe("wf/*")
    return panel


def publish(peer: Peer, messages: int = 5) -> None:
    for alias in peer.sequences:
        for _ in range(messages):
            peer.publish(alias, b"12345678")


def clients(workflow: Workflow) -> set[tuple[str, str, Via]]:
    return {edge[:3] for edge in workflow.graph.edges}


def test_a_sweep_makes_graphs_and_recognizes_their_patterns() -> None:
    world = World()
    publish_to = publisher(world, "trainer", "wf-1/loss"), publisher(world, "sensor", "wf-2/x")
    for name in ("one", "two"):
        world.subscriber("wf-1/*", name)
    world.subscriber("wf-2/*", "three")
    for peer in publish_to:
        publish(peer)
    found = sweep(world)
    assert clients(found["wf-1"]) == {("trainer", name, Via.STREAM) for name in ("one", "two")}
    assert {name: each.recognition.pattern for name, each in found.items()} == {
        "wf-1": GraphPattern.BROADCAST,
        "wf-2": GraphPattern.PIPELINE,
    }
    assert {each.id for each in found.values()} == {1, 2}
    stats = world.core.workflows.stats()
    assert stats.edges == 3
    assert (stats.patterns[GraphPattern.BROADCAST], stats.patterns[GraphPattern.MESH]) == (1, 0)
    assert len(world.core.workflows) == 2


def test_panels_are_in_the_graph_and_do_not_count_for_the_pattern() -> None:
    world = World()
    author = publisher(world, "author", "wf/a")
    world.subscriber("wf/*", "worker")
    panels = [watching(world, f"panel-{number}") for number in range(8)]
    publish(author)
    workflow = sweep(world)["wf"]
    assert len(workflow.graph.clients) == 10
    assert workflow.panels == {f"panel-{number}" for number in range(8)}
    assert workflow.recognition.pattern is GraphPattern.PIPELINE
    world.lose(*panels)
    publish(author)
    workflow = sweep(world)["wf"]
    assert len(workflow.panels) == 8, "those that are gone are still told apart"
    assert workflow.recognition.pattern is GraphPattern.PIPELINE


def test_where_panels_alone_receive_they_make_the_pattern() -> None:
    world = World()
    author = publisher(world, "author", "wf/a")
    for number in range(4):
        watching(world, f"panel-{number}")
    publish(author)
    assert sweep(world)["wf"].recognition.pattern is GraphPattern.BROADCAST


def test_rates_are_of_the_time_between_two_sweeps() -> None:
    world = World()
    author = publisher(world, "author", "wf/a")
    world.subscriber("wf/a", "one")
    for _ in range(40):
        publish(author, 6)
        workflow = sweep(world, 2.0)["wf"]
    assert workflow.graph.messages_per_s == pytest.approx(3.0, rel=0.01)


def test_a_workflow_that_falls_silent_is_idle_and_is_forgotten_with_its_last_stream() -> None:
    world = World()
    author = publisher(world, "author", "wf/a")
    world.subscriber("wf/a", "one")
    publish(author)
    before = sweep(world)["wf"]
    for _ in range(60):
        workflow = sweep(world)["wf"]
    assert workflow.recognition.pattern is GraphPattern.IDLE
    assert workflow.graph.edges == ()
    assert world.core.workflows.stats().edges == 0
    assert workflow.id == before.id
    stream = author.session.bindings[0].stream
    assert stream is not None
    world.core.hub.end(stream, EndReason.DELETED)
    assert sweep(world) == {}


def test_a_value_that_was_read_does_not_change() -> None:
    world = World()
    author = publisher(world, "author", "wf/a")
    world.subscriber("wf/a", "one")
    publish(author)
    before = sweep(world)["wf"]
    edges = before.graph.edges
    publish(author)
    assert sweep(world)["wf"] is not before
    assert before.graph.edges is edges


def test_requests_belong_to_the_busiest_workflow_that_both_clients_take_part_in() -> None:
    world = World()
    planner = publisher(world, "planner", "busy/plan", "calm/plan")
    planner.subscribe("agent:planner")
    worker = world.peer("worker")
    worker.open(0, "agent:planner")
    worker.subscribe("*/*")
    stranger = world.peer("stranger")
    stranger.open(0, "agent:planner")
    publish(planner, 1)
    planner.publish(0, b"12345678")
    sweep(world)
    for asker in (worker, stranger):
        ask(asker, 1)
        reply(planner, asker, 1)
    ask(worker, 2)  # nobody has replied to it yet
    found = sweep(world)
    assert clients(found["busy"]) == {
        ("planner", "worker", Via.STREAM),
        ("worker", "planner", Via.REQUEST),
        ("planner", "worker", Via.REPLY),
    }
    assert clients(found["calm"]) == {("planner", "worker", Via.STREAM)}
    assert clients(found["agent:planner"]) == {
        ("stranger", "planner", Via.REQUEST),
        ("planner", "stranger", Via.REPLY),
    }
    rates = {edge.via: edge.messages_per_s for edge in found["busy"].graph.edges}
    assert rates[Via.REQUEST] == 2 * rates[Via.REPLY]
    assert found["agent:planner"].recognition.pattern is GraphPattern.REQUEST_REPLY
    for _ in range(60):
        found = sweep(world)
    assert "agent:planner" not in found


def test_a_sweep_takes_steps_and_a_second_one_waits_for_it() -> None:
    world = World(max_connections=3000)
    author = publisher(world, "author", *[f"wf/{n}" for n in range(600)])
    world.subscriber("wf/*", "one")
    publish(author, 1)
    world.settle()
    world.take_one_step_a_turn()
    workflows = world.core.workflows
    workflows.begin_sweep()
    turns = 0
    while not len(workflows):
        workflows.begin_sweep()
        assert world.clock.turn()
        turns += 1
    assert turns > 5
    world.settle()
    assert [len(workflow.graph.edges) for workflow in workflows] == [1]
    assert workflows.pause_s >= turns * SLICE_S / SWEEP_SHARE
    world.clock.look_s = 0.0
    sweep(world)
    assert workflows.pause_s == SWEEP_INTERVAL_S


class Named(str):
    """Id of a client that counts how often clients are looked up."""

    __slots__ = ()
    lookups = 0

    def __hash__(self) -> int:
        Named.lookups += 1
        return super().__hash__()


def test_requests_of_very_many_clients_are_led_and_let_go_in_small_steps() -> None:
    agents, askers = 400, 10
    world = World()
    traffic = world.core.workflows.traffic
    clients = [ClientId(Named(f"asker-{number}")) for number in range(askers)]
    for number in range(agents):
        agent = ClientId(Named(f"agent-{number}"))
        table = traffic.table_of(f"agent:{agent}")
        assert table is not None
        for client in clients:
            table.add(client, (agent,), Via.REQUEST, 1, 100)
            table.add(agent, (client,), Via.REPLY, 1, 10)
    world.take_one_step_a_turn()
    world.core.workflows.begin_sweep()
    lookups, blocks = [], []
    gc.disable()
    try:
        while True:
            before = Named.lookups, sys.getallocatedblocks()
            if not world.clock.turn():
                break
            lookups.append(Named.lookups - before[0])
            blocks.append(abs(sys.getallocatedblocks() - before[1]))
    finally:
        gc.enable()
    found = {workflow.name: workflow for workflow in world.core.workflows}
    assert len(found) == agents
    assert found["agent:agent-7"].graph.clients == {"agent-7", *clients}
    flows = 2 * agents * askers
    assert max(lookups) < flows / 4
    assert max(blocks) < flows / 4  # taken or let go


def test_a_sweep_that_fails_is_given_up_and_the_next_one_begins(caplog: pytest.LogCaptureFixture) -> None:
    world = World()
    author = publisher(world, "author", "wf/a")
    world.subscriber("wf/a", "one")
    publish(author)
    calls: list[str] = []

    def fail(name: str, elapsed_s: float, counts: FlowCounts) -> None:
        calls.append(name)
        if len(calls) == 1:
            raise ValueError(name)

    world.core.workflows.on_counts = fail
    assert sweep(world) == {}
    assert "long work failed" in caplog.text
    publish(author)
    assert list(sweep(world)) == ["wf"]
    assert calls == ["wf", "wf"]


def test_edges_of_all_graphs_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    assert MAX_EDGES == 65_536
    monkeypatch.setattr(module, "MAX_EDGES", 20)
    world = World()
    authors = [publisher(world, f"author-{n}", f"wf-{n}/a") for n in range(3)]
    for number in range(30):
        world.subscriber("*/*", f"one-{number}")
    for author in authors:
        publish(author)
    found = sweep(world)
    assert sorted(len(each.graph.edges) for each in found.values()) == [FEW_PLACES, FEW_PLACES, PLACES]
    assert world.core.workflows.stats().edges == 2 * FEW_PLACES + PLACES
    assert {each.recognition.pattern for each in found.values()} == {GraphPattern.BROADCAST}


def test_a_workflow_that_is_idle_makes_room_for_another(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_WORKFLOWS", 2)
    world = World()
    authors = [publisher(world, f"author-{n}", f"wf-{n}/a") for n in range(3)]
    world.subscriber("*/*", "one")
    publish(authors[0])
    publish(authors[1])
    assert list(sweep(world)) == ["wf-0", "wf-1"]
    publish(authors[2])
    assert list(sweep(world)) == ["wf-0", "wf-1"]
    for _ in range(60):
        publish(authors[1])
        sweep(world)
    publish(authors[2])
    assert list(sweep(world)) == ["wf-1", "wf-2"]


def test_rates_of_streams_are_those_of_the_last_span() -> None:
    world = World()
    peer = publisher(world, "trainer", "wf-1/loss", "wf-1/rate")
    world.subscriber("wf-1/*", "one")
    sweep(world)
    peer.publish(0, b"12345678")
    peer.publish(0, b"12345678")
    sweep(world, 4.0)
    (rate,) = world.core.workflows.streams.values()
    assert rate.messages_per_s == 0.5
    assert rate.bytes_per_s > 0
    assert world.core.workflows.of("wf-1") is not None
    sweep(world)
    assert not world.core.workflows.streams
    assert world.core.workflows.of("wf-2") is None


def test_of_very_many_streams_some_have_rates(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gateway.connections.collaboration.traffic.MAX_MOVED", 2)
    world = World()
    peer = publisher(world, "trainer", "wf-1/a", "wf-1/b", "wf-1/c")
    publish(peer)
    sweep(world)
    assert len(world.core.workflows.streams) == 2
