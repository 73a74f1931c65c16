"""Members: written once for all who are told of them."""

from __future__ import annotations

import tracemalloc

import orjson

from gateway.connections.presence.scope_member import AwarenessState, ScopeMember
from gateway.protocol.presence import json_of, trimmed
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


def test_a_member_takes_little_memory() -> None:
    session = World().peer("a").session
    metadata = json_of("metadata", {"x": 1}, 100)
    tracemalloc.start()
    try:
        before, _ = tracemalloc.get_traced_memory()
        members = [ScopeMember(session, session.peer, trimmed(metadata)) for _ in range(100)]
        after, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert (after - before) / len(members) < 1000
