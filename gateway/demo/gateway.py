"""Gateway of the demo, in a process of its own: the same parts as ``frys serve``, stopped by its lifeline."""

from __future__ import annotations

import asyncio

from gateway.app import Gateway
from gateway.config import Settings
from gateway.demo.lifeline import Lifeline
from gateway.errors import CannotListen
from gateway.server.allocator import keep_freed_memory

DRAIN_DEADLINE_S = 2.0
"""Short, because the demo's receivers end at the same time."""


def run(line: Lifeline, port: int, admin_port: int | None) -> None:
    """Serve until the lifeline ends; report ``url``, ``admin_url`` and ``dashboard_url``, or a failure with ``in_use``.

    ``in_use`` lists the settings of ports that another program has.
    """
    keep_freed_memory()
    line.run(_serve(line, Settings(port=port, admin_port=admin_port, drain_deadline_s=DRAIN_DEADLINE_S)))


async def _serve(line: Lifeline, settings: Settings) -> None:
    gateway = Gateway(settings)
    try:
        try:
            await gateway.start()
        except CannotListen as error:
            line.failed(str(error), in_use=error.in_use)
            return
        line.ready(url=gateway.url, admin_url=gateway.admin_url, dashboard_url=gateway.dashboard_url)
        await asyncio.Event().wait()
    finally:
        await gateway.stop()
