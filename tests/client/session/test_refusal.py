"""Tests what is raised when a session ended before it began."""

import pytest

from gateway.client.session.handshake_refusal import SessionRefused
from gateway.client.session.refusal import refusal
from gateway.client.session.socket import ABNORMAL, Lost
from gateway.errors import Code, ConnectionClosed


@pytest.mark.parametrize("code", [Code.UNAUTHENTICATED, Code.FORBIDDEN, Code.MALFORMED_FRAME])
def test_what_would_be_refused_again_is_final(code: Code) -> None:
    error = refusal(Lost(code, "the token expired at noon"))
    assert isinstance(error, ConnectionClosed)
    assert error.code == code
    assert "the token expired at noon" in str(error)


@pytest.mark.parametrize("code", [Code.TOO_MANY_CONNECTIONS, Code.GOING_AWAY, ABNORMAL])
def test_anything_else_is_a_refusal_for_now(code: int) -> None:
    error = refusal(Lost(code, "full"))
    assert isinstance(error, SessionRefused)
    assert error.code == code
    assert "full" in str(error)
