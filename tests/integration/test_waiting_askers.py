"""Requests and replies that are more than the queue of their receiver takes: they wait, and nobody else does."""

from __future__ import annotations

import asyncio

import numpy as np

from gateway.client import Client, Inbox, connect
from gateway.testing import running_gateway
from tests.integration.test_waiting_publishers import MIB, Outcome, reader_of, settings

COUNT = 12
PARTS = 64
"""Parts of 1 MiB: more than all buffers on the way take; those of the system grow to 37 MiB by themselves."""
ASKER = """
import asyncio, sys
from gateway.client import connect

async def main(url, count):
    async with connect(url, client_id="asker") as client:
        print("ready", flush=True)
        replies = await asyncio.gather(*[client.request(f"agent:replier-{n % 3}", n) for n in range(count)])
        print(len(replies), sum(reply.tensor.nbytes != 2**22 for reply in replies), flush=True)

asyncio.run(main(sys.argv[1], int(sys.argv[2])))
"""
REPLIER = """
import asyncio, sys
from gateway.client import connect

async def main(url, count):
    async with connect(url, client_id="replier") as client, client.inbox() as inbox:
        print("ready", flush=True)
        wrong = 0
        for _ in range(count):
            request = await anext(inbox)
            wrong += request.tensor.nbytes != 2**22
            await request.reply(None)
        print(count, wrong, flush=True)

asyncio.run(main(sys.argv[1], int(sys.argv[2])))
"""


async def check_others_go_on(asker: Client, address: str, inbox: Inbox, publisher: Client) -> None:
    """A request to somebody who reads is replied to, and a message is published."""
    asked = asyncio.ensure_future(asker.request(address, 1))
    await (await anext(inbox)).reply(2)
    assert int((await asked).tensor) == 2
    await publisher.publish("wf/loss", 1.0)


async def test_requests_wait_for_a_replier_that_does_not_read_and_hold_nothing_else_up(refused: asyncio.Event) -> None:
    question = np.random.default_rng(0).integers(0, 256, 4 * MIB, np.uint8)
    async with (
        running_gateway(settings(2 * MIB)) as gateway,
        connect(gateway.url, client_id="one") as one,
        connect(gateway.url, client_id="two") as two,
        connect(gateway.url, client_id="other") as other,
        other.inbox() as inbox,
        reader_of(gateway.url, COUNT, REPLIER) as replier,
    ):
        replier.stop()
        asking = [asyncio.ensure_future((one, two)[n % 2].request("agent:replier", question)) for n in range(COUNT)]
        await refused.wait()
        await check_others_go_on(one, "agent:other", inbox, one)
        assert not any(each.done() for each in asking)
        replier.go_on()
        assert await replier.outcome() == Outcome(COUNT, 0)
        await asyncio.gather(*asking)


async def test_replies_wait_for_an_asker_that_does_not_read_and_hold_nothing_else_up(refused: asyncio.Event) -> None:
    answer = np.random.default_rng(0).integers(0, 256, 4 * MIB, np.uint8)
    async with (
        running_gateway(settings(2 * MIB)) as gateway,
        connect(gateway.url, client_id="replier-0") as first,
        connect(gateway.url, client_id="replier-1") as second,
        connect(gateway.url, client_id="replier-2") as third,
        connect(gateway.url, client_id="other") as other,
        first.inbox() as inbox,
        second.inbox() as second_inbox,
        third.inbox() as third_inbox,
        reader_of(gateway.url, COUNT, ASKER) as asker,
    ):
        requests = [await anext(each) for each in (inbox, second_inbox, third_inbox) for _ in range(COUNT // 3)]
        asker.stop()
        replying = [asyncio.ensure_future(request.reply(answer)) for request in requests]
        await refused.wait()
        await check_others_go_on(other, "agent:replier-0", inbox, first)
        assert not all(each.done() for each in replying)
        asker.go_on()
        assert await asker.outcome() == Outcome(COUNT, 0)
        await asyncio.gather(*replying)


async def test_a_stream_of_parts_that_is_faster_than_its_asker_arrives_complete(refused: asyncio.Event) -> None:
    async with (
        running_gateway(settings(2 * MIB)) as gateway,
        connect(gateway.url, client_id="asker") as asker,
        connect(gateway.url, client_id="replier") as replier,
        replier.inbox() as inbox,
    ):
        part = np.random.default_rng(0).integers(0, 256, 3 * MIB, np.uint8)  # in chunks, which can be refused

        async def reply() -> None:
            request = await anext(inbox)
            for number in range(PARTS):
                await request.reply_partial(part, headers={"number": number})
            await request.reply(None)

        answering = asyncio.create_task(reply())
        numbers: list[object] = []
        async with asker.request_stream("agent:replier", buffer_bytes=MIB) as parts:
            async for each in parts:
                if len(numbers) == 1:
                    await refused.wait()  # it reads nothing meanwhile
                numbers.append(each.headers.get("number"))
        assert numbers == [*range(PARTS), None]
        await answering
