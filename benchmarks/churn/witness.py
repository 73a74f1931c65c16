"""Witness: a client of the SDK that watches the members the whole time, in a process of its own."""

from __future__ import annotations

import asyncio
from multiprocessing.connection import Connection

from benchmarks.churn.churning_clients import SCOPE
from benchmarks.sdk_clients import run_client
from gateway.client import connect


def run_witness(url: str, core: int, commands: Connection) -> None:
    """Run the program of the process: ``"names"`` is answered by the names of all members that it knows.

    Args:
        url: URL of the gateway.
        core: core of the process.
        commands: pipe for commands and answers. The first answer says that it watches.
    """
    run_client(core, _watch(url, commands))


async def _watch(url: str, commands: Connection) -> None:
    said: asyncio.Queue[object] = asyncio.Queue()
    asyncio.get_running_loop().add_reader(commands.fileno(), lambda: said.put_nowait(commands.recv()))
    async with (
        connect(url, client_type="admin_panel") as client,
        client.presence(SCOPE) as presence,
        connect(url, client_type="admin_panel") as other,
        other.presence(SCOPE, watch="count") as counted,
    ):
        commands.send(None)
        while await said.get() is not None:
            commands.send((set(presence.members), counted.count))
