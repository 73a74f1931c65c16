"""One group of cells on one gateway: rounds without slow readers and with those of each speed, in turn."""

from __future__ import annotations

import ctypes
import multiprocessing
import re
import statistics
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, Final, NamedTuple

from benchmarks import servers
from benchmarks.machine import LOAD_CORE, SPARE_CORE
from benchmarks.processes import Server, VerificationFailed
from benchmarks.slow_readers.plan import RATIO, READERS, SPEEDS, Group
from benchmarks.slow_readers.throttled import Slowness, run_readers
from benchmarks.slow_readers.traffic import BULK, Flood, Outcome, Paced, run_traffic

WITHOUT: Final = None
"""The speed of no slow readers at all."""
FLOOD_S: Final = 20.0
"""The longest time for a flood: a publisher may be slowed until nothing comes through."""
PATIENCE_S: Final = 120.0
GATEWAY: Final = (*servers.GATEWAY, "--config", str(Path(__file__).with_name("gateway.toml")))

_SPAWN: Final = multiprocessing.get_context("spawn")


@dataclass(slots=True)
class Cell:
    """What was measured with slow readers of one speed, or without any."""

    speed: float | None
    flood: Outcome | None = None
    rounds: list[Outcome] = field(default_factory=list)
    peak_bytes: int = 0
    """The most resident memory of the gateway at any time."""
    read_bytes: int = 0
    """What the slow readers have read, all together."""
    closed: int = 0
    """How many of them the gateway closed in a round."""

    @property
    def p99_ms(self) -> float:
        """Median of its rounds."""
        return statistics.median([outcome.p99_ms for outcome in self.rounds]) if self.rounds else float("nan")


@dataclass(frozen=True, slots=True)
class Measured:
    """One group.

    Attributes:
        bound_bytes: what the gateway's memory may reach.
        cells: by speed, the one without slow readers first.
    """

    group: Group
    bound_bytes: int
    cells: Sequence[Cell]

    def ratio(self, cell: Cell) -> float:
        """How much longer the slowest percent takes to the fast reader than without slow readers."""
        return cell.p99_ms / self.cells[0].p99_ms

    def broken(self, *, timed: bool) -> list[str]:
        """The bounds that are broken.

        Args:
            timed: look at latencies, too.
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


def measure(group: Group, speeds: Sequence[float] = SPEEDS, rounds: int = 5, seconds: float | None = None) -> Measured:
    """Measure all cells of a group: memory while the gateway is flooded, then latency at a moderate rate.

    Args:
        rounds: of latency, of each cell, interleaved; 0: memory only.
        seconds: length of one; None: as the size says.

    Raises:
        VerificationFailed: a process did not do its part, or the fast reader did not get what it should.
    """
    cells = [Cell(WITHOUT), *map(Cell, speeds)]
    published_bytes = _SPAWN.RawValue(ctypes.c_uint64, 0)
    with ExitStack() as stack:
        server = stack.enter_context(servers.gateway(GATEWAY))
        server.settle()
        bound_bytes = server.rss_bytes() + group.held_bytes
        url = f"ws://127.0.0.1:{server.port}"
        traffic = stack.enter_context(_child(run_traffic, url, LOAD_CORE, group, published_bytes))
        slow = stack.enter_context(_child(run_readers, url, SPARE_CORE, published_bytes))
        _answer(traffic)
        stage = _Stage(server, group, traffic, slow)
        for cell in cells[1:]:
            cell.flood = stage.play(cell, Flood(group.flood_bytes, FLOOD_S))
        for number in range(rounds):
            # Another one begins each time, so that none is always behind the same.
            first = number % len(cells)
            for cell in cells[first:] + cells[:first]:
                cell.rounds.append(stage.play(cell, Paced(seconds or group.size.seconds)))
    return Measured(group, bound_bytes, cells)


class _Stage(NamedTuple):
    """Where the cells of a group play."""

    server: Server
    group: Group
    traffic: Connection
    slow: Connection

    def play(self, cell: Cell, traffic: Flood | Paced) -> Outcome:
        """One round of a cell."""
        if cell.speed is not None:
            self.slow.send(Slowness(BULK, READERS, cell.speed, self.group.acknowledged))
            _answer(self.slow)
        _forget_peak(self.server.pid)
        self.traffic.send(traffic)
        outcome: Outcome = _answer(self.traffic)
        peak_bytes = _peak_bytes(self.server.pid)
        cell.peak_bytes = max(cell.peak_bytes, peak_bytes)
        if cell.speed is not None:
            self.slow.send("stop")
            read = _answer(self.slow)
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
    """From now on the peak counts anew (proc(5), clear_refs)."""
    Path(f"/proc/{pid}/clear_refs").write_text("5")


@contextmanager
def _child(target: Callable[..., None], *arguments: object) -> Iterator[Connection]:
    """A process that runs ``target`` with a pipe to take commands from; ``None`` ends it."""
    ours, theirs = _SPAWN.Pipe()
    process = _SPAWN.Process(target=target, args=(*arguments, theirs), daemon=True)
    process.start()
    theirs.close()
    try:
        yield ours
        ours.send(None)
        process.join(PATIENCE_S)
    finally:
        process.kill()
        process.join()
        process.close()
        ours.close()


def _answer(commands: Connection) -> Any:
    if not commands.poll(PATIENCE_S):
        raise VerificationFailed(f"no answer in {PATIENCE_S:.0f} s")
    try:
        return commands.recv()
    except EOFError:
        raise VerificationFailed("a client failed; its traceback is above") from None
