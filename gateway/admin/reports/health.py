"""Health of the gateway: liveness, and readiness for new connections."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import JSONResponse

from gateway.connections.core import Core


class Health:
    """Handler of an orchestrator's probes.

    Args:
        core: the gateway.
    """

    def __init__(self, core: Core) -> None:
        self._core = core

    async def alive(self, request: Request) -> JSONResponse:
        """Answer 200 as long as the loop turns."""
        return JSONResponse({"status": "alive"})

    async def ready(self, request: Request) -> JSONResponse:
        """Answer 200 while the gateway does all its work; 503 once it is stopping, or while it cannot do its work."""
        if self._core.draining:
            return JSONResponse({"status": "draining", "reason": "the gateway is stopping"}, 503)
        if self._core.misconfigured:
            return JSONResponse({"status": "misconfigured", "reason": self._core.misconfigured}, 503)
        problem = self._core.gate.store_health.problem
        if problem is not None:
            return JSONResponse({"status": "store_failed", "reason": problem}, 503)
        return JSONResponse({"status": "ready"})
