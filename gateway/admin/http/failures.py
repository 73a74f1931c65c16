"""Failures over HTTP: the codes of spec section 12.1 as statuses, and their body as problem details (RFC 9457)."""

from __future__ import annotations

from collections.abc import Mapping
from http import HTTPStatus
from typing import Final

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from gateway.errors import Action, Code, ConnectionClosed, PeerError, action_of, name_of

RETRY_AFTER_S = 1

STATUSES: Final[dict[int, int]] = {
    Code.GOING_AWAY: 503,
    Code.SLOW_CONSUMER: 503,
    Code.HEARTBEAT_TIMEOUT: 503,
    Code.HANDSHAKE_TIMEOUT: 503,
    Code.TOO_MANY_CONNECTIONS: 503,
    Code.OVERLOADED: 503,
    Code.UNAUTHENTICATED: 401,
    Code.TOKEN_EXPIRED: 401,
    Code.TOKEN_REVOKED: 401,
    Code.TRANSFER_ABORTED: 503,
    Code.PEER_GONE: 503,
    Code.TRANSFER_TIMEOUT: 503,
    Code.STREAM_ENDED: 503,
    Code.QUEUE_FULL: 429,
    Code.NO_SUCH_PEER: 404,
    Code.DRAINING: 503,
    Code.PRESENCE_FULL: 503,
    Code.UNKNOWN_STREAM: 404,
    Code.UNKNOWN_MESSAGE_TYPE: 400,
    Code.INVALID_NAME: 400,
    Code.KIND_MISMATCH: 409,
    Code.INVALID_TENSOR: 422,
    Code.SIZE_MISMATCH: 400,
    Code.UNKNOWN_CODEC: 422,
    # A published message does not decode: the fault is neither in the request nor in the gateway.
    Code.CORRUPT_PAYLOAD: 502,
    Code.MESSAGE_TOO_BIG: 413,
    Code.BROKEN_TRANSFER: 409,
    Code.BAD_SEQUENCE: 409,
    Code.INVALID_REQUEST: 400,
    Code.LIMIT_EXCEEDED: 429,
    Code.NOT_REQUESTED: 409,
    Code.INTERNAL: 500,
    Code.SCHEMA_MISMATCH: 422,
    Code.DURABILITY_MISMATCH: 409,
    Code.INVALID_VIEW: 422,
    Code.EXPIRED: 410,
    Code.DEAD_LETTER: 410,
    Code.HISTORY_LOST: 410,
    Code.NOT_PROCESSED: 409,
    Code.OUT_OF_WINDOW: 409,
    Code.CANCELLED: 409,
    Code.INVALID_REGION: 422,
    Code.FORBIDDEN: 403,
}
"""HTTP statuses by code. A code that is missing is a fault of the gateway: 500."""


class ProblemResponse(JSONResponse):
    """Answer that tells a problem. Its ``code``, ``error`` and ``message`` are those of ERROR (spec section 12.2)."""

    media_type = "application/problem+json"

    def __init__(
        self, code: int, error: str, message: str, status: int, headers: Mapping[str, str] | None = None
    ) -> None:
        details = {"type": "about:blank", "title": error, "status": status, "detail": message}
        super().__init__({**details, "code": code, "error": error, "message": message}, status, headers)


def failure(code: int, message: str) -> JSONResponse:
    """Return the answer for a code of spec section 12.1."""
    status = STATUSES.get(code, 500)
    headers = {}
    if status in (429, 503) and action_of(code) in (Action.RECONNECT, Action.RECONNECT_LATER):
        headers["retry-after"] = str(RETRY_AFTER_S)
    return ProblemResponse(int(code), name_of(code), message, status, headers)


async def peer_failed(request: Request, error: Exception) -> JSONResponse:
    """Answer a request that was refused."""
    assert isinstance(error, PeerError)
    return failure(error.code, error.message)


async def connection_failed(request: Request, error: Exception) -> JSONResponse:
    """Answer an upload whose connection to the gateway was closed or refused."""
    assert isinstance(error, ConnectionClosed)
    return failure(error.code, str(error))


async def client_left(request: Request, error: Exception) -> Response:
    """Answer a request whose client has left before its body was complete, so that it ends; nobody reads it."""
    return Response(status_code=HTTPStatus.BAD_REQUEST)


async def http_failed(request: Request, error: Exception) -> JSONResponse:
    """Answer a request that no route takes; its code is the HTTP status."""
    assert isinstance(error, HTTPException)
    message = f"{request.method} {request.url.path}: {error.detail}"
    name = HTTPStatus(error.status_code).name
    return ProblemResponse(error.status_code, name, message, error.status_code, error.headers)


async def upgrade_required(request: Request) -> JSONResponse:
    """Answer a request at the path of the WebSocket that asks for none; the connections hand those that do over."""
    problem = "this path takes WebSockets only: GET by HTTP/1.1 with 'Connection: Upgrade' and 'Upgrade: websocket'"
    headers = {"upgrade": "websocket", "connection": "upgrade"}
    return await http_failed(request, HTTPException(HTTPStatus.UPGRADE_REQUIRED, problem, headers))


async def program_failed(request: Request, error: Exception) -> JSONResponse:
    """Answer a request that met a fault of the gateway; uvicorn logs its traceback."""
    return failure(Code.INTERNAL, "the gateway failed; its log says more")
