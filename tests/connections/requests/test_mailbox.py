"""Mailboxes: one of its own for each connection, and one for each group, closed when nobody needs it."""

from __future__ import annotations

from gateway.connections.requests.mailbox import close_unused, group_mailbox, own_mailbox
from tests.connections.asking import ask, asker_of, member, reply
from tests.connections.memory import World


def test_a_connection_has_one_mailbox_of_its_own() -> None:
    world = World()
    desk = world.peer("me").session.desk
    mailbox = own_mailbox(world.core.hub.fanouts, desk)
    assert own_mailbox(world.core.hub.fanouts, desk) is mailbox
    assert mailbox.source.name == "agent:me"


def test_a_group_is_named_by_the_subscription_that_stands() -> None:
    world = World()
    desk = world.peer("me").session.desk
    first = group_mailbox(world.core.hub.fanouts, desk, "group:a", 3)
    again = group_mailbox(world.core.hub.fanouts, desk, "group:a", 4)
    assert again is first
    assert again.source.id == 4


def test_a_mailbox_is_closed_when_its_group_is_left_and_nothing_is_owed() -> None:
    world = World()
    worker, asker = member(world, "worker"), asker_of(world)
    ask(asker, 1)
    desk = worker.session.desk
    memberships = len(worker.session.connection.memberships)
    desk.groups.clear()
    close_unused(desk)
    assert "group:workers" in desk.mailboxes
    reply(worker, asker, 1)
    close_unused(desk)
    assert not desk.mailboxes
    assert len(worker.session.connection.memberships) == memberships - 1
