"""Whether the gateway is alive, and whether it takes new work."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import JSONResponse

from gateway.connections.core import Core


class Health:
    """Answers what orchestrators ask.

    Args:
        core: the gateway.
    """

    def __init__(self, core: Core) -> None:
        self._core = core

    async def alive(self, request: Request) -> JSONResponse:
        """200 as long as the loop turns."""
        return JSONResponse({"status": "alive"})

    async def ready(self, request: Request) -> JSONResponse:
        """200 while connections are taken, 503 once the gateway is stopping."""
        if self._core.draining:
            return JSONResponse({"status": "draining"}, 503)
        return JSONResponse({"status": "ready"})
