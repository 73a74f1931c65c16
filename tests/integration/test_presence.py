"""Presence over real sockets: who vanishes leaves in time, and a flapping link or a restarted gateway tells nothing."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import orjson
from websockets.asyncio.client import connect as open_socket

from gateway.app import Gateway
from gateway.client import Backoff, Client, connect
from gateway.config.settings import Settings
from gateway.connections.core_settings import CoreSettings
from gateway.connections.presence.settings import PresenceSettings
from gateway.testing import running_gateway
from tests.client.waiting import until
from tests.integration.proxy import CuttingProxy, cutting_proxy

QUICK = Backoff(base_s=0.001, cap_s=0.001)


def settings(grace_s: float) -> Settings:
    presence = PresenceSettings(grace_s=grace_s, flush_window_s=0.01)
    return Settings(admin_port=None, drain_deadline_s=1.0, core=CoreSettings(presence=presence))


@asynccontextmanager
async def cut_off(gateway: Gateway) -> AsyncIterator[tuple[Client, CuttingProxy]]:
    """A client behind a proxy that cuts."""
    async with (
        cutting_proxy(gateway.url) as proxy,
        connect(proxy.url, client_id="behind", backoff=QUICK) as client,
    ):
        yield client, proxy


async def test_a_link_that_flaps_is_not_told() -> None:
    async with (
        running_gateway(settings(grace_s=60)) as gateway,
        connect(gateway.url, client_id="looker") as looker,
        looker.presence("wf") as seen,
        cut_off(gateway) as (client, proxy),
        client.presence("wf", metadata={"a": 1}) as presence,
    ):
        changes = seen.changes()
        assert (await anext(changes)).kind == "joined"
        for value in range(5):
            connected = proxy.connected
            proxy.cut()
            await until(lambda connected=connected: proxy.connected > connected)  # type: ignore[misc]
            await presence.update({"a": value})
        await until(lambda: seen.members["behind"].metadata == {"a": 4})
        kinds = set()
        while (change := changes.queue.take()) is not None:
            kinds.add(change.kind.value)
        assert kinds == {"updated"}
        assert gateway.core.presence.stats().joins == 1


async def test_who_vanishes_leaves_behind_the_grace() -> None:
    async with (
        running_gateway(settings(grace_s=0.05)) as gateway,
        connect(gateway.url) as looker,
        looker.presence("wf") as seen,
        cut_off(gateway) as (client, proxy),
    ):
        presence = client.presence("wf", metadata={})
        await presence.start()
        await until(lambda: seen.count == 1)
        proxy.accepting = False
        proxy.cut()
        await until(lambda: seen.count == 0)
        assert gateway.core.presence.stats().members == 0


async def test_a_restart_of_the_gateway_tells_only_who_has_come_or_gone() -> None:
    async with (
        running_gateway(settings(grace_s=60)) as first,
        running_gateway(settings(grace_s=60)) as second,
        cutting_proxy(first.url) as proxy,
        connect(proxy.url, client_id="a", backoff=QUICK) as one,
        connect(first.url, client_id="b") as gone,
        one.presence("wf", metadata={}) as mine,
        gone.presence("wf", metadata={}),
    ):
        changes = mine.changes()
        assert {(await anext(changes)).member.client_id for _ in "ab"} == {"a", "b"}
        proxy.lead_to(second.url)
        proxy.cut()
        await until(lambda: set(mine.members) == {"a"})
        told = []
        while (change := changes.queue.take()) is not None:
            told.append((change.kind.value, change.member.client_id))
        assert sorted(told) in ([("left", "b")], [("left", "b"), ("updated", "a")])


async def test_the_roster_is_who_is_connected_behind_a_storm() -> None:
    async with (
        running_gateway(settings(grace_s=0.05)) as gateway,
        connect(gateway.url) as looker,
        looker.presence("wf") as seen,
        connect(gateway.url) as counter,
        counter.presence("wf", watch="count") as counted,
    ):

        async def come_and_go(number: int) -> None:
            for _ in range(3):
                async with connect(gateway.url, client_id=f"client-{number}") as client:
                    async with client.presence("wf", metadata={"number": number}, watch=None) as presence:
                        presence.set_awareness({"cursor": number})
                    if number % 2:
                        kept = client.presence("wf", metadata={}, watch=None)  # left with the client
                        await kept.start()

        await asyncio.gather(*[come_and_go(number) for number in range(50)])
        stay = [await connect(gateway.url, client_id=f"stay-{number}") for number in range(3)]
        present = [client.presence("wf", metadata={}, watch=None) for client in stay]
        await asyncio.gather(*[presence.start() for presence in present])
        await until(lambda: set(seen.members) == {"stay-0", "stay-1", "stay-2"})
        await until(lambda: counted.count == 3)
        assert gateway.core.presence.stats().members == 3
        for client in stay:
            await client.close()


async def test_a_page_joins_by_text_and_sees_others() -> None:
    async with (
        running_gateway(settings(grace_s=0.05)) as gateway,
        connect(gateway.url, client_id="agent") as client,
        client.presence("wf", metadata={"role": "trainer"}) as presence,
        open_socket(gateway.url, subprotocols=["frys.v1.json"]) as page,  # type: ignore[list-item]
    ):
        await page.send('{"message_type":"hello","client_type":"agent","client_id":"page","payload":{"versions":[1]}}')
        await page.send('{"id":1,"message_type":"attend","payload":{"scope":"wf","metadata":{},"watch":"members"}}')
        await page.send('{"message_type":"awareness","payload":{"scope":"wf","state":{"at":1}}}')
        found: dict[str, object] = {}
        while "members" not in found or "page" not in str(found["members"]):
            message = orjson.loads(await page.recv())
            found[message["message_type"]] = message["payload"]
        assert found["attending"] == {"request": 1, "scope": "wf", "count": 2}
        await until(lambda: "page" in presence.members and presence.members["page"].awareness == {"at": 1})
