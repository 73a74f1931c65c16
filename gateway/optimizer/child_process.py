"""Child process: a process of the gateway's own, asked by one pipe and answering by another, without waiting."""

from __future__ import annotations

import contextlib
import os
import select
import subprocess
import sys
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Final

PLACE: Final = str(Path(__file__).parents[2])
"""Directory that holds the package."""
MODULE_PROGRAM: Final = """
import importlib, sys
name, count = sys.argv[1], int(sys.argv[2])
sys.path[:] = sys.argv[3 : 3 + count]
importlib.import_module(name).main()
"""
"""Program that runs ``main`` of a module."""
ONE_THREAD: Final = {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}
"""Variables by which numpy and scikit-learn start no threads, so that a process takes one core at most."""
STALLED_S: Final = 30.0
"""Time after which a process that does nothing of what it is to do is given up."""
FIRST_PAUSE_S: Final = 1.0
LAST_PAUSE_S: Final = 60.0
"""Time from the end of a process to the start of the next, which doubles up to this."""


class BadMessage(Exception):
    """Line that neither the gateway nor a process of its own writes to the other."""


MISREAD: Final = (ValueError, KeyError, TypeError, OverflowError, RecursionError)
"""Errors by which a line of JSON shows that it is no message, once its fields are read."""


class StartPause:
    """Pause before a process takes the place of one that has ended, or could not be started.

    One that was killed may end a while later, which its disk may keep it from: another one would come to a halt, too.
    """

    __slots__ = ("_killed", "_length_s", "_until_s")

    def __init__(self) -> None:
        self._length_s = FIRST_PAUSE_S
        self._until_s = 0.0
        self._killed: ChildProcess | None = None

    @property
    def has_place(self) -> bool:
        """True if the process before has ended, or there was none."""
        return self._killed is None or self._killed.poll() is not None

    def is_over(self, now_s: float) -> bool:
        """Return whether a process may be started."""
        return now_s >= self._until_s and self.has_place

    def begin(self, now_s: float) -> None:
        """Begin a pause, twice as long as the one before."""
        self._until_s = now_s + self._length_s
        self._length_s = min(2 * self._length_s, LAST_PAUSE_S)

    def shorten(self) -> None:
        """Have the next pause be as long as the first one: the process does what it is to do."""
        self._length_s = FIRST_PAUSE_S

    def end(self, process: ChildProcess) -> None:
        """End a process, behind whose end another one has its place."""
        process.end()
        self._killed = process

    def wait_for_end(self, timeout_s: float) -> None:
        """Wait until the process before has ended, for so long at most."""
        if self._killed is not None:
            self._killed.wait_for_end(timeout_s)


class ChildProcess:
    """Process with its pipes. It takes 0.3 ms to start, but up to 15 ms if other programs keep the cores busy.

    Args:
        program: what it runs, as Python.
        arguments: of the program.
        pass_fds: file descriptors that it keeps.
        env: its environment; ``None``: that of the gateway.

    Attributes:
        pid: number of the process.

    Raises:
        OSError: it cannot be started.
    """

    def __init__(
        self, program: str, *arguments: str, pass_fds: Collection[int] = (), env: Mapping[str, str] | None = None
    ) -> None:
        # In a session of its own, so that Ctrl-C does not reach it before it ignores that.
        self._process = subprocess.Popen(
            [sys.executable, "-IS", "-c", program, *arguments],
            bufsize=0,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            pass_fds=pass_fds,
            env=env,
            start_new_session=True,
        )
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._input, self._output = self._process.stdin, self._process.stdout
        self._line = b""
        """Beginning of a line that has not been read whole."""
        for pipe in (self._input, self._output):
            os.set_blocking(pipe.fileno(), False)
        self.pid = self._process.pid

    @classmethod
    def of_module(cls, module: str, *arguments: str, pass_fds: Collection[int] = ()) -> ChildProcess:
        """Start a process of one thread that runs ``main`` of a module.

        It finds its modules where the gateway does, but not in the working directory.

        Args:
            module: the module.
            arguments: of the program; the module finds them at the end of ``sys.argv``.
            pass_fds: file descriptors that it keeps.

        Raises:
            OSError: it cannot be started.
        """
        places = [*[place for place in sys.path if place and Path(place).is_absolute()], PLACE]
        count, env = str(len(places)), os.environ | ONE_THREAD
        return cls(MODULE_PROGRAM, module, count, *places, *arguments, pass_fds=pass_fds, env=env)

    def poll(self) -> int | None:
        """Return the status with which it has ended; ``None``: it runs."""
        return self._process.poll()

    def write(self, data: bytes | memoryview) -> int:
        """Write as much as its pipe takes, and return the number of bytes.

        Raises:
            OSError: the pipe is full, or the process has ended.
        """
        return os.write(self._input.fileno(), data)

    def read(self, most_bytes: int) -> bytes:
        """Read what it has written, at most so many bytes; nothing once it has ended.

        Raises:
            OSError: it has written nothing.
        """
        return os.read(self._output.fileno(), most_bytes)

    def read_lines(self, most_bytes: int) -> list[bytes]:
        """Read the lines that it has ended since, without their ends, from so many bytes at most."""
        with contextlib.suppress(OSError):
            self._line += self.read(most_bytes)
        *lines, self._line = self._line.split(b"\n")
        return lines

    def wait_until_it_takes(self, timeout_s: float) -> bool:
        """Wait until its pipe takes bytes, or it has ended; return whether that came in time."""
        poll = select.poll()
        poll.register(self._input.fileno(), select.POLLOUT)
        return bool(poll.poll(timeout_s * 1e3))

    def wait_for_end(self, timeout_s: float) -> None:
        """Wait until it has ended, for so long at most."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(max(0.0, timeout_s))

    def close_input(self) -> None:
        """Tell it that nothing more comes."""
        with contextlib.suppress(OSError):
            self._input.close()

    def end(self) -> None:
        """Close its pipes, of which nothing can be read any more, and kill it if it runs: it may end a while later."""
        self.close_input()
        self._output.close()
        if self.poll() is None:
            self._process.kill()
