"""Order in which streams reach a receiver that lags: preferred ones go before others. Nothing is timed."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Final

import pytest_asyncio

from gateway.app import Gateway
from gateway.connections.outbound.connection import Connection
from gateway.connections.planning.adjust import SettingChange
from gateway.connections.planning.knob import Knob, Site
from gateway.testing import running_gateway
from tests.integration.peer import publisher_of, subscriber_of, until
from tests.integration.proxy import Way, cutting_proxy

LOGS: Final = 24
MESSAGE: Final = bytes(15 * 1024)
EACH: Final = 16
TURN: Final = 5
"""Messages that one turn sends: some 64 KiB."""
LIGHT: Final = "wf/light"


@pytest_asyncio.fixture
async def gateway() -> AsyncIterator[Gateway]:
    async with running_gateway() as running:
        yield running


def connection_of(gateway: Gateway, client_id: str) -> Connection:
    connection = gateway.core.planning.actuator.connection_of(client_id)
    assert connection is not None
    return connection


async def passed_by(gateway: Gateway, *, preferred: bool) -> int:
    """Return how many messages that had waited already reach a receiver before the light one does."""
    async with (
        cutting_proxy(gateway.url) as proxy,
        publisher_of(gateway.url, LIGHT) as light,
        publisher_of(gateway.url, *[f"wf/log-{number}" for number in range(LOGS)]) as logs,
        subscriber_of(proxy.url, "wf/*", "reader") as reader,
    ):
        site = Site(Knob.PRIORITY, LIGHT)
        assert gateway.core.planning.actuator.set(SettingChange(site, float(preferred), "it is tested", "wf"))
        proxy.hold(Way.TO_CLIENT)
        for _ in range(EACH):
            for alias in range(LOGS):
                await logs.publish(alias, MESSAGE)
        await logs.settle()
        connection = connection_of(gateway, "reader")
        await until(lambda: connection.lagging)
        outbox = connection.made_outbox()
        waiting = outbox.waiting_bytes // len(MESSAGE)
        assert waiting > 2 * LOGS * TURN
        await light.publish(0, b"12345678")
        await light.settle()
        proxy.release(Way.TO_CLIENT)
        stream = gateway.core.hub.fanouts.named(LIGHT)
        assert stream is not None
        await reader.until(lambda reader: any(each.stream == stream.id for each in reader.arrivals))
        before = [each.stream for each in reader.reader.arrivals].index(stream.id)
        return before - (LOGS * EACH - waiting)


async def test_a_light_stream_waits_for_a_turn_of_all_the_others(gateway: Gateway) -> None:
    assert await passed_by(gateway, preferred=False) >= (LOGS - 1) * TURN


async def test_a_preferred_one_waits_for_one_turn_at_most(gateway: Gateway) -> None:
    assert await passed_by(gateway, preferred=True) <= TURN
