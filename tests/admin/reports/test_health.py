"""Health: alive all along, ready until the gateway stops."""

from __future__ import annotations

import json

import httpx
from starlette.requests import Request

from gateway.admin.reports.health import Health
from gateway.app import Gateway
from tests.connections.memory import World
from tests.connections.step_store import StepStore

DRAINING = {"status": "draining", "reason": "the gateway is stopping"}


async def test_alive_and_ready(http: httpx.AsyncClient) -> None:
    for path, status in (("/healthz", "alive"), ("/readyz", "ready")):
        response = await http.get(path)
        assert (response.status_code, response.json()) == (200, {"status": status})


async def test_a_stopping_gateway_is_alive_and_not_ready(gateway: Gateway, http: httpx.AsyncClient) -> None:
    gateway.core.go_away("stopping", 5.0)
    response = await http.get("/readyz")
    assert (response.status_code, response.json()) == (503, DRAINING)
    assert (await http.get("/healthz")).status_code == 200


async def test_a_gateway_whose_store_fails_is_alive_and_not_ready() -> None:
    store = StepStore()
    health, request = Health(World(store=store).core), Request({"type": "http"})
    assert (await health.ready(request)).status_code == 200
    store.problem = "the disk is full: make room"
    response = await health.ready(request)
    assert (response.status_code, json.loads(bytes(response.body))) == (
        503,
        {"status": "store_failed", "reason": "the disk is full: make room"},
    )
    assert (await health.alive(request)).status_code == 200
    store.problem = None
    assert (await health.ready(request)).status_code == 200
