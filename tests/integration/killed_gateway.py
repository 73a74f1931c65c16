"""A gateway process that is killed and started again on the same port and the same store."""

from __future__ import annotations

import asyncio
import re
import sys
from pathlib import Path

from tests.free_ports import free_port

START_TIMEOUT_S = 60

LISTENING = re.compile(r"listening on (ws://\S+)")


class KilledGateway:
    """``frys serve`` with a store, in a process of its own.

    Args:
        config: its configuration file, in whose folder it works.
    """

    def __init__(self, config: Path) -> None:
        self._config = config
        self._process: asyncio.subprocess.Process | None = None
        self._port = free_port()
        self.url = f"ws://127.0.0.1:{self._port}"

    async def start(self) -> None:
        """Start it; returns when it accepts connections."""
        self._process = process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "gateway", "serve", "--no-admin", "--drain-deadline", "5"),
            *("--port", str(self._port), "--config", str(self._config)),
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            env={"PYTHONPATH": str(Path(__file__).parents[2])},
            cwd=self._config.parent,
        )
        assert process.stdout is not None
        assert process.stderr is not None
        async with asyncio.timeout(START_TIMEOUT_S):
            line = (await process.stdout.readline()).decode()
            if not LISTENING.match(line):
                raise RuntimeError(f"the gateway did not start: {line}{(await process.stderr.read()).decode()}")

    async def kill(self) -> None:
        """SIGKILL: it does nothing more, and nothing that it held in memory is left."""
        process = self._running()
        process.kill()
        await process.wait()

    async def stop(self) -> str:
        """SIGTERM; what it wrote to stderr."""
        process = self._running()
        process.terminate()
        assert process.stderr is not None
        errors = (await process.stderr.read()).decode()
        await process.wait()
        return errors

    def _running(self) -> asyncio.subprocess.Process:
        process, self._process = self._process, None
        assert process is not None
        return process

    async def __aenter__(self) -> KilledGateway:
        return self

    async def __aexit__(self, *error: object) -> None:
        if self._process is not None:
            await self.kill()
