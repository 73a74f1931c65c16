"""Drain over HTTP: ``POST /api/v1/drain`` stops the gateway as SIGTERM does, ``GET`` tells how far it has come."""

from __future__ import annotations

from http import HTTPStatus
from typing import Final

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse

from gateway.connections.core import Core

JSON: Final = "application/json"


class Drain:
    """Handler of an operator's wish to stop the gateway.

    Args:
        core: the gateway.
    """

    def __init__(self, core: Core) -> None:
        self._core = core

    async def handle(self, request: Request) -> JSONResponse:
        """Begin to stop if the method is POST, and answer with the progress.

        Raises:
            HTTPException: the content type is not JSON, which no page of another site can send.
        """
        if request.method != "POST":
            return self._progress(HTTPStatus.OK)
        if request.headers.get("content-type", "").partition(";")[0].strip().lower() != JSON:
            raise HTTPException(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, f"send content-type: {JSON}")
        if not self._core.draining:
            self._core.on_drain()
        return self._progress(HTTPStatus.ACCEPTED, begun=True)

    def _progress(self, status: HTTPStatus, *, begun: bool = False) -> JSONResponse:
        core = self._core
        fields = {
            "draining": begun or core.draining,
            "connections": len(core.pool),
            "untold": 0 if core.told is None else core.told.left,
            "left_s": None
            if core.drain_ends_s is None
            else round(max(0.0, core.drain_ends_s - core.clock.monotonic_s()), 3),
        }
        return JSONResponse(fields, status)
