"""Relief: each measure acts on its part of the gateway, and is taken back with the stage."""

from __future__ import annotations

import pytest

from gateway.connections.overload import relief as module
from gateway.connections.overload.overload import OverloadSettings
from gateway.connections.overload.stage import FALL_S, Stage
from gateway.errors import Code
from gateway.protocol.messages import ClientType
from tests.connections.memory import Peer, World
from tests.connections.overload.fixed_memory import FixedMemory

LIMIT_BYTES = 100_000_000
MESSAGE = bytes(50_000)


def pressed(share: float) -> tuple[World, FixedMemory]:
    """A world whose process has this share of its memory, and that has been measured."""
    memory = FixedMemory(0.0, int(share * LIMIT_BYTES))
    world = World(overload=OverloadSettings(LIMIT_BYTES), memory=memory)
    sweep(world)
    return world, memory


def sweep(world: World) -> Stage:
    for _ in world.core.overload.sweep():
        pass
    world.settle()
    return world.core.overload.stage


def fill(world: World, reader: Peer, messages: int) -> None:
    """Publish events that the reader does not read."""
    reader.session.connection.pause_writing()
    name = reader.session.peer.client_id
    author = world.publisher(f"{name}/events")
    reader.subscribe(f"{name}/events")
    for _ in range(messages):
        author.publish(0, MESSAGE)
    world.settle()


def queued(reader: Peer) -> int:
    outbox = reader.session.connection.outbox
    assert outbox is not None
    return outbox.waiting_bytes


def test_outboxes_that_exist_lose_what_exceeds_the_lower_bound() -> None:
    world, memory = pressed(0.0)
    reader = world.peer("slow")
    fill(world, reader, 100)
    assert queued(reader) > 100 * len(MESSAGE)
    memory.resident = int(0.95 * LIMIT_BYTES)
    assert sweep(world) is Stage.SHED
    sweep(world)
    limit_bytes = world.core.overload.measures.outbox_limit_bytes
    assert queued(reader) <= limit_bytes + len(MESSAGE) + 1000
    reader.session.connection.resume_writing()
    world.settle()


def test_outboxes_have_their_bound_again_when_the_stage_is_over_also_of_clients_that_have_caught_up() -> None:
    world, memory = pressed(0.0)
    reader = world.peer("slow")
    fill(world, reader, 10)
    outbox = reader.session.connection.outbox
    assert outbox is not None
    before_bytes = outbox.hold.least_bytes
    memory.resident = int(0.95 * LIMIT_BYTES)
    sweep(world)
    sweep(world)
    assert outbox.hold.least_bytes < before_bytes
    reader.session.connection.resume_writing()
    world.settle()
    assert not reader.session.connection.lagging
    memory.resident = 0
    for _ in range(6):
        sweep(world)
        world.clock.advance(FALL_S)
    sweep(world)
    assert outbox.hold.least_bytes == before_bytes


def test_histories_shrink_and_may_grow_again() -> None:
    world, memory = pressed(0.0)
    author = world.publisher("wf/a")
    for _ in range(200):
        author.publish(0, MESSAGE)
    budget = world.core.streams.budget
    limit_bytes = budget.limit_bytes
    assert budget.held_bytes > 9_000_000
    memory.resident = int(0.95 * LIMIT_BYTES)
    sweep(world)
    assert budget.held_bytes <= 0.05 * LIMIT_BYTES
    memory.resident = 0
    for _ in range(6):
        sweep(world)
        world.clock.advance(FALL_S)
    assert sweep(world) is Stage.NORMAL
    assert budget.limit_bytes == limit_bytes


def test_dashboards_are_refused_and_nobody_else() -> None:
    world, memory = pressed(0.9)
    admission = world.core.admission
    assert admission.refuses_dashboards
    memory.resident = 0
    for _ in range(3):
        sweep(world)
        world.clock.advance(FALL_S)
    assert not admission.refuses_dashboards


def test_views_and_states_of_dashboards_keep_a_pace() -> None:
    world, _ = pressed(0.85)
    overload = world.core.overload
    assert overload.measures.view_interval_s == overload.relief.view_pace.least_interval_s == 0.25
    assert overload.relief.dashboard_states.least_interval_s == 0.25


def typed(reader: Peer, client_type: ClientType, *, made_up: bool = False) -> Peer:
    peer = reader.session.peer
    reader.session.introduce(type(peer)(peer.id, peer.client_id, client_type, made_up=made_up))
    return reader


def test_dashboards_are_closed_before_agents_and_others_never(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of each, the ones for which most waits; the queues are those of the sweep that finds the pressure."""
    monkeypatch.setattr(module, "SHED_BYTES", 3 * len(MESSAGE))
    monkeypatch.setattr("gateway.connections.overload.measures.SHED_A_SWEEP", 2)
    world, memory = pressed(0.0)
    readers = {
        "agent": typed(world.peer("agent"), ClientType.AGENT),
        "nameless": typed(world.peer("nameless"), ClientType.AGENT, made_up=True),
        "large": typed(world.peer("large"), ClientType.EXTENSION),
        "small": typed(world.peer("small"), ClientType.EXTENSION),
        "tiny": typed(world.peer("tiny"), ClientType.EXTENSION),
        "workflow": typed(world.peer("workflow"), ClientType.WORKFLOW),
        "panel": typed(world.peer("panel"), ClientType.ADMIN_PANEL),
    }
    sizes = {"agent": 50, "nameless": 20, "large": 30, "small": 10, "tiny": 1, "workflow": 60, "panel": 60}
    for name, reader in readers.items():
        fill(world, reader, sizes[name])
    memory.resident = int(0.95 * LIMIT_BYTES)
    closed = []
    for _ in range(4):
        sweep(world)
        closed.append({name for name, reader in readers.items() if reader.transport.closed})
    assert closed[0] == {"large", "nameless"}
    assert closed[1] == {"large", "nameless", "small", "agent"}
    assert closed[-1] == closed[1]
    assert readers["large"].close_code() == Code.OVERLOADED
    memory.resident = 0
    fill(world, typed(world.peer("late"), ClientType.EXTENSION), 10)
    assert sweep(world) is Stage.SHED
    assert all(session.connection.closed is False for session in world.core.pool if session.peer.client_id == "late")
