"""ASGI application of the admin port: its routes and their handlers."""

from __future__ import annotations

from typing import Final

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route

from gateway.admin.arrays.download import FileDownload
from gateway.admin.arrays.upload import FileUpload
from gateway.admin.commands.connections import ConnectionCommands
from gateway.admin.commands.dead_letters import DeadLetterCommands
from gateway.admin.commands.deletion import StreamDeletion
from gateway.admin.commands.drain import Drain
from gateway.admin.commands.log import LogView
from gateway.admin.document.openapi import show_document
from gateway.admin.http.bearer_check import BearerCheck
from gateway.admin.http.failures import (
    client_left,
    connection_failed,
    http_failed,
    peer_failed,
    program_failed,
    upgrade_required,
)
from gateway.admin.http.upgrade import WEBSOCKET_PATH
from gateway.admin.log_ring import LogRing
from gateway.admin.pages.client_files import client_files
from gateway.admin.pages.dashboard import Dashboard
from gateway.admin.reports.catalogue import Catalogue
from gateway.admin.reports.health import Health
from gateway.admin.reports.metrics import Metrics
from gateway.admin.reports.optimizer import OptimizerReport
from gateway.admin.reports.overload import OverloadReport
from gateway.admin.reports.plans import PlanReport
from gateway.admin.reports.presence_lists import PresenceLists
from gateway.admin.reports.regret import RegretTimeline
from gateway.admin.reports.summary import Summary
from gateway.admin.reports.tasks import TaskReport
from gateway.admin.reports.timeline import Timeline
from gateway.connections.core import Core
from gateway.errors import ConnectionClosed, PeerError
from gateway.optimizer.recording import RecordingReport

IDLE_TIMEOUT_S: Final = 60.0
"""Longest time in which the client of a transfer neither sends nor reads."""


def make_application(
    core: Core,
    metrics: Metrics,
    recording: RecordingReport | None = None,
    *,
    timeline: Timeline | None = None,
    regret: RegretTimeline | None = None,
    log: LogRing | None = None,
    idle_timeout_s: float = IDLE_TIMEOUT_S,
) -> Starlette:
    """Return the application of one gateway; it must run on the gateway's own loop."""
    health = Health(core)
    catalogue = Catalogue(core, metrics.in_turn)
    dashboard = Dashboard()
    deletion = StreamDeletion(core)
    connections = ConnectionCommands(core)
    download = FileDownload(core, idle_timeout_s)
    dead_letters = DeadLetterCommands(core)
    log_view = LogView(log or LogRing())
    upload = FileUpload(core, idle_timeout_s)
    presence = PresenceLists(core, metrics.in_turn)

    async def stream(request: Request) -> Response:
        # One route for all methods: the answer to any other method then lists them.
        handle = {"PUT": upload.put, "DELETE": deletion.delete}.get(request.method, download.get)
        return await handle(request)

    return Starlette(
        routes=[
            Route("/", dashboard.show),
            Route("/assets/{name}", dashboard.assets.show),
            Route(WEBSOCKET_PATH, upgrade_required),
            Route("/healthz", health.alive),
            Route("/readyz", health.ready),
            Route("/metrics", metrics.show),
            Route("/client/{name}", client_files().show),
            Route("/api/v1/openapi.json", show_document),
            Route("/api/v1/summary", Summary(core, metrics).show),
            Route("/api/v1/connections", catalogue.connections),
            Route("/api/v1/connections/{peer}/ping", connections.ping, methods=["POST"]),
            Route("/api/v1/connections/{peer}/move", connections.move, methods=["POST"]),
            Route("/api/v1/connections/{peer}/disconnect", connections.disconnect, methods=["POST"]),
            Route("/api/v1/dead-letters", dead_letters.show),
            Route("/api/v1/dead-letters/resend", dead_letters.resend, methods=["POST"]),
            Route("/api/v1/drain", Drain(core).handle, methods=["GET", "POST"]),
            Route("/api/v1/log", log_view.lines),
            Route("/api/v1/log/level", log_view.level, methods=["GET", "PUT"]),
            Route("/api/v1/optimizer", OptimizerReport(recording).show),
            Route("/api/v1/optimizer/timeline", (regret or RegretTimeline(recording)).show),
            Route("/api/v1/overload", OverloadReport(core).show),
            Route("/api/v1/presence", presence.scopes),
            Route("/api/v1/presence/{scope:path}", presence.members),
            Route("/api/v1/plans", PlanReport(core).show),
            Route("/api/v1/streams", catalogue.streams),
            Route("/api/v1/tasks", TaskReport(core, metrics.in_turn).show),
            Route("/api/v1/timeline", (timeline or Timeline(core, metrics.in_turn)).show),
            Route("/api/v1/workflows", catalogue.workflows),
            Route("/api/v1/streams/{name:path}", stream, methods=["GET", "PUT", "DELETE"]),
        ],
        middleware=[Middleware(BearerCheck, core=core)],
        exception_handlers={
            PeerError: peer_failed,
            ConnectionClosed: connection_failed,
            ClientDisconnect: client_left,
            HTTPException: http_failed,
            Exception: program_failed,
        },
    )
