"""The admin port of a gateway with tokens answers who shows that of an admin panel; without tokens, everybody."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest

from gateway.config import Settings
from gateway.errors import Code
from gateway.testing import running_gateway
from tests.admin.files import failure_of
from tests.security.tokens import Issuer


@pytest.fixture
def issuer(tmp_path: Path) -> Issuer:
    return Issuer(tmp_path / "keys.json")


@pytest.fixture
async def guarded(issuer: Issuer) -> AsyncIterator[httpx.AsyncClient]:
    """A client of the admin port of a gateway with tokens."""
    async with (
        running_gateway(Settings(admin_port=0, security=issuer.settings)) as gateway,
        httpx.AsyncClient(base_url=gateway.admin_url or "", timeout=60, verify=False) as client,
    ):
        yield client


def bearer(token: str) -> dict[str, str]:
    return {"authorization": f"Bearer {token}"}


@pytest.mark.parametrize("path", ["/metrics", "/api/v1/streams", "/api/v1/openapi.json", "/api/v1/streams/wf/a", "/x"])
async def test_nothing_is_told_without_a_token(guarded: httpx.AsyncClient, path: str) -> None:
    response = await guarded.get(path)
    assert "asks for a token" in failure_of(response, Code.UNAUTHENTICATED, 401)
    assert response.headers["www-authenticate"] == 'Bearer realm="frys"'


async def test_the_token_of_an_admin_panel_opens_it(guarded: httpx.AsyncClient, issuer: Issuer) -> None:
    admin = issuer.token("boss", unix_s=time.time(), client_type="admin_panel")
    response = await guarded.get("/api/v1/streams", headers=bearer(admin))
    assert response.status_code == 200
    body = b"\x93NUMPY\x01\x00v\x00{'descr': '<f4', 'fortran_order': False, 'shape': (1,), }".ljust(127) + b"\n\0\0\0\0"
    assert (await guarded.put("/api/v1/streams/wf/a", content=body, headers=bearer(admin))).status_code == 200


@pytest.mark.parametrize("claims", [{"client_type": "agent"}, {}, {"client_type": "admin_panel", "ttl_s": -60}])
async def test_other_tokens_do_not(guarded: httpx.AsyncClient, issuer: Issuer, claims: dict[str, object]) -> None:
    token = issuer.token(unix_s=time.time(), **claims)
    response = await guarded.get("/api/v1/streams", headers=bearer(token))
    assert token not in failure_of(response, Code.UNAUTHENTICATED, 401)


@pytest.mark.parametrize("path", ["/healthz", "/readyz", "/client/frys.js", "/"])
async def test_probes_and_the_program_of_the_page_need_none(guarded: httpx.AsyncClient, path: str) -> None:
    assert (await guarded.get(path)).status_code != 401
