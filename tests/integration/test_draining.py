"""A gateway with many clients stops: nothing that it has acknowledged is missing, and they leave one by one."""

from __future__ import annotations

import asyncio
import time
from contextlib import AsyncExitStack, suppress

import httpx
import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus

from gateway.config import Settings
from gateway.errors import Code
from gateway.protocol.messages import GoAway
from gateway.testing import running_gateway
from tests.integration.peer import publisher_of, raw_peer, subscriber_of

SUBSCRIBERS = 500
DEADLINE_S = 8.0


async def test_five_hundred_clients_leave_one_by_one_and_have_all_that_was_acknowledged() -> None:
    settings = Settings(port=0, admin_port=0, drain_deadline_s=DEADLINE_S)
    async with running_gateway(settings) as gateway, AsyncExitStack() as stack:
        publisher = await stack.enter_async_context(publisher_of(gateway.url, "wf/event"))
        subscribers = [
            await stack.enter_async_context(subscriber_of(gateway.url, "wf/*", f"s-{number}"))
            for number in range(SUBSCRIBERS)
        ]
        slow = await stack.enter_async_context(subscriber_of(gateway.url, "wf/*", "slow"))
        slow.stop_reading()
        begun_s = time.monotonic()
        stopping = asyncio.create_task(gateway.stop())
        assert gateway.admin_url is not None
        while not publisher.reader.leaving:
            await publisher.publish(0, bytes(1000), ack=True)
            with suppress(ConnectionClosed):  # a message that comes as the time ends is not acknowledged
                await publisher.until(lambda reader: sum(ack.count for ack in reader.acks) == publisher.sequences[0])
            if publisher.sequences[0] == 1:
                async with httpx.AsyncClient() as http:
                    assert (await http.get(f"{gateway.admin_url}/readyz")).status_code == 503
                with pytest.raises(InvalidStatus) as refused:
                    async with raw_peer(gateway.url, "late"):
                        pass
                response = refused.value.response
                assert (response.status_code, int(response.headers["retry-after"]) > 0) == (503, True)
        acknowledged = {ack.offset for ack in publisher.reader.acks}
        slow.read_on()
        codes = await asyncio.gather(*[each.closing() for each in (*subscribers, publisher, slow)])
        await stopping
        assert time.monotonic() - begun_s < DEADLINE_S
        assert set(codes) == {Code.GOING_AWAY}
        assert acknowledged
        for each in (*subscribers, slow):
            assert acknowledged <= set(each.reader.offsets)
        entries = [entry for each in subscribers for entry in each.reader.log if isinstance(entry, GoAway)]
        assert len(entries) == SUBSCRIBERS
        returns = [entry.reconnect_after_s for entry in entries if entry.reconnect_after_s is not None]
        assert len(set(returns)) > SUBSCRIBERS / 4, "they do not come back at the same time"
        assert min(entry.deadline_s for entry in entries) < max(entry.deadline_s for entry in entries)
