"""Runner of the C load generator."""

from __future__ import annotations

import itertools
import os
from contextlib import AbstractContextManager
from typing import Final

from benchmarks.build import LOADGEN
from benchmarks.machine import LOAD_CORE
from benchmarks.processes import Server, loading

TIMEOUT_S: Final = 60.0
_runs: Final = itertools.count()


def hold_load(
    mode: str, server: Server, protocol: str, workflow: str | None = None, **options: float | str
) -> AbstractContextManager[dict[str, float]]:
    """Run the load generator, whose connections stay open until the block ends.

    Args:
        mode: ``fanout``, ``latency``, ``tensors``, ``idle``, ``publish`` or ``recovery``.
        protocol: ``frys``, ``frys-single``, ``frys-batch``, ``nats``, ``websocket`` or ``raw``.
        server: the server under load.
        workflow: workflow of the stream; a new one if absent, so that the offsets start at 0.
        options: options of the program, see ``loadgen/load.h``.

    Raises:
        VerificationFailed: the received messages are not exactly the sent ones.
    """
    fixed = {"port": server.port, "server-pid": server.pid, "protocol": protocol}
    fixed["workflow"] = workflow or f"bench-{os.getpid()}-{next(_runs)}"
    arguments = [str(LOADGEN), mode]
    for name, value in (fixed | options).items():
        arguments += [f"--{name}", f"{value:.6f}" if isinstance(value, float) else str(value)]
    return loading(arguments, LOAD_CORE, TIMEOUT_S)


def load(
    mode: str, server: Server, protocol: str, workflow: str | None = None, **options: float | str
) -> dict[str, float]:
    """Run the load generator to its end, and return its result."""
    with hold_load(mode, server, protocol, workflow, **options) as result:
        return result
