"""Members: written once for all who are told of them."""

from __future__ import annotations

import orjson

from gateway.connections.presence.scope_member import AwarenessState, ScopeMember
from tests.connections.memory import World


def test_a_member_is_written_as_its_connection_and_metadata_are_now() -> None:
    world = World()
    first, second = world.peer("a").session, world.peer("b").session
    member = ScopeMember(first, first.peer, b'{"x":1}')
    peer = first.peer
    assert orjson.loads(member.written) == {
        "client_id": "a",
        "client_type": "agent",
        "peer": peer.id,
        "generation": peer.generation,
        "metadata": {"x": 1},
    }
    member.change(second, b"{}")
    assert orjson.loads(member.written)["peer"] == second.peer.id
    assert member.nbytes == 2
    member.awareness = AwarenessState(member.client_id, b'{"c":1}')
    assert member.nbytes == 9
