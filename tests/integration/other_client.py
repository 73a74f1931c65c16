"""The other side of a client that is dropped: a gateway, and another client that publishes, asks and answers."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Callable, Coroutine
from typing import Any, Final

import numpy as np
import pytest
import uvloop

from gateway.app import Gateway
from gateway.client import Client, Inbox, Message, RequestFailed, connect
from gateway.config import Settings
from gateway.connections.consumers.settings import ConsumerSettings
from gateway.connections.core_settings import CoreSettings
from gateway.testing import running_gateway
from tests.client.waiting import until
from tests.collector import collector_off

STREAM: Final = "wf/x"
TASKS: Final = "wf/tasks"
HELD: Final = "held"
"""Id of the client that is dropped."""

Loop = Callable[[], asyncio.AbstractEventLoop]
LOOPS: Final[list[Loop]] = [asyncio.new_event_loop, uvloop.new_event_loop]

_CORE: Final = CoreSettings(consumers=ConsumerSettings(max_tries=1))
"""A task that is refused becomes a dead letter at once, by which a test sees that the answer has arrived."""


class OtherClient:
    """Gateway and client; the calls are coroutines, for tests on the same loop."""

    def __init__(self, gateway: Gateway, client: Client) -> None:
        self.url = gateway.url
        self._pool = gateway.core.pool
        self._client = client
        self._requests: Inbox | None = None
        self._asking: list[asyncio.Task[Message]] = []

    async def publish(self) -> None:
        """Publish a number to the client."""
        await self._client.publish(STREAM, 7, kind="event")

    async def publish_tasks(self, count: int = 1) -> None:
        """Publish tasks to the client; several come as one batch."""
        for value in range(count):
            self._client.publish_nowait(TASKS, np.int64(value), kind="collaboration")
        await self._client.drain()

    async def ask(self) -> None:
        """Send a request to the client."""
        self._asking.append(asyncio.create_task(self._client.request(f"agent:{HELD}", 1)))

    async def cancel(self) -> None:
        """Give the request up."""
        self._asking.pop().cancel()

    async def check_reply(self) -> None:
        """Check that the request was replied to."""
        assert int((await self._asking.pop()).tensor) == 2

    async def check_failure(self) -> None:
        """Check that the request was answered by a failure."""
        with pytest.raises(RequestFailed):
            await self._asking.pop()

    async def open_inbox(self) -> None:
        """Take requests of the client."""
        self._requests = self._client.inbox()
        await self._requests.start()

    async def reply(self) -> None:
        """Reply to a request of the client."""
        assert self._requests is not None
        await (await anext(self._requests)).reply(2)

    async def reply_soon(self) -> None:
        """Begin to reply to a request of the client."""
        self._replying = asyncio.create_task(self.reply())

    async def check_dead_letter(self) -> None:
        """Check that a task was refused."""
        async with self._client.subscribe(f"{TASKS}.dead", since="beginning", observe=True) as dead:
            await anext(dead)

    @property
    def held_is_connected(self) -> bool:
        """Whether the gateway still has a connection of the client."""
        return self._pool.newest_of(HELD) is not None

    async def held_has_left(self) -> None:
        """Wait until the client has closed its connection."""
        await until(lambda: not self.held_is_connected)


def drop(things: list[Any], *, in_a_cycle: bool) -> None:
    """Drop the only thing of a list, which holds a client."""
    dropped: list[object] = [things.pop()]
    if in_a_cycle:
        dropped.append(dropped)
        del dropped
        gc.collect()


def with_other_client(loop_factory: Loop, main: Callable[[OtherClient], Coroutine[Any, Any, None]]) -> None:
    """Run a test on a loop of its own. The garbage collector is off: nothing of a dropped client may wait for it."""

    async def run() -> None:
        settings = Settings(admin_port=None, drain_deadline_s=2.0, core=_CORE)
        async with (
            running_gateway(settings) as gateway,
            connect(gateway.url, client_id="other", on_notice=lambda notice: None) as client,
        ):
            await main(OtherClient(gateway, client))

    with collector_off(), asyncio.Runner(loop_factory=loop_factory) as runner:
        runner.run(run())
