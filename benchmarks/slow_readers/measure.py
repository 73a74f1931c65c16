"""Measurement of one group of cells on one gateway: rounds without slow readers and with each speed, in turn."""

from __future__ import annotations

import ctypes
import re
import statistics
import sys
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Final, NamedTuple

from benchmarks import servers
from benchmarks.children import SPAWN, answer, child
from benchmarks.machine import LOAD_CORE, SPARE_CORE
from benchmarks.processes import Server
from benchmarks.slow_readers.plan import RATIO, READERS, SPEEDS, Group
from benchmarks.slow_readers.throttled import Slowness, run_readers
from benchmarks.slow_readers.traffic import BULK, Flood, Outcome, Paced, run_traffic

WITHOUT: Final = None
"""Speed of the cell without slow readers."""
FLOOD_S: Final = 20.0
"""Longest time of a flood: the gateway may slow its publisher until no message gets through."""
GATEWAY: Final = (*servers.GATEWAY, "--config", str(Path(__file__).with_name("gateway.toml")))


@dataclass(slots=True)
class Cell:
    """Results with slow readers of one speed, or without any."""

    speed: float | None
    flood: Outcome | None = None
    rounds: list[Outcome] = field(default_factory=list)
    peak_bytes: int = 0
    """Highest resident memory of the gateway."""
    read_bytes: int = 0
    """Bytes that the slow readers have read together."""
    closed: int = 0
    """Number of slow readers that the gateway closed in a round."""

    @property
    def p99_ms(self) -> float:
        """Median p99 of its rounds."""
        return statistics.median([outcome.p99_ms for outcome in self.rounds]) if self.rounds else float("nan")


@dataclass(frozen=True, slots=True)
class Measured:
    """Results of one group."""

    group: Group
    bound_bytes: int
    """Bound of the gateway's memory."""
    cells: Sequence[Cell]
    """Cells by speed, the one without slow readers first."""

    def ratio(self, cell: Cell) -> float:
        """Return the p99 of the fast reader, divided by its p99 without slow readers."""
        return cell.p99_ms / self.cells[0].p99_ms

    def broken(self, *, timed: bool) -> list[str]:
        """Return a line for each broken bound.

        Args:
            timed: check latencies, too.
        """
        what = f"{self.group.kind}, {self.group.size.name}"
        broken = []
        for cell in self.cells[1:]:
            where = f"{what}, readers at {cell.speed:g} x"
            if cell.peak_bytes > self.bound_bytes:
                broken.append(f"{where}: {cell.peak_bytes} bytes of memory, more than {self.bound_bytes}")
            if timed and self.ratio(cell) > RATIO:
                broken.append(f"{where}: p99 {self.ratio(cell):.2f} x that without them, more than {RATIO:g} x")
        return broken


def measure(
    group: Group,
    speeds: Sequence[float] = SPEEDS,
    rounds: int = 5,
    seconds: float | None = None,
    flood_s: float = FLOOD_S,
) -> Measured:
    """Measure all cells of a group: memory while the gateway is flooded, then latency at a moderate rate.

    Args:
        group: kind and size of the messages.
        speeds: speeds of the slow readers, one for each cell.
        rounds: rounds of latency for each cell, interleaved; 0: memory only.
        seconds: length of a round; None: the one of the size.
        flood_s: longest time of a flood.

    Raises:
        VerificationFailed: a process failed, or the fast reader missed a message.
    """
    cells = [Cell(WITHOUT), *map(Cell, speeds)]
    published_bytes = SPAWN.RawValue(ctypes.c_uint64, 0)
    with ExitStack() as stack:
        server = stack.enter_context(servers.gateway(GATEWAY))
        server.settle()
        bound_bytes = server.rss_bytes() + group.held_bytes
        url = f"ws://127.0.0.1:{server.port}"
        traffic = stack.enter_context(child(run_traffic, url, LOAD_CORE, group, published_bytes))
        slow = stack.enter_context(child(run_readers, url, SPARE_CORE, published_bytes))
        answer(traffic)
        stage = _Stage(server, group, traffic, slow)
        for cell in cells[1:]:
            cell.flood = stage.play(cell, Flood(group.flood_bytes, flood_s))
        for number in range(rounds):
            # Each round begins with another cell, so that no cell always follows the same one.
            first = number % len(cells)
            for cell in cells[first:] + cells[:first]:
                cell.rounds.append(stage.play(cell, Paced(seconds or group.size.seconds)))
    return Measured(group, bound_bytes, cells)


class _Stage(NamedTuple):
    """Stage of a group: the processes in which its rounds run."""

    server: Server
    group: Group
    traffic: Connection
    slow: Connection

    def play(self, cell: Cell, traffic: Flood | Paced) -> Outcome:
        """Run one round of a cell."""
        if cell.speed is not None:
            self.slow.send(Slowness(BULK, READERS, cell.speed, self.group.acknowledged))
            answer(self.slow)
        _forget_peak(self.server.pid)
        self.traffic.send(traffic)
        outcome: Outcome = answer(self.traffic)
        peak_bytes = _peak_bytes(self.server.pid)
        cell.peak_bytes = max(cell.peak_bytes, peak_bytes)
        if cell.speed is not None:
            self.slow.send("stop")
            read = answer(self.slow)
            cell.read_bytes += sum(size for size, _ in read)
            cell.closed = max(cell.closed, sum(closed for _, closed in read))
        what = "no slow readers" if cell.speed is None else f"readers at {cell.speed:g} x"
        print(
            f"{self.group.kind}, {self.group.size.name}, {what}, {type(traffic).__name__.lower()}: "
            f"p99 {outcome.p99_ms:.2f} ms of {outcome.samples}; {outcome.published} published, "
            f"{outcome.refused} refused; "
            f"{cell.read_bytes / 1e6:.1f} MB read, {cell.closed} closed, peak {peak_bytes / 1e6:.0f} MB",
            file=sys.stderr,
            flush=True,
        )
        return outcome


def _peak_bytes(pid: int) -> int:
    found = re.search(r"^VmHWM:\s+(\d+) kB$", Path(f"/proc/{pid}/status").read_text(), re.MULTILINE)
    assert found is not None
    return int(found[1]) * 1024


def _forget_peak(pid: int) -> None:
    """Reset the peak (proc(5), clear_refs)."""
    Path(f"/proc/{pid}/clear_refs").write_text("5")
