"""``python -m benchmarks.peers.keeper``: the gateway with a history that holds what a benchmark publishes."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import uvloop

from gateway.app import Gateway
from gateway.config import Settings
from gateway.protocol.names import compile_pattern
from gateway.server.allocator import keep_freed_memory
from gateway.streams.history import HistoryLimits
from gateway.streams.rules import StreamConfig, StreamRules

HISTORY = HistoryLimits(max_messages=1_000_000, max_bytes=128 * 1024 * 1024)


async def main() -> None:
    """Serves until the process is ended."""
    rules = StreamRules([(compile_pattern("**"), StreamConfig(history=HISTORY))])
    defaults = Settings()
    gateway = Gateway(replace(defaults, port=0, admin_port=0, core=replace(defaults.core, rules=rules)))
    await gateway.start()
    print(f"listening on {gateway.url}", flush=True)
    await asyncio.Event().wait()


if __name__ == "__main__":
    keep_freed_memory()
    uvloop.run(main())
