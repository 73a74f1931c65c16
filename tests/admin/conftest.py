"""A gateway with an admin port, and an HTTP client for it."""

from __future__ import annotations

from collections.abc import AsyncIterator

import httpx
import pytest

from gateway.app import Gateway
from gateway.config import Settings
from gateway.connections.core_settings import CoreSettings
from gateway.protocol.limits import Limits
from gateway.testing import running_gateway
from tests.admin.files import CHUNK_BYTES


@pytest.fixture
async def gateway() -> AsyncIterator[Gateway]:
    """A gateway with small chunks; stopped in good order."""
    core = CoreSettings(limits=Limits(chunk_bytes=CHUNK_BYTES, max_message_bytes=64 * 1024 * 1024))
    async with running_gateway(Settings(admin_port=0, drain_deadline_s=5.0, core=core)) as gateway:
        yield gateway


@pytest.fixture
async def http(gateway: Gateway) -> AsyncIterator[httpx.AsyncClient]:
    """A client of its admin port."""
    # No certificates to load, for plain HTTP.
    async with httpx.AsyncClient(base_url=gateway.admin_url or "", timeout=60, verify=False) as client:
        yield client
