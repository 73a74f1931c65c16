"""Health: alive all along, ready until the gateway stops."""

from __future__ import annotations

import httpx

from gateway.app import Gateway

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
