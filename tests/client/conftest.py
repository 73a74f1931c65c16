"""Gateways for the tests of the SDK."""

from collections.abc import AsyncIterator

import pytest_asyncio

from gateway.app import Gateway
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
