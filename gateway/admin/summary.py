"""Summary of the admin port: the whole gateway in one answer, whose size does not grow with it."""

from __future__ import annotations

import dataclasses
import enum
import math
from collections.abc import Mapping
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse

from gateway import __version__
from gateway.admin.metrics import Metrics
from gateway.admin.query import check_names
from gateway.admin.steps import in_steps
from gateway.connections.core import Core
from gateway.connections.snapshots import core_snapshot


class Summary:
    """Numbers of the whole gateway: those of :class:`~gateway.connections.snapshots.CoreSnapshot`, under its names.

    Args:
        core: the gateway.
        metrics: its metrics, which are made in turn with summaries.
    """

    def __init__(self, core: Core, metrics: Metrics) -> None:
        self._core = core
        self._metrics = metrics

    async def show(self, request: Request) -> JSONResponse:
        """Answer with the summary.

        Raises:
            RequestRefused: ``INVALID_REQUEST``.
        """
        check_names(request)
        async with self._metrics.in_turn:
            snapshot = await in_steps(core_snapshot(self._core))
        fields = {"version": __version__, "time_s": self._core.clock.monotonic_s()}
        return JSONResponse(fields | json_of(snapshot))


def json_of(value: Any) -> Any:
    """Return a snapshot as JSON: records and tables are objects, members of an enumeration words, infinity null."""
    if isinstance(value, enum.Enum):
        return value.value if isinstance(value, str) else value.name.lower()
    if isinstance(value, Mapping):
        return {json_of(key): json_of(each) for key, each in value.items()}
    if dataclasses.is_dataclass(value):
        return {field.name: json_of(getattr(value, field.name)) for field in dataclasses.fields(value)}
    if isinstance(value, tuple):
        return {name: json_of(each) for name, each in value._asdict().items()}  # type: ignore[attr-defined]
    return None if isinstance(value, float) and not math.isfinite(value) else value
