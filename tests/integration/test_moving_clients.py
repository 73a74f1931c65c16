"""Two gateways: one sends its clients to the other, and they go there with all that they do."""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace

import httpx

from gateway.app import Gateway
from gateway.client import Backoff, connect
from gateway.config import Settings
from gateway.protocol.wire import SUBPROTOCOL_JSON
from gateway.testing import running_gateway
from tests.free_ports import free_port
from tests.integration.peer import raw_websocket, until

SETTINGS = Settings(admin_port=0, drain_deadline_s=2.0)
QUICK = Backoff(base_s=0.01, cap_s=0.05)


async def send_away(gateway: Gateway, address: str) -> None:
    """Drain a gateway whose clients are to go elsewhere, and wait for its end."""
    async with httpx.AsyncClient() as http:
        answer = await http.post(f"{gateway.admin_url}/api/v1/drain", json={"address": address})
        assert answer.status_code == 202
    await gateway.stop()


def clients_of(gateway: Gateway) -> set[str]:
    return {session.peer.client_id for session in gateway.core.pool}


async def test_clients_go_on_at_the_other_gateway() -> None:
    async with (
        running_gateway(SETTINGS) as first,
        running_gateway(SETTINGS) as second,
        connect(first.url, client_id="publisher", backoff=QUICK) as publisher,
        connect(first.url, client_id="subscriber", backoff=QUICK) as subscriber,
        subscriber.subscribe("wf/*", since="beginning") as messages,
    ):
        await publisher.publish("wf/event", 1)
        assert (await anext(messages)).tensor == 1
        await send_away(first, second.url)
        await until(lambda: clients_of(second) == {"publisher", "subscriber"})
        await publisher.publish("wf/event", 2)
        async for message in messages:
            if getattr(message, "tensor", None) == 2:
                break
        for session in list(second.core.pool):
            session.connection.transport.abort()  # type: ignore[attr-defined]
        await publisher.publish("wf/event", 3)
        assert "publisher" in clients_of(second)


async def test_a_client_that_does_not_get_there_comes_back() -> None:
    port = free_port()
    settings = replace(SETTINGS, port=port)
    first = Gateway(settings)
    await first.start()
    async with connect(first.url, client_id="agent", backoff=QUICK) as client:
        await client.publish("wf/event", 1)
        await send_away(first, f"ws://127.0.0.1:{free_port()}")
        again = Gateway(settings)
        await again.start()
        try:
            await client.publish("wf/event", 2)
            assert clients_of(again) == {"agent"}
        finally:
            await again.stop()


async def test_text_clients_are_told_as_well() -> None:
    async with running_gateway(SETTINGS) as gateway, raw_websocket(gateway.url, SUBPROTOCOL_JSON) as websocket:
        await websocket.send(
            json.dumps({"message_type": "hello", "client_type": "agent", "payload": {"versions": [1]}})
        )
        await websocket.recv()
        stopping = asyncio.create_task(send_away(gateway, "wss://gateway-2.example.com"))
        away = json.loads(await websocket.recv())
        assert (away["message_type"], away["payload"]["address"]) == ("go_away", "wss://gateway-2.example.com")
        await websocket.close()
        await stopping
