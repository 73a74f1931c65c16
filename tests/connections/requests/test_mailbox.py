"""Mailboxes: one of its own for each connection, and one for each group, closed when nobody needs it."""

from __future__ import annotations

from gateway.connections.requests.mailbox import close_unused, group_mailbox, own_mailbox
from tests.connections.asking import ask, asker_of, member, reply
from tests.connections.memory import World


def test_a_connection_has_one_mailbox_of_its_own() -> None:
    world = World()
    requests = world.peer("me").session.requests
    mailbox = own_mailbox(world.core.hub.fanouts, requests)
    assert own_mailbox(world.core.hub.fanouts, requests) is mailbox
    assert mailbox.source.name == "agent:me"


def test_a_group_is_named_by_the_subscription_that_stands() -> None:
    world = World()
    requests = world.peer("me").session.requests
    first = group_mailbox(world.core.hub.fanouts, requests, "group:a", 3)
    again = group_mailbox(world.core.hub.fanouts, requests, "group:a", 4)
    assert again is first
    assert again.source.id == 4


def test_a_mailbox_is_closed_when_its_group_is_left_and_nothing_is_owed() -> None:
    world = World()
    worker, asker = member(world, "worker"), asker_of(world)
    ask(asker, 1)
    requests = worker.session.requests
    memberships = len(worker.session.connection.memberships)
    requests.groups.clear()
    close_unused(requests)
    assert "group:workers" in requests.mailboxes
    reply(worker, asker, 1)
    close_unused(requests)
    assert not requests.mailboxes
    assert len(worker.session.connection.memberships) == memberships - 1
