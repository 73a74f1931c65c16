"""Stage: a gateway, a bystander, and a look at the gateway's health and memory."""

from __future__ import annotations

import os
import socket
import sys
import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing.connection import Connection
from types import TracebackType
from typing import Final, Self

from benchmarks import servers
from benchmarks.children import SPAWN, answer, child
from benchmarks.machine import LOAD_CORE
from benchmarks.processes import Server, bind_to
from benchmarks.slow import bystander
from benchmarks.slow.bystander import EVENTS, Beat, Outcome

_CORES: Final = sorted(os.sched_getaffinity(0))
OTHERS_CORE: Final = _CORES[2] if len(_CORES) > 2 else LOAD_CORE
"""Core of the clients that make others wait, which get its idle time only: never the gateway's, unless there is one."""
HEALTH_INTERVAL_S: Final = 0.1
MEMORY_INTERVAL_S: Final = 0.25


def free_port() -> int:
    """Return a port that was free a moment ago."""
    with socket.create_server(("127.0.0.1", 0)) as found:
        return int(found.getsockname()[1])


def idle_only(core: int) -> None:
    """Bind this process to a core, and leave that to every other process."""
    bind_to(core)
    os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))


@dataclass(frozen=True, slots=True)
class Stage:
    """Gateway with a bystander."""

    server: Server
    admin_port: int
    bystander: Connection

    @property
    def url(self) -> str:
        """URL of the gateway."""
        return f"ws://127.0.0.1:{self.server.port}"

    def begin(self) -> None:
        """Have the bystander begin a measurement."""
        bystander.begin(self.bystander)

    def end(self) -> Outcome:
        """End the measurement; return its result once all messages have come."""
        return bystander.end(self.bystander)

    def quiet(self, seconds: float) -> Outcome:
        """Measure without other clients, beside a process that only computes where these run."""
        with running(_compute):
            self.begin()
            time.sleep(seconds)
            return self.end()

    def memory_bytes(self, limit_bytes: float, seconds: float) -> int:
        """Return the gateway's memory as soon as it is within a limit, or after some time."""
        deadline_s = time.monotonic() + seconds
        while (resident := self.server.rss_bytes()) > limit_bytes and time.monotonic() < deadline_s:
            time.sleep(MEMORY_INTERVAL_S)
        return resident


@contextmanager
def staged(arguments: Sequence[str] = (), beat: Beat = EVENTS) -> Iterator[Stage]:
    """Run a gateway with more arguments, and a bystander of it."""
    admin_port = free_port()
    command = (*servers.GATEWAY[:-1], str(admin_port), *arguments)
    with servers.gateway(command) as server:
        server.settle()
        with child(bystander.run_bystander, f"ws://127.0.0.1:{server.port}", LOAD_CORE, beat) as commands:
            answer(commands)
            yield Stage(server, admin_port, commands)


@contextmanager
def running(target: Callable[..., None], *arguments: object) -> Iterator[None]:
    """Run a function that never ends in a process of the lowest priority, until the block ends."""
    process = SPAWN.Process(target=target, args=arguments, daemon=True)
    process.start()
    try:
        yield
    finally:
        process.kill()
        process.join()
        process.close()


def _compute() -> None:
    idle_only(OTHERS_CORE)
    while True:
        pass


class _Watch(ABC):
    """Look at something again and again, in a thread, until the block ends."""

    def __init__(self, interval_s: float) -> None:
        self._interval_s = interval_s
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def __enter__(self) -> Self:
        """Begin to look."""
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Stop."""
        self._stopped.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._stopped.wait(self._interval_s):
            self._look()

    @abstractmethod
    def _look(self) -> None:
        """Look once."""


class MemoryWatch(_Watch):
    """Look at the memory of a server again and again, and once more at the end.

    Attributes:
        most_bytes: most that it was.
    """

    def __init__(self, server: Server) -> None:
        super().__init__(MEMORY_INTERVAL_S)
        self._server = server
        self.most_bytes = server.rss_bytes()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Look once more, and stop."""
        super().__exit__(kind, error, traceback)
        self._look()

    def _look(self) -> None:
        self.most_bytes = max(self.most_bytes, self._server.rss_bytes())


class HealthWatch(_Watch):
    """Look at ``/healthz`` again and again, each time on a new connection.

    Attributes:
        slowest_s: longest time to its answer; infinite if it was another one than 200.
    """

    def __init__(self, port: int) -> None:
        super().__init__(HEALTH_INTERVAL_S)
        self._port = port
        self.slowest_s = 0.0

    def _look(self) -> None:
        begin_s = time.perf_counter()
        is_alive = self._ask()
        took_s = time.perf_counter() - begin_s
        self.slowest_s = max(self.slowest_s, took_s if is_alive else float("inf"))

    def _ask(self) -> bool:
        try:
            with socket.create_connection(("127.0.0.1", self._port), timeout=20.0) as client:
                client.sendall(b"GET /healthz HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n")
                return client.recv(64).startswith(b"HTTP/1.1 200 ")
        except OSError as error:
            print(f"/healthz: {error}", file=sys.stderr)
            return False
