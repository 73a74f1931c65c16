"""Child processes that run a function of this package, and take commands from a pipe."""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from multiprocessing.connection import Connection
from typing import Any, Final

from benchmarks.processes import VerificationFailed

PATIENCE_S: Final = 120.0
SPAWN: Final = multiprocessing.get_context("spawn")


@contextmanager
def child(target: Callable[..., None], *arguments: object) -> Iterator[Connection]:
    """Run ``target`` in a process, with a pipe for commands; the command ``None`` ends it."""
    ours, theirs = SPAWN.Pipe()
    process = SPAWN.Process(target=target, args=(*arguments, theirs), daemon=True)
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


def answer(commands: Connection) -> Any:
    """Return the next answer of a child.

    Raises:
        VerificationFailed: the child has failed, or takes too long.
    """
    if not commands.poll(PATIENCE_S):
        raise VerificationFailed(f"no answer in {PATIENCE_S:.0f} s")
    try:
        return commands.recv()
    except EOFError:
        raise VerificationFailed("a client failed; its traceback is above") from None
