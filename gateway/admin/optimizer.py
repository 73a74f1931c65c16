"""Optimizer as the admin port shows it: counts of its traffic history."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse

from gateway.optimizer.history.stats import TrafficHistoryStats


class OptimizerReport:
    """Handler of requests for the optimizer.

    Args:
        history: returns the counts of the traffic history; ``None``: the gateway has none.
    """

    def __init__(self, history: Callable[[], TrafficHistoryStats] | None) -> None:
        self._history = history

    async def show(self, request: Request) -> JSONResponse:
        """Answer with the counts of the traffic history."""
        fields: dict[str, Any] = {"history": None if self._history is None else asdict(self._history())}
        return JSONResponse(fields)
