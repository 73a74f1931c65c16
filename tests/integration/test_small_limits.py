"""Gateways with small limits: what clients send is cut to the size that the gateway takes."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import httpx
import numpy as np
import pytest

from gateway.app import Gateway
from gateway.client import Backoff, Client, RequestRefused, connect
from gateway.client.sending import alias
from gateway.config import Settings
from gateway.connections.core_settings import CoreSettings
from gateway.errors import Code
from gateway.protocol.limits import Limits
from gateway.testing import running_gateway
from tests.admin.files import saved
from tests.integration.proxy import cutting_proxy

MANY = 300

SMALL = [Limits(chunk_bytes=4096), Limits(max_message_bytes=4096), Limits(chunk_bytes=4096, max_message_bytes=1000)]


def settings_of(limits: Limits) -> Settings:
    return Settings(admin_port=None, drain_deadline_s=1.0, core=CoreSettings(limits=limits))


def publish_many(client: Client) -> None:
    """800 bytes each, in record batches of 64 KiB where they fit."""
    for number in range(MANY):
        client.publish_nowait("wf/log", np.full(100, number), kind="event")


async def received(client: Client) -> list[int]:
    async with client.subscribe("wf/log", since="beginning") as messages:
        return [int((await anext(messages)).tensor[0]) for _ in range(MANY)]


@pytest.mark.parametrize("limits", SMALL)
async def test_record_batches_are_cut_to_what_the_gateway_takes(limits: Limits) -> None:
    async with running_gateway(settings_of(limits)) as gateway, connect(gateway.url) as client:
        publish_many(client)
        await client.drain()
        assert await received(client) == list(range(MANY))


@pytest.mark.parametrize("kind", ["event", "state", "collaboration"])
async def test_a_client_refuses_messages_in_one_frame_that_are_larger_than_it_takes(kind: str) -> None:
    errors: list[Exception] = []
    async with (
        running_gateway(settings_of(Limits())) as gateway,
        connect(gateway.url) as publisher,
        connect(gateway.url, limits=Limits(max_message_bytes=600_000), on_error=errors.append) as client,
        client.subscribe("wf/a", observe=True) as messages,
    ):
        for size in (10, 700_000, 600_000):
            await publisher.publish("wf/a", np.zeros(size, np.uint8), kind=kind, codec="none")
            if size != 700_000:
                assert (await anext(messages)).tensor.size == size
    (error,) = errors
    assert isinstance(error, RequestRefused)
    assert error.code == Code.MESSAGE_TOO_BIG


async def test_a_small_message_that_is_larger_than_a_client_takes_is_refused_in_a_run_too() -> None:
    errors: list[Exception] = []
    async with (
        running_gateway(settings_of(Limits())) as gateway,
        connect(gateway.url, limits=Limits(max_message_bytes=100), on_error=errors.append) as client,
        connect(gateway.url) as publisher,
        client.subscribe("wf/a") as messages,
    ):
        large = np.zeros(200, np.uint8)
        await asyncio.gather(*[publisher.publish("wf/a", large, kind="event") for _ in range(40)])
        await publisher.publish("wf/a", np.zeros(100, np.uint8))
        assert (await anext(messages)).tensor.size == 100
    assert len(errors) == 40


@pytest.mark.parametrize("nbytes", [899_990, 890_000])
async def test_messages_by_http_that_hardly_fit_a_frame_reach_receivers(nbytes: int) -> None:
    limits = Limits(max_frame_bytes=900_000)
    settings = replace(settings_of(limits), admin_port=0)
    async with (
        running_gateway(settings) as gateway,
        connect(gateway.url) as client,
        client.subscribe("wf/a") as messages,
    ):
        array = np.arange(nbytes, dtype=np.uint8)
        async with httpx.AsyncClient(base_url=gateway.admin_url or "") as http:
            (await http.put("/api/v1/streams/wf/a", content=saved(array))).raise_for_status()
        assert np.array_equal((await anext(messages)).tensor, array)


@pytest.mark.parametrize("limits", SMALL)
async def test_so_are_those_that_were_made_before_the_gateway_was_another_one(limits: Limits) -> None:
    before = Gateway(replace(settings_of(Limits()), port=0))
    await before.start()
    async with connect(before.url, backoff=Backoff(base_s=0.01, cap_s=0.01, later_s=0.01)) as client:
        port = before.port
        await before.stop()
        publish_many(client)
        last = asyncio.ensure_future(client.publish("wf/log", np.full(100, MANY), kind="event"))
        after = Gateway(replace(settings_of(limits), port=port))
        await after.start()
        try:
            assert (await last).offset == MANY
            assert await received(client) == list(range(MANY))
        finally:
            await client.close()
            await after.stop()


@pytest.mark.parametrize("max_aliases", [1, 3])
async def test_a_client_publishes_to_more_streams_than_the_gateway_allows_aliases(max_aliases: int) -> None:
    told: list[Exception] = []
    settings = settings_of(Limits(max_aliases=max_aliases))
    async with running_gateway(settings) as gateway, connect(gateway.url, on_error=told.append) as client:
        for number in range(10):
            client.publish_nowait(f"run-{number}/loss", number, kind="event")
        results = await asyncio.gather(*[client.publish(f"run-{number}/loss", number) for number in range(10)])
        assert [result.offset for result in results] == [1] * 10
    assert told == []


@pytest.mark.parametrize("restarted", [False, True])
async def test_a_client_that_has_published_to_very_many_streams_goes_on_with_each(
    monkeypatch: pytest.MonkeyPatch, *, restarted: bool
) -> None:
    monkeypatch.setattr(alias, "KEPT_HOLDERS", 8)
    told: list[Exception] = []
    names = [f"run-{number}/loss" for number in range(50)]
    async with (
        running_gateway(settings_of(Limits(max_aliases=3))) as gateway,
        cutting_proxy(gateway.url) as proxy,
        connect(proxy.url, on_error=told.append, backoff=Backoff(0.0, 0.01, 0.01)) as client,
    ):
        queues = client._core.publisher._queues
        for turn in range(3):
            for name in names:
                assert (await client.publish(name, turn, kind="event")).offset == turn
            assert len(queues) <= 2 * 8 + 3
            if restarted:
                proxy.cut()
        results = await asyncio.gather(*[client.publish(name, 3) for name in names])
        assert [result.offset for result in results] == [3] * len(names)
    assert told == []


async def test_streams_that_wait_for_an_alias_of_a_connection_that_is_lost_get_one_of_the_next() -> None:
    names = [f"run-{number}/loss" for number in range(20)]
    async with (
        running_gateway(settings_of(Limits(max_aliases=3))) as gateway,
        cutting_proxy(gateway.url) as proxy,
        connect(proxy.url, backoff=Backoff(0.0, 0.01, 0.01)) as client,
    ):
        await asyncio.gather(*[client.publish(name, 0, kind="event") for name in names])
        proxy.cut()
        for name in names:  # each stream has a task that waits for an alias, and another message behind it
            client.publish_nowait(name, 1)
        results = await asyncio.gather(*[client.publish(name, 2) for name in names])
        assert {result.offset for result in results} <= {1, 2}


async def test_a_client_that_has_asked_very_many_others_goes_on_with_each(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(alias, "KEPT_HOLDERS", 8)
    async with running_gateway(settings_of(Limits(max_aliases=3))) as gateway, connect(gateway.url) as client:
        queues = client._core.requester._queues
        for _ in range(2):
            for number in range(50):
                with pytest.raises(RequestRefused, match=f"agent:{number}"):
                    await client.request(f"agent:{number}", 1)
            assert len(queues) <= 2 * 8 + 3
