"""Owner: the process and the event loop that a client belongs to, and which alone may use it.

A client whose process was forked is still that of the parent: its socket, its event loop and its locks are shared or
dead in the child. A client of another event loop would wait for ever.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import sys
import threading
import weakref
from collections.abc import Callable, Coroutine
from types import CodeType, FrameType
from typing import Any, Final, NoReturn, Protocol, TypeVar

from gateway.client.forking import detach
from gateway.errors import UsageError

CLOSED: Final = "the client is closed: connect again"
CLOSED_WITH_LOOP: Final = "the client is closed, because its event loop has ended: connect in each asyncio.run"
FORKED: Final = "the client was made in another process, of which this one is a fork: connect again in this one"
OTHER_LOOP: Final = (
    "the client belongs to another event loop, or to the loop of another thread: connect again in this loop, or use "
    "gateway.client.sync, whose clients all threads may use"
)


class ForkedPart(Protocol):
    """Part of a client that a forked process must not use as it is."""

    def fork(self, error: UsageError) -> None:
        """Drop what waits, and refuse all use with ``error``: in this forked process no other thread runs."""


class OneProcess:
    """Object with a connection, which stays in the process that made it."""

    def __reduce__(self) -> NoReturn:
        raise UsageError(
            f"a {type(self).__name__} belongs to the process that made it, and can be neither pickled nor copied: call "
            "connect() in each process"
        )


T = TypeVar("T")

OWN_CODE: Final = "gateway.client."
"""Beginning of the names of the SDK's modules."""

OWN_TASKS: Final[weakref.WeakSet[asyncio.Task[Any]]] = weakref.WeakSet()
"""Tasks of all clients; see :meth:`Owner.start`."""

_OWNERS: Final[weakref.WeakSet[Owner]] = weakref.WeakSet()
_PARTS: Final[weakref.WeakSet[ForkedPart]] = weakref.WeakSet()
"""Parts that no owner knows; see :func:`tell_of_fork`."""


class Owner:
    """Owner of one client.

    Args:
        loop: the event loop of the client.
        shared: whether all threads may use the client; otherwise the tasks of ``loop`` only.

    Attributes:
        forked: whether this process is a fork of the one that made the client.
    """

    __slots__ = ("__weakref__", "_loop", "_parts", "_shared", "_thread", "forked")

    def __init__(self, loop: asyncio.AbstractEventLoop, *, shared: bool = False) -> None:
        self._loop = loop
        self._shared = shared
        self._thread = threading.get_ident()
        self._parts: weakref.WeakSet[ForkedPart] = weakref.WeakSet()
        self.forked = False
        _OWNERS.add(self)

    @property
    def is_caller(self) -> bool:
        """Whether the caller may use the client."""
        if self.forked:
            return False
        running = asyncio._get_running_loop()
        if self._shared or running is self._loop:
            return True
        # Between two runs of the loop its thread may prepare the next run.
        return running is None and self._thread == threading.get_ident() and not self._loop.is_closed()

    def check(self) -> None:
        """Raise unless the caller may use the client.

        Raises:
            UsageError: this is a forked process, or another event loop runs.
        """
        # Almost all calls come from tasks of the loop.
        if self.forked or (asyncio._get_running_loop() is not self._loop and not self.is_caller):
            raise UsageError(FORKED if self.forked else OTHER_LOOP)

    def create_future(self) -> asyncio.Future[Any]:
        """Return a future of the loop; without a look at the running loop, which takes longer (CPython 3.11)."""
        return self._loop.create_future()

    def call_soon(self, callback: Callable[[], object]) -> None:
        """Have the loop call back, from any thread, also while it collects garbage; not in a forked process."""
        if not self.forked:
            with contextlib.suppress(RuntimeError):  # the loop is closed, and the client with it
                self._loop.call_soon_threadsafe(callback)

    def call_next(self, callback: Callable[[], object]) -> None:
        """Have the loop call back, from its own thread, where a signal handler may have interrupted its waiting."""
        if asyncio.current_task(self._loop) is None:
            self._loop.call_soon_threadsafe(callback)
        else:
            self._loop.call_soon(callback)  # 1 us instead of 7 (CPython 3.11, 2026-12)

    def interrupted(self, call: CodeType) -> bool:
        """Return whether a function was called by a signal handler or a finalizer that may have interrupted the client.

        It must not write to the connection then, and not send messages: the client may be in the middle of that.

        Args:
            call: code of the function that the program has called.
        """
        if asyncio.current_task(self._loop) is None:
            return True  # the loop itself may have been interrupted
        frame: FrameType | None = sys._getframe(1)
        while frame is not None and frame.f_code is not call:
            frame = frame.f_back
        while frame is not None and (frame := frame.f_back) is not None:
            if frame.f_globals.get("__name__", "").startswith(OWN_CODE):
                return True
        return False

    def start(self, work: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
        """Run work of the client itself as a task that is not among ``asyncio.all_tasks()``.

        ``asyncio.run`` cancels all tasks at its end, before the client is closed and sends what waits: it would lose
        the messages whose sending has begun.
        """
        task = self._loop.create_task(work)
        asyncio.tasks._unregister_task(task)
        OWN_TASKS.add(task)
        return task

    def tell(self, part: ForkedPart) -> None:
        """Have :meth:`ForkedPart.fork` called in a forked process; the part is not kept alive."""
        self._parts.add(part)

    def fork(self) -> None:
        """Refuse all use from now on: this is a forked process."""
        self.forked = True
        for part in list(self._parts):
            part.fork(UsageError(FORKED))


def tell_of_fork(part: ForkedPart) -> None:
    """Have :meth:`ForkedPart.fork` called in a forked process; the part is not kept alive."""
    _PARTS.add(part)


def _forked() -> None:
    for part in list(_PARTS):
        part.fork(UsageError(FORKED))
    owners, thread = list(_OWNERS), threading.get_ident()
    for owner in owners:
        owner.fork()
    # A loop of another thread does not run here: the loop of a shared client has a thread of its own.
    for loop in {owner._loop for owner in owners if owner._thread == thread and not owner._shared}:
        detach(loop)


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forked)
