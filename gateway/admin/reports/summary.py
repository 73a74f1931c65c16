"""Summary of the admin port: the whole gateway in one answer, whose size does not grow with it."""

from __future__ import annotations

import dataclasses
import enum
import math
from collections.abc import Mapping
from typing import Any, Final

from starlette.requests import Request
from starlette.responses import JSONResponse

from gateway import __version__
from gateway.admin.http.query import check_names
from gateway.admin.http.steps import in_steps
from gateway.admin.reports.metrics import Metrics
from gateway.connections.core import Core
from gateway.connections.snapshots import core_snapshot

SUMMARY_TEXTS: Final[Mapping[str, str]] = {
    "draining": "The gateway is stopping.",
    "greeting": "Connections that have not said HELLO.",
    "refused_sockets": "Sockets refused for lack of file descriptors.",
    "connections": "Connections by type of client.",
    "kinds": "Streams by kind, and the messages of all, also of those that have ended.",
    "consumers": "Clients for which messages are kept until they acknowledge, of all streams.",
    "observers": "Receivers that take such streams without acknowledging, counted for each stream.",
    "subscriptions": "Subscriptions of all connections.",
    "transfers": "Large messages that are being uploaded.",
    "requests": "Requests that wait for a reply.",
    "kept_request_bytes": "Bytes of requests to groups that are kept in case a member is lost.",
    "lagging": "Connections that do not keep up.",
    "out_of_credit": "Subscriptions that name credits and have none left.",
    "outbox_bytes": "Bytes that wait in outboxes, counted for each receiver.",
    "transport_bytes": "Bytes that are written to sockets and not yet taken by the operating system.",
    "held_acks": "Acknowledgements of publishes that are held back while receivers are behind.",
    "waiting_dead_letters": "Messages that are to become dead letters and are not published yet.",
    "history_bytes": "Bytes of the histories of all streams in memory.",
    "store_waiting_bytes": "Bytes that were published to durable streams and are not stored yet.",
    "clock_ahead_ns": "Nanoseconds by which the machine's clock is ahead of the gateway's.",
    "store": "Whether messages of durable streams are stored, and failures so far.",
    "conflated_messages": "Versions of states that newer ones replaced in outboxes.",
    "client_conflated_messages": "Versions of states that were replaced in clients, whose programs are slow.",
    "dropped_messages": "Messages of `event` streams that were dropped from outboxes and lost to their receivers.",
    "superseded_connections": "Connections that were closed because a newer program has their `client_id`.",
    "views": "Views that somebody receives, and the work for them.",
    "ended_streams": "Streams that have ended, by reason.",
    "workflows": "Workflows with a collaboration graph, by pattern.",
    "presence": "Members of workflows and streams, and those that watch them.",
    "heartbeat": "Pings, and connections that were closed for lack of signs of life.",
    "overload": "Stage of measures against overload, as `/api/v1/overload` has it.",
    "planning": "Counts of plans; `/api/v1/plans` has their reasons and effects.",
    "admission": "Clients that were let in and told to return later, and budgets with their use.",
    "links": "Round trips, scores and bottlenecks by type of client.",
    "latency": "Time from the publish of a message until its last byte left for a receiver, by samples.",
    "publish_rates": "Rates of publishes by type and workflow that have a budget.",
    "queue_budgets": "Bytes that wait by type and workflow that have a budget.",
    "idle_closed_connections": "Connections that were closed because they did nothing.",
}
"""Descriptions of the fields of the summary."""


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
