"""Commands to one connection: ``POST /api/v1/connections/{peer}/ping``, ``…/move`` and ``…/disconnect``."""

from __future__ import annotations

import asyncio
import logging
from http import HTTPStatus
from typing import Final

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse

from gateway.admin.commands.command_body import address_in, asker_of, command_body
from gateway.admin.http.awaited_answer import AwaitedAnswer
from gateway.admin.http.query import check_names
from gateway.connections.core import Core
from gateway.connections.draining import telling
from gateway.connections.sessions.session import Session
from gateway.errors import Code, RequestRefused
from gateway.protocol.json_body import JsonBody
from gateway.protocol.state import State

logger = logging.getLogger(__name__)

PING_TIMEOUT_S: Final = 5.0
"""Longest time for which the answer to a ping is waited for."""

MOVE_DEADLINE_S: Final = 10.0
"""Time in which a client that is to go finishes its work."""

MAX_REASON_BYTES: Final = 120
"""Longest reason: a close frame has room for 123 bytes (RFC 6455, section 5.5.1)."""


_MAX_PEER_DIGITS: Final = 20


class ConnectionCommands:
    """Handlers of an operator's commands to one connection.

    Args:
        core: the gateway.
        ping_timeout_s: longest time for which the answer to a ping is waited for.
        move_deadline_s: time in which a client that is to go finishes its work.
    """

    def __init__(
        self, core: Core, ping_timeout_s: float = PING_TIMEOUT_S, move_deadline_s: float = MOVE_DEADLINE_S
    ) -> None:
        self._core = core
        self._ping_timeout_s = ping_timeout_s
        self._move_deadline_s = move_deadline_s

    async def ping(self, request: Request) -> JSONResponse:
        """Ping a client, and answer with the round trip in seconds.

        Raises:
            RequestRefused: ``INVALID_REQUEST``; ``NO_SUCH_PEER``.
            HTTPException: 504, no answer has come in time.
        """
        await _fields_of(request, "ping")
        session = self._session_of(request)
        answered, heartbeat = AwaitedAnswer[float](), self._core.heartbeat
        heartbeat.ask(session, answered.give)
        try:
            async with asyncio.timeout(self._ping_timeout_s):
                return JSONResponse({"rtt_s": round(await answered, 6)})
        except TimeoutError:
            problem = f"no answer from {session.peer.client_id} within {self._ping_timeout_s:g} s"
            detail = f"{problem}: it is busy, behind a full line, or gone; the heartbeat closes it if nothing comes"
            raise HTTPException(HTTPStatus.GATEWAY_TIMEOUT, detail) from None
        finally:
            heartbeat.withdraw(session, answered.give)

    async def move(self, request: Request) -> JSONResponse:
        """Tell a client to finish its work and to connect again, at ``address`` if there is one; close it then.

        Raises:
            RequestRefused: ``INVALID_REQUEST``; ``NO_SUCH_PEER``.
        """
        fields = await _fields_of(request, "move", "address", "reason")
        address, reason = address_in(fields), _reason_in(fields, "moved by an operator")
        session, clock = self._session_of(request), self._core.clock
        if session.state is State.OPEN:  # others go already
            to = "" if address is None else f" to {address}"
            logger.info("%s is told to go%s (asked by %s)", session.peer.client_id, to, asker_of(request))
            telling([session], reason, self._move_deadline_s, 0.0, clock, address=address).go_on()
            clock.call_later(self._move_deadline_s, lambda: session.connection.close(Code.GOING_AWAY, reason))
        return JSONResponse({"peer": session.peer.id, "left_s": self._move_deadline_s}, HTTPStatus.ACCEPTED)

    async def disconnect(self, request: Request) -> JSONResponse:
        """Close a connection at once; a client that reconnects by itself comes back.

        Raises:
            RequestRefused: ``INVALID_REQUEST``; ``NO_SUCH_PEER``.
        """
        fields = await _fields_of(request, "disconnect", "reason")
        reason = _reason_in(fields, "disconnected by an operator")
        session = self._session_of(request)
        logger.info("%s is disconnected (asked by %s)", session.peer.client_id, asker_of(request))
        session.connection.close(Code.GOING_AWAY, reason)
        return JSONResponse({"peer": session.peer.id, "left_s": 0.0}, HTTPStatus.ACCEPTED)

    def _session_of(self, request: Request) -> Session:
        peer: str = request.path_params["peer"]
        # isascii, because isdecimal and int() take the digits of all scripts; the length keeps int() cheap.
        is_number = peer.isascii() and peer.isdecimal() and len(peer) < _MAX_PEER_DIGITS
        session = self._core.pool.get(int(peer)) if is_number else None
        if session is None or session.connection.closed or session.state is State.GREETING:
            problem = (
                f"connection {peer[:_MAX_PEER_DIGITS]} is gone, or has never been: GET /api/v1/connections lists them"
            )
            raise RequestRefused(Code.NO_SUCH_PEER, problem)
        return session


async def _fields_of(request: Request, name: str, *keys: str) -> JsonBody:
    check_names(request)
    return await command_body(request, name, keys)


def _reason_in(fields: JsonBody, usual: str) -> str:
    reason = fields.text_or_none("reason") or usual
    if len(reason.encode()) > MAX_REASON_BYTES:
        problem = f"the reason has {len(reason.encode())} bytes of UTF-8, and a close frame takes {MAX_REASON_BYTES}"
        raise RequestRefused(Code.INVALID_REQUEST, problem)
    return reason
