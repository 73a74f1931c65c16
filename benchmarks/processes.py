"""Child processes, each pinned to a core, watched, and ended with the block that started it, even by an error."""

from __future__ import annotations

import ctypes
import json
import os
import re
import signal
import subprocess
import threading
import time
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final

import psutil

READY_TIMEOUT_S: Final = 20.0
STOP_TIMEOUT_S: Final = 15.0
_PR_SET_PDEATHSIG: Final = 1
_LIBC: Final = ctypes.CDLL(None)


class VerificationFailed(Exception):
    """Failure of a measurement: a message was lost, a server died, a promise was broken."""


def bind_to(core: int) -> None:
    """Pin the calling child process to ``core``, and make it end with its parent, even if the parent is killed."""
    os.sched_setaffinity(0, {core})
    _LIBC.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


class _Output:
    """Reader of a child's output, for which the child never waits. Finds the line ``ready``, keeps the last ones."""

    def __init__(self, process: subprocess.Popen[str], ready: re.Pattern[str]) -> None:
        self.match: re.Match[str] | None = None
        self.ready_at = 0.0
        self.tail: deque[str] = deque(maxlen=20)
        self.settled = threading.Event()  # ready, or the output has ended
        self._process = process
        self._ready = ready
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Read the rest of the output; the child has ended."""
        self._thread.join()

    def _read(self) -> None:
        assert self._process.stdout is not None
        with self._process.stdout as lines:
            for line in lines:
                self.tail.append(line)
                if self.match is None and (match := self._ready.search(line)):
                    self.ready_at = time.perf_counter()
                    self.match = match
                    self.settled.set()
        self.settled.set()


@dataclass(frozen=True, slots=True)
class Server:
    """Server that accepts connections on 127.0.0.1."""

    name: str
    port: int
    pid: int
    start_s: float
    """Time from its start to the line in which it says that it listens."""

    def rss_bytes(self) -> int:
        """Return its resident memory."""
        return int(psutil.Process(self.pid).memory_info().rss)

    def has_loaded(self, package: str) -> bool:
        """Return whether an extension module of the Python package is mapped into the process."""
        return any(f"/{package}/" in mapped.path for mapped in psutil.Process(self.pid).memory_maps())

    def settle(self) -> None:
        """Wait until the server uses no CPU time: its late imports and its clean-up are over."""
        process = psutil.Process(self.pid)
        deadline = time.monotonic() + 10
        quiet = 0
        before = process.cpu_times()
        while quiet < 3 and time.monotonic() < deadline:
            time.sleep(0.1)
            now = process.cpu_times()
            quiet = quiet + 1 if now.user + now.system - before.user - before.system < 0.01 else 0
            before = now


@contextmanager
def serving(name: str, command: Sequence[str], ready: re.Pattern[str], core: int) -> Iterator[Server]:
    """Run a server on ``core`` for the length of the block.

    Args:
        name: its name in messages.
        command: starts it.
        ready: matches the line of its output in which it says that it listens; the group ``port`` is its port.
        core: its core.

    Raises:
        VerificationFailed: the server does not get ready, or has ended before the block.
    """
    # A package is installed with its bytecode: no start is to compile it, whatever the shell says.
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    begin = time.perf_counter()
    process = subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env=environment,
        preexec_fn=lambda: bind_to(core),
    )
    output = _Output(process, ready)
    try:
        output.settled.wait(READY_TIMEOUT_S)
        if output.match is None:
            raise VerificationFailed(f"{name} does not listen:\n{''.join(output.tail)}")
        yield Server(name, int(output.match["port"]), process.pid, output.ready_at - begin)
        if process.poll() is not None:
            raise VerificationFailed(f"{name} ended with {process.returncode}:\n{''.join(output.tail)}")
    finally:
        _stop(process)
        output.close()


def _stop(process: subprocess.Popen[str]) -> None:
    process.terminate()
    try:
        process.wait(STOP_TIMEOUT_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


@contextmanager
def loading(command: Sequence[str], core: int, timeout_s: float) -> Iterator[dict[str, float]]:
    """Run a load on ``core``, and yield the result that it prints. Its connections stay open until the block ends.

    Raises:
        VerificationFailed: the load found a broken promise, or took longer than ``timeout_s``.
    """
    with subprocess.Popen(
        command,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=lambda: bind_to(core),
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        assert process.stderr is not None
        guard = threading.Timer(timeout_s, process.kill)
        guard.start()
        try:
            line = process.stdout.readline()
            if not line:
                reason = process.stderr.read().strip() or f"no result in {timeout_s:.0f} s"
                raise VerificationFailed(f"{' '.join(command[1:])}: {reason}")
            yield json.loads(line)
            process.stdin.close()
            if process.wait() != 0:
                raise VerificationFailed(f"{' '.join(command[1:])}: {process.stderr.read().strip()}")
        finally:
            guard.cancel()
            process.kill()
