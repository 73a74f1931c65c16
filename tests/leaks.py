"""Plugin of pytest that fails a test which leaves tasks, threads, sockets or files behind.

A test that leaks fails in its teardown, with the name of the leaked thing:

- a task that still exists when all fixtures of the test are finalized and its event loop is about to be closed;
- a thread that is still alive ten seconds after all fixtures are finalized;
- a file descriptor (socket, pipe, file) that is open then. Linux only, because ``/proc`` says what a descriptor is.

Fixtures of a wider scope than one test may open things: they belong to the fixture until it is finalized, and the test
with which it ends is the one that is told when they are not closed.
"""

import asyncio
import gc
import os
import socket
import stat
import sys
import threading
import time
from collections.abc import Generator
from dataclasses import dataclass
from multiprocessing import resource_tracker
from typing import Final

import pytest
import uvloop

from gateway.client.owner import OWN_TASKS

DESCRIPTORS: Final = "/proc/self/fd"
SHARED_MEMORY: Final = "/dev/shm/pym-"
"""Targets of descriptors that :mod:`multiprocessing` keeps for the process, once it has shared a value."""

THREAD_TIMEOUT_S: Final = 10.0
"""Time for a thread that has been told to end."""

TASK_TURNS: Final = 3
"""Turns of the event loop for tasks that have been cancelled and not been awaited."""


@dataclass(frozen=True, slots=True)
class Resources:
    """Threads and file descriptors of this process at one time."""

    threads: frozenset[threading.Thread]
    descriptors: frozenset[tuple[int, str]]
    """Number and target of each: a number alone may have been given again."""

    def __or__(self, other: "Resources") -> "Resources":
        return Resources(self.threads | other.threads, self.descriptors | other.descriptors)

    def __sub__(self, other: "Resources") -> "Resources":
        return Resources(self.threads - other.threads, self.descriptors - other.descriptors)

    def __bool__(self) -> bool:
        return bool(self.threads or self.descriptors)


def open_resources() -> Resources:
    """Return the threads and descriptors that this process has now."""
    descriptors = set()
    if sys.platform == "linux":
        for name in os.listdir(DESCRIPTORS):
            try:
                descriptors.add((int(name), os.readlink(f"{DESCRIPTORS}/{name}")))
            except FileNotFoundError:  # the descriptor of the listing itself
                continue
    return Resources(frozenset(threading.enumerate()), frozenset(descriptors))


def leaked(owned: Resources) -> list[str]:
    """Return one line for each thread and descriptor that exists beside the ``owned`` ones."""
    if not open_resources() - owned:
        return []
    # A cycle of references may still hold what has no other owner.
    gc.collect()
    until_s = time.monotonic() + THREAD_TIMEOUT_S
    left = open_resources() - owned
    while left.threads and time.monotonic() < until_s:
        # A thread that ends may have left work to another one.
        for thread in left.threads:
            thread.join(0.1)
        left = open_resources() - owned
    descriptors = [descriptor for descriptor in left.descriptors if not belongs_to_process(*descriptor)]
    return [f"thread {thread.name!r}" for thread in left.threads] + [describe(*each) for each in descriptors]


def belongs_to_process(descriptor: int, target: str) -> bool:
    """Return whether :mod:`multiprocessing` keeps a descriptor until the process ends."""
    return target.startswith(SHARED_MEMORY) or descriptor == resource_tracker.getfd()


def describe(descriptor: int, target: str) -> str:
    """Return what a file descriptor is, for a person: a socket with the addresses of its ends."""
    if not stat.S_ISSOCK(os.fstat(descriptor).st_mode):
        return f"descriptor {descriptor}: {target}"
    with socket.socket(fileno=os.dup(descriptor)) as duplicate:
        try:
            peer = f" to {duplicate.getpeername()}"
        except OSError:
            peer = ""
        return f"descriptor {descriptor}: socket {duplicate.getsockname()}{peer}"


def unfinished_tasks(runner: asyncio.Runner) -> list[str]:
    """Return one line for each task that still runs in the loop of ``runner``."""
    loop = runner.get_loop()
    if loop.is_closed():
        return []
    for _ in range(TASK_TURNS):
        if not open_tasks(loop):
            break
        runner.run(asyncio.sleep(0))
    return [f"task {task!r}" for task in open_tasks(loop)]


def open_tasks(loop: asyncio.AbstractEventLoop) -> set[asyncio.Task[object]]:
    """Return the tasks of a loop that are not done, with those that clients of the SDK hide from the program."""
    hidden = {task for task in OWN_TASKS if task.get_loop() is loop and not task.done()}
    return asyncio.all_tasks(loop) | hidden


class LeakFinder:
    """Compares what exists after each test with what existed before it."""

    def __init__(self) -> None:
        self._owned = Resources(frozenset(), frozenset())
        self._opened: dict[pytest.FixtureDef[object], Resources] = {}

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_setup(self) -> Generator[None, None, None]:
        """Remember what exists before a test."""
        self._owned = open_resources()
        return (yield)

    @pytest.hookimpl(wrapper=True)
    def pytest_fixture_setup(self, fixturedef: pytest.FixtureDef[object]) -> Generator[None, object, object]:
        """Note what a fixture opens that outlives the test; look for tasks before a fixture closes its event loop."""
        before = None if fixturedef.scope == "function" else open_resources()
        value = yield
        if isinstance(value, asyncio.Runner):
            fixturedef.addfinalizer(lambda: fail_for(unfinished_tasks(value)))
        elif before is not None:
            opened = open_resources() - before
            self._opened[fixturedef] = opened
            self._owned |= opened
        return value

    @pytest.hookimpl
    def pytest_fixture_post_finalizer(self, fixturedef: pytest.FixtureDef[object]) -> None:
        """Disown what a fixture opened, now that it should be closed."""
        if opened := self._opened.pop(fixturedef, None):
            self._owned -= opened

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_teardown(self) -> Generator[None, None, None]:
        """Fail a test after whose fixtures more exists than before it."""
        result = yield
        fail_for(leaked(self._owned))
        return result


def fail_for(found: list[str]) -> None:
    """Fail the running test if it has left something behind."""
    if found:
        pytest.fail("the test leaves behind:\n" + "\n".join(f"  {line}" for line in found), pytrace=False)


def pytest_configure(config: pytest.Config) -> None:
    """Find leaks in this run."""
    # The first loop of a process opens a pipe for signals that all loops share.
    uvloop.new_event_loop().close()
    config.pluginmanager.register(LeakFinder(), "leak-finder")
