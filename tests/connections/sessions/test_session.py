"""Session and its parts: what they are before anything has happened."""

from __future__ import annotations

from gateway.connections.sessions.session import AliasBinding
from gateway.errors import Code, ProtocolViolation, RequestRefused
from gateway.protocol.messages import Error
from tests.connections.memory import World


def test_no_frame_is_like_the_last_one_before_there_was_one() -> None:
    """``frame_bytes`` is a u32, so the hot path cannot take the first message of an alias."""
    binding = AliasBinding(0, "wf/a", 1)
    assert binding.frame_bytes > 0xFFFF_FFFF
    assert binding.next_sequence == 1


def test_a_connection_begins_with_nothing_under_way() -> None:
    session = World().stranger().session
    assert not any((session.bindings, session.subscriptions, session.transfers))
    assert session.requests.connection is session.connection


def test_a_refusal_names_the_message_that_it_answers() -> None:
    peer = World().peer()
    peer.session.refuse(RequestRefused(Code.FORBIDDEN, "not you"), request=7)
    (error,) = [entry for entry in peer.read().log if isinstance(entry, Error)]
    assert (error.code, error.message, error.request) == (Code.FORBIDDEN, "not you", 7)


def test_a_failed_session_is_told_why_before_it_is_closed() -> None:
    peer = World().peer()
    peer.session.fail(ProtocolViolation(Code.MALFORMED_FRAME, "é" * 100))
    peer.session.fail(ProtocolViolation(Code.HEARTBEAT_TIMEOUT, "again"))
    assert peer.read().codes == [Code.MALFORMED_FRAME]
    assert peer.transport.closed == (Code.MALFORMED_FRAME, "é" * 60)
    assert not peer.transport.late


def test_an_internal_error_closes_with_the_code_of_websocket() -> None:
    peer = World().peer()
    peer.session.fail(RequestRefused(Code.INTERNAL, "the gateway failed"))
    assert peer.close_code() == Code.INTERNAL_ERROR
