"""Invariant: a connection without receivers takes messages and does nothing."""

from gateway.server.receivers import NO_RECEIVERS
from tests.connections.memory import World


def test_messages_before_and_after_the_session_have_no_effect() -> None:
    peer = World().publisher("wf/a")
    before = len(peer.reader.log)
    NO_RECEIVERS.binary(peer.session, b"12345678")
    NO_RECEIVERS.text(peer.session, b"{}")
    assert len(peer.reader.log) == before
