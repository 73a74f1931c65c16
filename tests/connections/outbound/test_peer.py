"""Peer: a number until HELLO, a client from then on."""

from __future__ import annotations

from gateway.protocol.messages import ClientType
from tests.connections.memory import World


def test_a_peer_is_only_a_number_before_hello() -> None:
    session = World().stranger().session
    assert (session.peer.id, session.peer.client_id, session.peer.session_id) == (1, "", "")


def test_hello_names_the_client_and_keeps_the_number() -> None:
    world = World()
    session = world.peer("planner").session
    assert (session.peer.id, session.peer.client_id, session.peer.client_type) == (1, "planner", ClientType.AGENT)
    assert session.peer.session_id != world.peer("other").session.peer.session_id


def test_the_session_and_its_connection_know_the_same_peer() -> None:
    session = World().peer("planner").session
    connection = session.connection
    assert connection.peer is session.peer
