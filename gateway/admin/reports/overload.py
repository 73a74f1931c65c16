"""Overload as the admin port shows it: the stage of the gateway, and the measurements that it comes from."""

from __future__ import annotations

import math
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse

from gateway.connections.core import Core


class OverloadReport:
    """Handler of requests for the stage.

    Args:
        core: the gateway.
    """

    def __init__(self, core: Core) -> None:
        self._core = core

    async def show(self, request: Request) -> JSONResponse:
        """Answer with the present stage, its reason, and the last measurements."""
        found = self._core.overload.snapshot()
        pressure, limit_bytes = found.pressure, found.pressure.memory_limit_bytes
        fields: dict[str, Any] = {
            "stage": found.stage.label,
            "stage_s": round(found.stage_s, 3),
            "reason": found.reason,
            "loop_lag_s": round(pressure.loop_lag_s, 6),
            "resident_bytes": pressure.resident_bytes,
            "queued_bytes": pressure.queued_bytes,
            "memory_limit_bytes": None if math.isinf(limit_bytes) else int(limit_bytes),
            "stages": [
                {"stage": stage.label, "transitions": count, "seconds": round(found.seconds[stage], 3)}
                for stage, count in found.transitions.items()
            ],
        }
        return JSONResponse(fields)
