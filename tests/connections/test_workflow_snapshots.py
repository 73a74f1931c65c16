"""Snapshots of workflows: the clients of edges, those that are here and those that have gone."""

from __future__ import annotations

from gateway.connections.workflow_snapshots import participants_of, workflow_snapshot
from gateway.protocol.messages import ClientType
from tests.connections.collaboration.test_workflows import publish, publisher, sweep, watching
from tests.connections.memory import World


def test_clients_that_have_gone_are_told_and_a_panel_stays_one() -> None:
    world = World()
    author = publisher(world, "author", "wf/a")
    worker, panel = world.subscriber("wf/*", "worker"), watching(world, "panel")
    publish(author)
    workflow = sweep(world)["wf"]
    world.lose(worker, panel)
    snapshot = workflow_snapshot(world.core, workflow)
    assert (snapshot.clients, snapshot.panels) == (3, 1)
    found = {str(each.client_id): each for each in participants_of(world.core, workflow, snapshot.edges)}
    assert found["author"].peer == author.session.peer.id
    assert found["author"].age_s == 1.0
    assert [(found[name].client_type, found[name].peer) for name in ("worker", "panel")] == [
        (None, None),
        (ClientType.ADMIN_PANEL, None),
    ]
    assert participants_of(world.core, workflow, ()) == []
