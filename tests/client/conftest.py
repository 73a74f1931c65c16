"""Gateways for the tests of the SDK."""

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from gateway.app import Gateway
from gateway.client import Backoff
from gateway.client.sending import send_queue
from gateway.testing import running_gateway
from tests.client.scripted_gateway import ScriptedGateway, scripted_gateway


@pytest_asyncio.fixture
async def gateway() -> AsyncIterator[Gateway]:
    """A real gateway in the test's loop."""
    async with running_gateway() as running:
        yield running


@pytest_asyncio.fixture
async def scripted() -> AsyncIterator[ScriptedGateway]:
    """A gateway that does what the test tells it to."""
    async with scripted_gateway() as running:
        yield running


@pytest.fixture
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Messages that were refused for now are sent again without a pause."""
    monkeypatch.setattr(send_queue, "AGAIN", Backoff(base_s=0, cap_s=0, later_s=0))
