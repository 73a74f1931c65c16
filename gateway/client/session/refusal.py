"""Errors of a session that the gateway refused, or that was lost before WELCOME (``spec/client.md`` section 3)."""

from __future__ import annotations

from gateway.client.session.handshake_refusal import SessionRefused
from gateway.client.session.socket import ABNORMAL, Lost
from gateway.errors import Action, ConnectionClosed, ConnectionFailed, action_of, name_of


def refusal(lost: Lost) -> ConnectionFailed:
    """Return the error for a session that ended before WELCOME."""
    if lost.code != ABNORMAL and action_of(lost.code) in (Action.DO_NOT_RECONNECT, Action.REFRESH_TOKEN):
        return ConnectionClosed(lost.code, lost.reason)
    problem = f"the gateway closed the connection: {lost.reason} ({name_of(lost.code)}, code {lost.code})"
    return SessionRefused(lost.code, problem, lost.retry_after_s)
