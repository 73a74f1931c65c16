"""Drain over HTTP: ``POST /api/v1/drain`` stops the gateway as SIGTERM does, ``GET`` tells how far it has come."""

from __future__ import annotations

from http import HTTPStatus

from starlette.requests import Request
from starlette.responses import JSONResponse

from gateway.admin.commands.command_body import address_in, asker_of, command_body
from gateway.connections.core import Core


class Drain:
    """Handler of an operator's wish to stop the gateway.

    Args:
        core: the gateway.
    """

    def __init__(self, core: Core) -> None:
        self._core = core

    async def handle(self, request: Request) -> JSONResponse:
        """Begin to stop if the method is POST, and answer with the progress; ``address`` tells clients where to go.

        Raises:
            HTTPException: the content type is not JSON, which no page of another site can send.
            RequestRefused: ``INVALID_REQUEST``, the body is no JSON object, or has an unknown key, or its ``address``
                is no URL of a gateway.
        """
        if request.method != "POST":
            return self._progress(HTTPStatus.OK)
        address = address_in(await command_body(request, "drain", ("address",)))
        core = self._core
        if core.drain_ends_s is None:
            core.drain_address = address
            # Clients are told in the next turns; the answer has the time already.
            core.drain_ends_s = core.clock.monotonic_s() + core.on_drain(asker_of(request))
        return self._progress(HTTPStatus.ACCEPTED)

    def _progress(self, status: HTTPStatus) -> JSONResponse:
        core = self._core
        fields = {
            "draining": core.draining or core.drain_ends_s is not None,
            "connections": len(core.pool),
            "untold": 0 if core.told is None else core.told.left,
            "left_s": None
            if core.drain_ends_s is None
            else round(max(0.0, core.drain_ends_s - core.clock.monotonic_s()), 3),
        }
        return JSONResponse(fields, status)
