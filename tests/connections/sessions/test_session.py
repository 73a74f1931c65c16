"""Session and its parts: what they are before anything has happened."""

from __future__ import annotations

from gateway.connections.sessions.session import AliasBinding
from gateway.protocol.wire import DATA_HEADER
from tests.connections.memory import World


def test_no_frame_is_like_the_last_one_before_there_was_one() -> None:
    """``frame_bytes`` is a u32, so the hot path cannot take the first message of an alias."""
    route = AliasBinding("wf/a", 1)
    assert DATA_HEADER.size + len(route.meta) + route.payload_bytes > 0xFFFF_FFFF
    assert route.next_sequence == 1


def test_a_connection_begins_with_nothing_under_way() -> None:
    session = World().stranger().session
    assert not any((session.routes, session.subscriptions, session.transfers))
    assert session.desk.connection is session.connection
