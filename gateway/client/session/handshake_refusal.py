"""Errors of a handshake that the other side answered, but not with a WebSocket (``spec/client.md`` section 3)."""

from __future__ import annotations

from http import HTTPStatus
from typing import Final

from websockets.datastructures import Headers
from websockets.exceptions import InvalidStatus

from gateway.errors import Code, ConnectionFailed, code_of

_CODES: Final = {
    HTTPStatus.SERVICE_UNAVAILABLE.value: Code.TOO_MANY_CONNECTIONS,
    HTTPStatus.TOO_MANY_REQUESTS.value: Code.ADDRESS_LIMIT,
}
"""Close codes with the meaning of an HTTP status."""


class SessionRefused(ConnectionFailed):
    """The gateway refused a session for now.

    Attributes:
        code: the close code, or the number of one that this version does not know; its range says when to try again.
        retry_after_s: seconds after which the gateway wants another attempt; ``None``: it has not said.
    """

    def __init__(self, code: int, message: str, retry_after_s: float | None = None) -> None:
        super().__init__(message)
        self.code = code_of(code)
        self.retry_after_s = retry_after_s


def handshake_error(error: Exception | None) -> ConnectionFailed:
    """Return the error for a handshake that failed.

    Args:
        error: fault that the WebSocket library or the system found; ``None``: the connection has just ended.
    """
    if isinstance(error, ConnectionFailed):
        return error
    if isinstance(error, InvalidStatus):
        return _answered(error)
    if error is None:
        return ConnectionFailed("the server closed the connection during the handshake: is it a gateway?")
    failure = ConnectionFailed(f"the WebSocket handshake failed ({error}): is it a gateway?")
    failure.__cause__ = error
    return failure


def _answered(error: InvalidStatus) -> ConnectionFailed:
    response = error.response
    status, retry_after_s = response.status_code, _retry_after_s(response.headers)
    if status in _CODES and retry_after_s is not None:
        said = bytes(response.body or b"").decode(errors="replace").strip()
        why = f": {said}" if said else ""
        return SessionRefused(_CODES[status], f"the gateway takes no client now (HTTP {status}){why}", retry_after_s)
    advice = "are port and path right?" if status < HTTPStatus.INTERNAL_SERVER_ERROR else "try again later"
    return ConnectionFailed(f"the server answered HTTP {status} instead of a WebSocket: {advice}")


def _retry_after_s(headers: Headers) -> float | None:
    """Return the time after which to return; ``None``: there is none, or a date, as other servers write it."""
    for name, unit_s in (("Retry-After-Ms", 0.001), ("Retry-After", 1.0)):
        values = headers.get_all(name)
        if len(values) == 1 and values[0].isascii() and values[0].isdigit():
            return int(values[0][:12]) * unit_s
    return None
