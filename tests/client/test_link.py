"""The link as a client sees it: what the present connection has shown, by the formula of both ends."""

from __future__ import annotations

import numpy as np

from gateway.client import connect, sync
from gateway.protocol.link_quality import LinkQuality
from gateway.testing import GatewayProcess, running_gateway, running_gateway_process
from tests.client.scripted_gateway import ScriptedGateway
from tests.client.waiting import until


async def test_publishes_and_round_trips_make_the_link() -> None:
    async with running_gateway() as gateway, connect(gateway.url) as client:
        before = client.link
        result = await client.publish("wf/a", np.random.default_rng(0).random(100_000))
        after = client.link
    assert before.goodput_bytes_per_s is None
    assert 0 < (before.rtt_s or 0) < 60
    assert after.goodput_bytes_per_s is not None
    assert after.goodput_bytes_per_s >= result.bytes_transmitted / result.latency_s * 0.999
    assert after.queue_delay_s == 0
    assert 0 < after.score <= 1


async def test_without_a_connection_nothing_is_known_of_the_way(scripted: ScriptedGateway) -> None:
    async with connect(scripted.url) as client:
        peer = await scripted.accept()
        peer.drop()
        await until(lambda: client._core.session is None)
        assert client.link == LinkQuality(unread_s=0.0)


def test_a_blocking_client_has_the_same() -> None:
    with running_gateway_process() as gateway, sync.connect(gateway.url) as client:
        assert isinstance(gateway, GatewayProcess)
        assert 0 < (client.link.rtt_s or 0) < 60
        assert 0 < client.link.score <= 1
