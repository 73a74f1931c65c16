"""States of dashboards while the gateway is overloaded, over real sockets: both faces of the SDK, both subprotocols."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import numpy as np
import orjson
import pytest
from websockets.asyncio.client import ClientConnection

from gateway.app import Gateway
from gateway.client import Client, Notice, connect, sync
from gateway.client.subscribing.subscription import Subscription
from gateway.config import Settings
from gateway.connections.overload.dashboard_states import DashboardStates
from gateway.connections.overload.stage import Stage
from gateway.errors import Code
from gateway.protocol.wire import SUBPROTOCOL_JSON
from gateway.testing import running_gateway
from tests.connections.overload.fixed_memory import FixedMemory
from tests.integration.peer import raw_websocket, until

SETTINGS = Settings(admin_port=None, drain_deadline_s=1.0)
LOWERED, RESTORED = [Code.VIEW_LOWERED], [Code.VIEW_LOWERED, Code.VIEW_RESTORED]
STATES = 100
HELLO = '{"message_type":"hello","client_type":"extension","payload":{"versions":[1]}}'
SUBSCRIBE = '{"id":1,"message_type":"subscribe","payload":{"pattern":"wf/*"}}'


@pytest.fixture
def shows(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Intervals of the sweeps over dashboards while these rest; stages are left at once when nothing presses."""
    found: list[float] = []
    sweep = DashboardStates.sweep

    def noting(states: DashboardStates) -> Iterator[None]:
        if states.least_interval_s:
            found.append(states.least_interval_s)
        return sweep(states)

    monkeypatch.setattr(DashboardStates, "sweep", noting)
    monkeypatch.setattr("gateway.connections.overload.stage.FALL_S", 0.0)
    return found


async def enter(gateway: Gateway, share: float, stage: Stage) -> None:
    """Have the process take this share of its memory."""
    overload = gateway.core.overload
    overload.memory = FixedMemory(0.0, int(share * overload.pressure.memory_limit_bytes))
    await until(lambda: overload.stage is stage)


async def publish(publisher: Client, first: int, size: int) -> None:
    for number in range(first, first + STATES):
        await publisher.publish("wf/s", np.full(size, number, np.uint32), kind="state")


async def offsets_up_to(states: Subscription, last: int) -> list[int]:
    """Offsets that come, the last one included; each with its content."""
    found: list[int] = []
    async for state in states:
        assert (state.tensor == state.offset).all()
        found.append(state.offset)
        if state.offset == last:
            break
    return found


@pytest.mark.parametrize("size", [10, 5000, 100_000], ids=["small", "encoded", "in chunks"])
async def test_a_dashboard_gets_few_versions_and_the_newest_and_an_agent_gets_all(
    size: int, shows: list[float]
) -> None:
    told: list[Notice] = []
    async with (
        running_gateway(SETTINGS) as gateway,
        connect(gateway.url, client_type="agent", client_id="trainer") as publisher,
        connect(gateway.url, client_type="extension", on_notice=told.append) as dashboard,
        connect(gateway.url, client_type="agent", client_id="agent") as agent,
        dashboard.subscribe("wf/*", conflate=False) as few,
        agent.subscribe("wf/*", conflate=False) as every,
    ):
        await publish(publisher, 0, size)
        assert (await offsets_up_to(few, STATES - 1))[-1] == STATES - 1
        await enter(gateway, 0.85, Stage.LOWER_VIEWS)
        await until(lambda: told)
        before = len(shows)
        await publish(publisher, STATES, size)
        got = await offsets_up_to(few, 2 * STATES - 1)
        assert len(got) <= len(shows) - before + 1
        await enter(gateway, 0.0, Stage.NORMAL)
        await until(lambda: len(told) == 2)
        await publish(publisher, 2 * STATES, size)
        assert (await offsets_up_to(few, 3 * STATES - 1))[-1] == 3 * STATES - 1
        seen = await offsets_up_to(every, 3 * STATES - 1)
        assert size > 10 or seen == list(range(3 * STATES)), "a small state never makes an agent lag"
        assert [notice.code for notice in told] == RESTORED
        counts = (await dashboard.account(few))["wf/s"]
        assert counts == few.account["wf/s"]
        assert counts.conflated >= STATES - len(got)


async def test_the_blocking_client_and_a_page_of_text_as_well(shows: list[float]) -> None:
    told: list[Notice] = []
    async with (
        running_gateway(SETTINGS) as gateway,
        connect(gateway.url, client_type="agent", client_id="trainer") as publisher,
        raw_websocket(gateway.url, SUBPROTOCOL_JSON) as page,
    ):
        await page.send(HELLO)
        await page.send(SUBSCRIBE)
        await publish(publisher, 0, 10)

        def watch() -> list[int]:
            with (
                sync.connect(gateway.url, client_type="extension", on_notice=told.append) as dashboard,
                dashboard.subscribe("wf/*", conflate=False) as states,
            ):
                found: list[int] = []
                for state in states:
                    found.append(state.offset)
                    if state.offset == 2 * STATES - 1:
                        break
                return found

        await enter(gateway, 0.85, Stage.LOWER_VIEWS)
        watching = asyncio.create_task(asyncio.to_thread(watch))
        await until(lambda: told)
        before = len(shows)
        await publish(publisher, STATES, 10)
        got = await watching
        assert got[0] == STATES - 1
        assert len(got) - 1 <= len(shows) - before + 1
        assert [notice.code for notice in told] == LOWERED
        offsets, codes = await read_page(page, 2 * STATES - 1)
        assert codes == LOWERED
        assert offsets[-1] == 2 * STATES - 1
        assert len([offset for offset in offsets if offset >= STATES]) <= len(shows) - before + 1


async def read_page(page: ClientConnection, last: int) -> tuple[list[int], list[int]]:
    """Offsets of the states that have come to a page, up to the last one, and codes of notices."""
    offsets: list[int] = []
    codes: list[int] = []
    while not offsets or offsets[-1] != last:
        text = orjson.loads(await page.recv())
        if text["message_type"] == "message":
            offsets.append(text["offset"])
        elif text["message_type"] == "notice":
            codes.append(text["payload"]["code"])
    return offsets, codes
