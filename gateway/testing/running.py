"""Gateways for tests: in the test's own loop, or as the real command in a process of its own."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, replace

from gateway.app import Gateway
from gateway.config import Settings

STOP_TIMEOUT_S = 20


@asynccontextmanager
async def running_gateway(settings: Settings | None = None) -> AsyncIterator[Gateway]:
    """Run a gateway on free ports in the running loop; stop it gracefully at the end.

    Args:
        settings: its settings; their ports are replaced by free ones.
    """
    settings = settings or Settings(admin_port=None, drain_deadline_s=2.0)
    gateway = Gateway(replace(settings, port=0, admin_port=None if settings.admin_port is None else 0))
    await gateway.start()
    try:
        yield gateway
    finally:
        await gateway.stop()


@dataclass(frozen=True, slots=True)
class GatewayProcess:
    """Process of ``frys serve``."""

    process: subprocess.Popen[str]
    url: str
    """URL for clients."""
    admin_url: str | None
    """URL of the admin port; ``None`` if there is none."""


@contextmanager
def running_gateway_process(*arguments: str, max_descriptors: int | None = None) -> Iterator[GatewayProcess]:
    """Run ``frys serve`` on free ports, with further ``arguments``; stop it by SIGTERM at the end.

    Args:
        arguments: options of ``frys serve``.
        max_descriptors: file descriptors that the process may have; ``None``: as many as this process.

    Raises:
        RuntimeError: the gateway did not start; the message has its output.
    """
    command = [sys.executable, "-m", "gateway", "serve", "--port", "0", "--admin-port", "0", *arguments]
    if max_descriptors is not None:
        command = ["sh", "-c", 'ulimit -n "$0"; exec "$@"', str(max_descriptors), *command]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            line = process.stdout.readline()
            found = re.match(r"listening on (ws://\S+)(?: \(admin (http://\S+)\))?", line)
            if found is None:
                process.kill()
                raise RuntimeError(f"the gateway did not start: {line}{process.communicate()[1]}")
            yield GatewayProcess(process, found[1], found[2])
        finally:
            process.terminate()
            try:
                process.communicate(timeout=STOP_TIMEOUT_S)
            except subprocess.TimeoutExpired:
                process.kill()
                process.communicate()
