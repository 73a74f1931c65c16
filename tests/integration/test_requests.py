"""Groups of real agents in processes of their own, which are killed or stopped at work."""

from __future__ import annotations

import asyncio
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import pytest

from gateway.client import Client, Message, connect
from gateway.config import Settings
from gateway.connections.core_settings import CoreSettings
from gateway.errors import Code, RequestRefused
from gateway.testing import running_gateway, running_gateway_process

WORKER = """
import asyncio, sys, time
from gateway.client import connect

async def main(url, client_id):
    async with connect(url, client_id=client_id) as client, client.inbox(group="workers") as requests:
        print("ready", flush=True)
        async for request in requests:
            if request.headers.get("parts"):
                await request.reply_partial(1)
            if request.headers.get("victim") == client_id:
                print("works on", request.headers["number"], flush=True)
                time.sleep(3600)
            await request.reply(request.tensor * 2, headers={"by": client_id})

asyncio.run(main(*sys.argv[1:]))
"""


class Worker:
    """An agent in a process of its own. It never finishes a request in which it is named as the victim."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process

    async def says(self) -> str:
        """Its next line."""
        assert self._process.stdout is not None
        return (await asyncio.to_thread(self._process.stdout.readline)).strip()

    def signal(self, number: signal.Signals) -> None:
        """Kill it, or stop it."""
        self._process.send_signal(number)


@contextmanager
def worker(url: str, client_id: str) -> Iterator[Worker]:
    """A member of the group."""
    command = [sys.executable, "-c", WORKER, url, client_id]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            yield Worker(process)
        finally:
            process.kill()


async def ask(client: Client, number: int, size: int = 10) -> Message:
    """Ask what ``first`` will not answer."""
    headers = {"number": number, "victim": "first"}
    return await client.request("group:workers", np.full(size, number), headers=headers)


@pytest.mark.parametrize("size", [10, 2_000_000])
async def test_what_a_killed_agent_had_is_done_by_another(size: int) -> None:
    with (
        running_gateway_process() as gateway,
        worker(gateway.url, "first") as first,
        worker(gateway.url, "second") as second,
    ):
        assert [await first.says(), await second.says()] == ["ready", "ready"]
        async with connect(gateway.url) as client:
            asking = [asyncio.ensure_future(ask(client, number, size)) for number in range(6)]
            assert (await first.says()).startswith("works on")
            await asyncio.wait(asking, return_when=asyncio.FIRST_COMPLETED)
            first.signal(signal.SIGKILL)
            replies = await asyncio.gather(*asking)
            for number, reply in enumerate(replies):
                assert reply.headers == {"by": "second"}
                np.testing.assert_array_equal(reply.tensor, np.full(size, 2 * number))


async def test_a_reply_that_had_begun_ends_with_the_agent_that_is_killed() -> None:
    with running_gateway_process() as gateway, worker(gateway.url, "first") as first:
        assert await first.says() == "ready"
        async with connect(gateway.url) as client:
            headers = {"number": 1, "victim": "first", "parts": True}
            async with client.request_stream("group:workers", 1, headers=headers) as parts:
                assert (await anext(parts)).tensor == 1
                assert await first.says() == "works on 1"
                with worker(gateway.url, "second") as second:
                    assert await second.says() == "ready"
                    first.signal(signal.SIGKILL)
                    with pytest.raises(RequestRefused, match="a part of the reply has come") as caught:
                        await anext(parts)
                    assert caught.value.code == Code.PEER_GONE


async def test_what_a_silent_agent_had_is_done_by_another() -> None:
    settings = Settings(admin_port=None, core=CoreSettings(heartbeat_interval_s=1.0))
    async with running_gateway(settings) as gateway, connect(gateway.url) as client:
        with worker(gateway.url, "first") as first:
            assert await first.says() == "ready"
            asking = asyncio.ensure_future(ask(client, 3))
            assert await first.says() == "works on 3"
            with worker(gateway.url, "second") as second:
                assert await second.says() == "ready"
                first.signal(signal.SIGSTOP)
                assert (await asking).headers == {"by": "second"}
