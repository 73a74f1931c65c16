"""Churning clients: a process with thousands of WebSockets in one workflow, of which the oldest go and others come."""

from __future__ import annotations

import time
from collections import deque
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection
from typing import Final

from benchmarks.machine import LOAD_CORE
from benchmarks.scale.idle_clients import AT_ONCE, CONNECTIONS_AN_ADDRESS, IdleClients, Opened
from benchmarks.slow.frames import control, websocket
from benchmarks.slow.raw_client import handshake
from benchmarks.slow.stage import idle_only
from gateway.protocol.wire import SUBPROTOCOL_BINARY, Opcode

SCOPE: Final = "churn"
ADDRESSES: Final = 32
"""Addresses that connections come from in turn: the ports of one are used up by those that have just been closed."""
STEP_S: Final = 0.002


@dataclass(frozen=True, slots=True)
class Churned:
    """Result of some seconds of churn in one process."""

    cycles: int
    """Connections that were closed, each with another one that was opened."""
    seconds: float
    cpu_s: float
    lost: int
    """Connections that the gateway has closed."""
    problem: str
    """Reason why a connection could not be opened; empty if all could."""


class ChurningClients(IdleClients):
    """Sockets of one process, whose clients have joined :data:`SCOPE`.

    Args:
        port: the gateway's.
        first_address: number of the first address of 127.0.0.0/8 that they connect from.
    """

    def __init__(self, port: int, first_address: int) -> None:
        super().__init__(port, first_address)
        self._first = first_address
        self._serial = 0
        self._names: dict[int, str] = {}
        self._order: deque[tuple[int, str]] = deque()
        """Descriptors and names, the oldest first; some are gone."""
        self._handshake = handshake(SUBPROTOCOL_BINARY)
        self._leave = websocket(control(Opcode.ATTEND, request=2, scope=SCOPE))

    def _connect(self, number: int) -> str:
        name = f"client-{self._first}-{self._serial}"
        self._serial += 1
        hello = control(Opcode.HELLO, versions=[1], client_type="agent", client_id=name)
        attend = control(Opcode.ATTEND, request=1, scope=SCOPE, metadata={"process": self._first})
        self._begin = self._handshake + websocket(hello + attend)
        problem = super()._connect((self._serial % ADDRESSES) * CONNECTIONS_AN_ADDRESS)
        if not problem:
            descriptor = next(reversed(self._sockets))
            self._names[descriptor] = name
            self._order.append((descriptor, name))
        return problem

    def _drop(self, descriptor: int) -> None:
        super()._drop(descriptor)
        self._names.pop(descriptor, None)

    def _end_oldest(self) -> None:
        """Close the oldest connection: one in two says before that its client leaves."""
        while self._order:
            descriptor, name = self._order.popleft()
            if self._names.get(descriptor) != name:
                continue
            client = self._sockets.pop(descriptor)
            del self._names[descriptor]
            self._greeting.discard(descriptor)
            self._rest.pop(descriptor, None)
            if self._serial % 2:
                with suppress(OSError):
                    client.send(self._leave)
            client.close()
            return

    def churn(self, cycles_per_s: float, seconds: float) -> Churned:
        """Close and open connections at this rate, or as fast as their handshakes are answered."""
        begin_s, begin_cpu_s, cycles, problem = time.monotonic(), time.process_time(), 0, ""
        while not problem and (elapsed_s := time.monotonic() - begin_s) < seconds:
            due = min(int(elapsed_s * cycles_per_s), cycles + AT_ONCE)
            while not problem and cycles < due and len(self._greeting) < AT_ONCE:
                self._end_oldest()
                problem = self._connect(0)
                cycles += 1
            self.serve(STEP_S)
        spent_s = time.monotonic() - begin_s
        return Churned(cycles, spent_s, time.process_time() - begin_cpu_s, self.report().lost, problem)

    def settle(self) -> set[str]:
        """Wait until every greeting is answered, and return the names of the clients that are connected."""
        deadline_s = time.monotonic() + 30
        while self._greeting and time.monotonic() < deadline_s:
            self.serve(0.1)
        return {name for descriptor, name in self._names.items() if descriptor not in self._greeting}


def run_churning_clients(port: int, first_address: int, count: int, commands: Connection) -> None:
    """Open connections, to be called in a process of its own.

    The process sends :class:`~benchmarks.scale.idle_clients.Opened` first. A command of a rate and seconds is answered
    by :class:`Churned`, ``"names"`` by a set of names; ``None`` ends the process.
    """
    idle_only(LOAD_CORE)
    clients = ChurningClients(port, first_address)
    opened: Opened = clients.open(count)
    commands.send(opened)
    while True:
        if commands.poll():
            match commands.recv():
                case None:
                    return
                case "names":
                    commands.send(clients.settle())
                case (rate, seconds):
                    commands.send(clients.churn(rate, seconds))
        clients.serve(0.05)
