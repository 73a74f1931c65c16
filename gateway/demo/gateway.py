"""Gateway of the demo, in a process of its own: the same parts as ``frys serve``, stopped by its lifeline."""

from __future__ import annotations

import asyncio
import errno

from gateway.app import Gateway
from gateway.config import Settings
from gateway.demo.lifeline import Lifeline
from gateway.server.allocator import keep_freed_memory

DRAIN_DEADLINE_S = 2.0
"""Short, because the demo's receivers end at the same time."""


def run(line: Lifeline, port: int, admin_port: int | None) -> None:
    """Serve until the lifeline ends; report ``url`` and ``admin_url``, or a failure with ``in_use``."""
    keep_freed_memory()
    line.run(_serve(line, Settings(port=port, admin_port=admin_port, drain_deadline_s=DRAIN_DEADLINE_S)))


async def _serve(line: Lifeline, settings: Settings) -> None:
    gateway = Gateway(settings)
    try:
        try:
            await gateway.start()
        except OSError as error:
            line.failed(f"cannot listen: {error.strerror or error}", in_use=error.errno == errno.EADDRINUSE)
            return
        line.ready(url=gateway.url, admin_url=gateway.admin_url)
        await asyncio.Event().wait()
    finally:
        await gateway.stop()
