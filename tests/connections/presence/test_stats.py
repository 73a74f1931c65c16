"""Numbers of presence: scopes and members as values."""

from __future__ import annotations

from gateway.connections.presence.stats import member_snapshot, scope_snapshot
from gateway.protocol.messages import ClientType
from tests.connections.memory import World
from tests.connections.presence.attending import join, pass_window, show, watch


def test_a_scope_and_its_members() -> None:
    world = World()
    watch(world.peer())
    one, other = world.peer("one"), world.peer("other")
    join(one, a=1)
    show(one, cursor=2)
    join(other)
    pass_window(world)
    world.lose(other)
    (scope,) = world.core.presence
    found = scope_snapshot(scope)
    assert (found.scope, found.count, found.watchers) == ("wf", 2, 1)
    first, second = map(member_snapshot, scope.roster.members.values())
    assert (found.id, first.id, second.id) == (1, 1, 2)
    assert (first.client_id, first.client_type, first.metadata, first.awareness, first.away) == (
        "one",
        ClientType.AGENT,
        b'{"a":1}',
        b'{"cursor":2}',
        False,
    )
    assert (second.client_id, second.peer, second.awareness, second.away) == (
        "other",
        other.session.peer.id,
        None,
        True,
    )
    stats = world.core.presence.stats()
    assert (stats.scopes, stats.members, stats.away, stats.watchers, stats.joins) == (1, 2, 1, 1, 2)
    assert stats.sent_frames >= 1
