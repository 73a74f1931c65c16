"""Scenario ``hostile``: what a bystander notices beside each attack, and the memory that stays behind it."""

from __future__ import annotations

import ctypes
import time
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, Final

from benchmarks.children import SPAWN
from benchmarks.slow.attacks import http, memory, text, turns
from benchmarks.slow.attacks.target import Program, Target
from benchmarks.slow.bystander import Outcome
from benchmarks.slow.plan import GIVES_BACK_S, HEALTH_S, HOLES_BYTES, MEMORY_RATIO, RATIO, Sizes
from benchmarks.slow.stage import OTHERS_CORE, HealthWatch, MemoryWatch, Stage, idle_only, running, staged
from gateway.client import sync

CONFIGURATION: Final = ("--config", str(Path(__file__).with_name("gateway.toml")))
"""Arguments of the gateway: streams of attacks, and what these publish, end soon."""
START_S: Final = 30.0
"""Longest time until the first round of an attack is done."""
AGAIN_S: Final = 0.05
"""Pause before an attack starts again whose connections the gateway has closed."""

STREAMS_HOLES_BYTES: Final = 48_000_000
"""Freed memory that stays behind tens of thousands of streams, which took some hundred megabytes."""
UPLOADS_S: Final = 75.0
"""Time in which unfinished uploads of clients that are gone are dropped."""


@dataclass(frozen=True, slots=True)
class Attack:
    """Attack by its program."""

    program: Program
    gives_back_s: float = GIVES_BACK_S
    """Time in which its memory comes back."""
    holes_bytes: int = HOLES_BYTES
    """Freed memory that stays."""


ATTACKS: Final = {
    attack.program.__name__.replace("_", "-"): attack
    for attack in (
        Attack(turns.tiny_frames),
        Attack(turns.refused_frames),
        Attack(turns.long_headers),
        Attack(turns.open_flood, holes_bytes=STREAMS_HOLES_BYTES),
        Attack(turns.backtracking_patterns),
        Attack(turns.subscribe_all),
        Attack(turns.subscription_churn),
        Attack(turns.refresh_flood),
        Attack(turns.account_flood),
        Attack(turns.since_maps),
        Attack(turns.ask_flood),
        Attack(turns.large_batches),
        Attack(turns.connection_flood),
        Attack(turns.half_handshakes),
        Attack(turns.fragments),
        Attack(turns.pings),
        Attack(memory.unread_pongs),
        Attack(memory.unread_answers),
        Attack(memory.long_agents),
        Attack(memory.views),
        Attack(memory.views_of_many),
        Attack(memory.unfinished_uploads, UPLOADS_S),
        Attack(memory.lagging_events),
        Attack(text.json_aliases),
        Attack(text.json_garbage),
        Attack(text.json_garbage_flood),
        Attack(text.json_tensors),
        Attack(http.half_requests),
        Attack(http.slow_bodies),
        Attack(http.tiny_chunks),
        Attack(http.long_heads),
        Attack(http.many_requests),
    )
}
"""Attacks by name."""


@dataclass(frozen=True, slots=True)
class Measured:
    """Result of an attack."""

    attack: str
    rounds: int
    """Rounds that the attack has done."""
    closed: int
    """Times that the gateway closed its connections."""
    quiet: Outcome
    beside: Outcome
    before_bytes: int
    most_bytes: int
    """Most memory beside the attack."""
    after_bytes: int
    health_s: float
    holes_bytes: int = HOLES_BYTES
    """Freed memory that may stay, beside a tenth of that before."""

    @property
    def ratio(self) -> float:
        """The bystander's p99 beside the attack, divided by that without."""
        return self.beside.p99_ms / self.quiet.p99_ms

    def row(self) -> tuple[str, ...]:
        """Return the cells of the table."""
        return (
            self.attack,
            f"{self.rounds}" + (f", {self.closed} closed" if self.closed else ""),
            f"{self.quiet.p99_ms:.2f} to {self.beside.p99_ms:.2f} ms",
            f"{self.ratio:.2f} x",
            f"{self.beside.slowest_ms:.0f} ms",
            f"{self.health_s * 1e3:.0f} ms",
            f"{self.before_bytes / 1e6:.0f}, {self.most_bytes / 1e6:.0f}, {self.after_bytes / 1e6:.0f} MB",
        )

    def broken(self) -> list[str]:
        """Return a line for each broken bound."""
        broken = []
        if not self.ratio <= RATIO:
            broken.append(f"p99 {self.ratio:.2f} x that without it, more than {RATIO:g} x")
        if self.beside.received < self.beside.sent:
            broken.append(f"the bystander received {self.beside.received} of its {self.beside.sent} messages")
        broken += [f"the bystander met {problem}" for problem in self.beside.problems[:1]]
        if self.health_s > HEALTH_S:
            broken.append(f"/healthz took {self.health_s:.2f} s, more than {HEALTH_S:g} s, or did not answer 200")
        limit_bytes = MEMORY_RATIO * self.before_bytes + self.holes_bytes
        if self.after_bytes > limit_bytes:
            words = f"{self.after_bytes / 1e6:.1f} MB of memory behind {self.most_bytes / 1e6:.1f} beside it"
            broken.append(f"{words} and {self.before_bytes / 1e6:.1f} before it, more than {limit_bytes / 1e6:.1f}")
        if not self.rounds and not self.closed:
            broken.append("the attack did nothing")
        return [f"{self.attack}: {line}" for line in broken]


HEADER: Final = ("attack", "rounds", "p99", "ratio", "slowest", "/healthz", "memory before, most, behind")


def measure(name: str, sizes: Sizes) -> Measured:
    """Measure one attack, on a gateway of its own.

    Raises:
        VerificationFailed: a process failed.
    """
    attack = ATTACKS[name]
    with staged(CONFIGURATION) as stage:
        quiet = stage.quiet(sizes.seconds)
        before_bytes = stage.server.rss_bytes()
        with MemoryWatch(stage.server) as memory:
            rounds, closed, beside, health_s = _beside(stage, name, sizes.seconds)
        # The newest version of a state stays, whoever leaves: so many bytes are what the gateway is for.
        with sync.connect(stage.url) as client:
            client.delete(f"{name}/**")
        # Without the holes: so the table shows these.
        after_bytes = stage.memory_bytes(MEMORY_RATIO * before_bytes, attack.gives_back_s)
    memories = before_bytes, memory.most_bytes, after_bytes
    return Measured(name, rounds, closed, quiet, beside, *memories, health_s, attack.holes_bytes)


def _beside(stage: Stage, name: str, seconds: float) -> tuple[int, int, Outcome, float]:
    rounds, closed = SPAWN.RawValue(ctypes.c_uint64, 0), SPAWN.RawValue(ctypes.c_uint64, 0)
    ours, theirs = SPAWN.Pipe()
    target = Target(stage.server.port, stage.admin_port)
    with ours, running(_attack, name, target, rounds, closed, theirs):
        theirs.close()
        ours.recv()  # it has been loaded
        with HealthWatch(stage.admin_port) as health:
            stage.begin()
            ours.send(None)
            deadline_s = time.monotonic() + START_S
            while not (rounds.value or closed.value) and time.monotonic() < deadline_s:
                time.sleep(0.01)
            time.sleep(seconds)
            beside = stage.end()
    return rounds.value, closed.value, beside, health.slowest_s


def _attack(name: str, target: Target, rounds: Any, closed: Any, commands: Connection) -> None:
    """Run the program of the process: attack until it is killed."""
    idle_only(OTHERS_CORE)
    commands.send(None)
    commands.recv()
    while True:
        try:
            for _ in ATTACKS[name].program(target):
                rounds.value += 1
        except OSError:
            closed.value += 1
            time.sleep(AGAIN_S)


def attack_once(target: Target, commands: Connection) -> None:
    """Run the program of a process: one round of each attack whose name it is told, until it is told ``None``."""
    while (name := commands.recv()) is not None:
        # The gateway may close the connections of an attack.
        with suppress(OSError):
            next(ATTACKS[name].program(target))
        commands.send(None)
