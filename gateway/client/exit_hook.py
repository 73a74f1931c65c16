"""Exit hook: closes the clients that a program has not closed when it ends, so that what they took is sent.

The hook runs in ``atexit``: when all threads have ended that are no daemons, and while the loop threads still run. It
runs behind the hooks that the program registers after importing this module, and before those that it registered
earlier; once more behind all of them, for clients that these have made. A process of ``multiprocessing`` ends without
``atexit``; the hook is a finalizer of ``multiprocessing.util`` there, behind those of the program.
"""

from __future__ import annotations

import atexit
import concurrent.futures
import logging
import os
import sys
import time
from abc import ABC, abstractmethod
from typing import Final

logger: Final = logging.getLogger("gateway.client")

LAST_PRIORITY: Final = -sys.maxsize
"""Priority of the finalizer of ``multiprocessing.util``, which runs behind all of higher priority."""

NOT_CLOSED: Final = "a client could not be closed at the exit of the program: messages may be lost"


class OpenClient(ABC):
    """Client that is open."""

    @property
    @abstractmethod
    def stranded(self) -> bool:
        """Whether its event loop was closed before the client, so that it never will be."""

    @property
    @abstractmethod
    def exit_timeout_s(self) -> float:
        """Longest time that closing takes."""

    @abstractmethod
    def begin_exit(self) -> concurrent.futures.Future[None] | None:
        """Begin to close the client; return the future of its end, None if there is nothing to wait for."""


class ExitHook:
    """Clients that are open in this process."""

    def __init__(self) -> None:
        self._clients: set[OpenClient] = set()
        self._in_child = False
        self._has_run = False

    def add(self, client: OpenClient) -> None:
        """Close a client at the exit of the program."""
        for stranded in [other for other in list(self._clients) if other.stranded]:
            stranded.begin_exit()
        self._clients.add(client)
        if not self._in_child and _is_multiprocessing_child():
            self._in_child = True
            from multiprocessing.util import Finalize  # noqa: PLC0415 - this process has imported it already

            Finalize(self, self.run, exitpriority=LAST_PRIORITY)

    def discard(self, client: OpenClient) -> None:
        """Forget a client, which is closed."""
        self._clients.discard(client)

    def run(self) -> None:
        """Close all clients at once, and wait for them."""
        self._has_run = True
        began_s = time.monotonic()
        closing = [(client, future) for client in list(self._clients) if (future := _begun_exit(client)) is not None]
        for client, future in closing:
            left_s = client.exit_timeout_s - (time.monotonic() - began_s)
            try:
                future.result(max(0.0, left_s))
            except concurrent.futures.TimeoutError:
                logger.warning(
                    "a client did not close within %g s at the exit of the program: messages may be lost",
                    client.exit_timeout_s,
                )
            except Exception:
                logger.exception(NOT_CLOSED)  # the other clients, and the exit of the program, go on

    def run_again(self) -> None:
        """Close the clients that were made since the hook has run, if it has."""
        if self._has_run:
            self.run()

    def fork(self) -> None:
        """Forget the clients of the parent: this is a forked process."""
        self._clients = set()
        self._in_child = self._has_run = False


class BehindAllHooks:
    """Argument of the hook in ``atexit``: it is deleted with the hooks, when all of them have run.

    Hooks that are registered while the hooks run are not called any more. Nor are those of ``weakref.finalize``, which
    end with a hook of their own.
    """

    def __init__(self, hook: ExitHook) -> None:
        self._hook = hook

    def __del__(self) -> None:
        self._hook.run_again()


def _run_at_exit(behind: BehindAllHooks) -> None:
    EXIT_HOOK.run()


def _begun_exit(client: OpenClient) -> concurrent.futures.Future[None] | None:
    try:
        return client.begin_exit()
    except Exception:
        logger.exception(NOT_CLOSED)  # a boundary, as above
        return None


def _is_multiprocessing_child() -> bool:
    process = sys.modules.get("multiprocessing.process")
    return process is not None and process.parent_process() is not None


EXIT_HOOK: Final = ExitHook()
"""Hook of this process."""

atexit.register(_run_at_exit, BehindAllHooks(EXIT_HOOK))
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=EXIT_HOOK.fork)
